"""The catalogue as the world sees it: one array per property, so that effects are look-ups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.config import Retailer
from policies.arrays import BoolArray, Float32Array, IntArray

EMAIL, SITE, STORE = "email", "site", "store"


@dataclass(frozen=True)
class ActionTable:
    """Properties of the A actions.

    Attributes:
        channel: int64 (A,), channel code, -1 for hold.
        subject: int64 (A,), category code, -1 for any.
        discount: float32 (A,), share of the price.
        minutes: float32 (A,), of an associate.
        cost: float32 (A,), money per contact.
        intents: per intent, bool (A,).
        channels: channel code by name.
    """

    channel: IntArray
    subject: IntArray
    discount: Float32Array
    minutes: Float32Array
    cost: Float32Array
    intents: dict[str, BoolArray]
    channels: dict[str, int]

    @classmethod
    def of(cls, retailer: Retailer) -> ActionTable:
        """The table of a retailer's catalogue."""
        actions, categories = retailer.catalogue.actions, retailer.catalogue.categories
        channels = {name: code for code, name in enumerate(retailer.channels)}
        intent = np.array([a.intent for a in actions])
        return cls(
            channel=np.array([channels.get(a.channel, -1) for a in actions]),
            subject=np.array([categories.index(a.subject) if a.subject in categories else -1 for a in actions]),
            discount=np.array([a.discount for a in actions], dtype=np.float32),
            minutes=np.array([a.associate_minutes for a in actions], dtype=np.float32),
            cost=np.array([a.cost for a in actions], dtype=np.float32),
            intents={name: intent == name for name in np.unique(intent)},
            channels=channels,
        )

    def of_intent(self, name: str, action: IntArray) -> BoolArray:
        """Whether each action has this intent; bool like `action`."""
        known = self.intents.get(name)
        return np.zeros(len(action), dtype=bool) if known is None else known[action]
