"""Contact policy: how often, when, after what and with what customers may be contacted. Pure and columnar."""

from orchestrator.contacts.check import ContactCheck
from orchestrator.contacts.content import clean_content
from orchestrator.contacts.expressions import Expression, Names
from orchestrator.contacts.history import ContactHistory, OutcomeHistory
from orchestrator.contacts.moment import ContactMoment
from orchestrator.contacts.rules import Blocked, ContactRules
from orchestrator.contacts.targeting import Targeting
from orchestrator.contacts.zones import CustomerZones, offsets

__all__ = [
    "Blocked",
    "ContactCheck",
    "ContactHistory",
    "ContactMoment",
    "ContactRules",
    "CustomerZones",
    "Expression",
    "Names",
    "OutcomeHistory",
    "Targeting",
    "clean_content",
    "offsets",
]
