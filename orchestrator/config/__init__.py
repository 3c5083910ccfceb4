"""One retailer's configuration: YAML files in a directory, checked as a whole before anything runs."""

from orchestrator.config.catalogue import HOLD, Action, Catalogue
from orchestrator.config.contact_policy import Cap, ContactPolicy, MinGap, QuietHours, Scope, StoreHours, Suppression
from orchestrator.config.event_names import EventNames
from orchestrator.config.fact_types import OUTCOMES
from orchestrator.config.files import configs_dir, read_retailer
from orchestrator.config.models import (
    Attribute,
    Channel,
    Exploration,
    Goals,
    Groups,
    HalfLives,
    Operations,
    OutcomeWorth,
    ProfileSettings,
    Serving,
    Training,
)
from orchestrator.config.retailer import Retailer
from orchestrator.config.table import config_table
from orchestrator.errors import ConfigError

__all__ = [
    "HOLD",
    "OUTCOMES",
    "Action",
    "Attribute",
    "Cap",
    "Catalogue",
    "Channel",
    "ConfigError",
    "ContactPolicy",
    "EventNames",
    "Exploration",
    "Goals",
    "Groups",
    "HalfLives",
    "MinGap",
    "Operations",
    "OutcomeWorth",
    "ProfileSettings",
    "QuietHours",
    "Retailer",
    "Scope",
    "Serving",
    "StoreHours",
    "Suppression",
    "Training",
    "config_table",
    "configs_dir",
    "read_retailer",
]
