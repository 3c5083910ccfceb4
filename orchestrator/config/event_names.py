"""`events.yaml`: what the events of other systems mean here."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from orchestrator.config.models import Settings

EventType = Literal[
    "view",
    "want",
    "cart_add",
    "cart_remove",
    "purchase",
    "return",
    "sent",
    "open",
    "click",
    "unsubscribe",
    "subscribe",
    "coupon_redeemed",
    "visit",
    "store_visit",
    "profile",
]
# The same as those of profiles, which read the configuration and so cannot be asked here.
EVENT_TYPES: tuple[str, ...] = get_args(EventType)


class EventNames(Settings):
    """`events.yaml`: what the events of other systems mean. Without the file, names as they are most common.

    Attributes:
        cloudevents: our event type by CloudEvents `type`. Not needed for our own, alone or behind dots, such as
            `com.example.purchase`.
    """

    cloudevents: dict[str, EventType] = Field(default_factory=dict)
