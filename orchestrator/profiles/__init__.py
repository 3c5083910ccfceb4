"""What is known about customers: a row of numbers each, kept up to date by their events."""

from orchestrator.errors import ContextError, EventError
from orchestrator.profiles.context import ContextSchema
from orchestrator.profiles.events import EventRows, Events
from orchestrator.profiles.features import consent, features
from orchestrator.profiles.schema import ProfileSchema
from orchestrator.profiles.state import apply
from orchestrator.profiles.table import Profiles
from orchestrator.profiles.types import EVENT_TYPES

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
