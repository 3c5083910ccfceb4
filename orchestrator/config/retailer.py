"""One retailer's checked configuration, as everything else is given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.catalogue import Catalogue
from orchestrator.config.contact_policy import ContactPolicy
from orchestrator.config.event_names import EventNames
from orchestrator.config.models import Channel, Goals, ProfileSettings, Serving, Training


@dataclass(frozen=True)
class Retailer:
    """One retailer's checked configuration.

    Attributes:
        directory: where it was read from.
        catalogue: the actions, `hold` first, and the categories.
        channels: by name; their order is the order of channel codes.
        goals: what outcomes are worth.
        serving: the HTTP service.
        training: how policies are learned.
        profiles: what is remembered about customers.
        contacts: how often, when and after what they may be contacted.
        events: what events of other systems mean.
    """

    directory: Path
    catalogue: Catalogue
    channels: Mapping[str, Channel]
    goals: Goals
    serving: Serving
    training: Training
    profiles: ProfileSettings
    contacts: ContactPolicy = field(default_factory=ContactPolicy)
    events: EventNames = field(default_factory=EventNames)
