"""What is known about customers: a row of numbers each, kept up to date by their events."""

from orchestrator.config.fact_types import EVENT_TYPES
from orchestrator.errors import ContextError, EventError
from orchestrator.ingest.events import EventRows, Events
from orchestrator.profiles.context import ContextSchema
from orchestrator.profiles.features import consent, features
from orchestrator.profiles.schema import ProfileSchema
from orchestrator.profiles.state import apply
from orchestrator.profiles.table import Profiles

__all__ = [
    "EVENT_TYPES",
    "ContextError",
    "ContextSchema",
    "EventError",
    "EventRows",
    "Events",
    "ProfileSchema",
    "Profiles",
    "apply",
    "consent",
    "features",
]
