"""Contact policy: how often, when, after what and with what customers may be contacted. Pure and columnar."""

from orchestrator.eligibility.check import ContactCheck
from orchestrator.eligibility.content import clean_content
from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.expressions import Expression, Names
from orchestrator.eligibility.history import ContactHistory, OutcomeHistory
from orchestrator.eligibility.rules.rules import Blocked, ContactRules
from orchestrator.eligibility.targeting import Targeting
from orchestrator.eligibility.zones import CustomerZones, offsets

__all__ = [
    "Blocked",
    "ContactCheck",
    "ContactHistory",
    "ContactRules",
    "CustomerZones",
    "EligibilityContext",
    "Expression",
    "Names",
    "OutcomeHistory",
    "Targeting",
    "clean_content",
    "offsets",
]
