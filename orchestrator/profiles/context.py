"""What is known only at the request: where it would be shown, on what, when, beside which category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from orchestrator.config import Retailer
from orchestrator.errors import ContextError, suggestion
from policies.arrays import Float32Array

DEVICES = ("desktop", "mobile", "tablet", "app", "in_store")
# First hour of each part of the day, in the customer's own zone.
DAYPARTS = {"night": 0, "morning": 6, "midday": 11, "afternoon": 14, "evening": 18}
FIELDS = ("placement", "device", "hour", "category")


@dataclass(frozen=True)
class ContextSchema:
    """Names and positions of the context columns for one retailer.

    Attributes:
        placements: of every channel.
        categories: what a page may be about.
        columns: names of the C context features.
    """

    placements: tuple[str, ...]
    categories: tuple[str, ...]
    columns: tuple[str, ...] = field(init=False)
    _positions: Mapping[tuple[str, str | int], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        groups = {
            "placement": self.placements,
            "device": DEVICES,
            "daypart": tuple(DAYPARTS),
            "page": self.categories,
        }
        object.__setattr__(self, "columns", tuple(f"{name}={v}" for name, values in groups.items() for v in values))
        values: dict[str, Sequence[str | int]] = {
            "placement": self.placements,
            "device": DEVICES,
            "hour": range(24),
            "category": self.categories,
        }
        positions = {
            (name, value): self.columns.index(self._column(0, name, value)) for name in FIELDS for value in values[name]
        }
        object.__setattr__(self, "_positions", positions)

    @classmethod
    def from_retailer(cls, retailer: Retailer) -> ContextSchema:
        """The schema of a retailer's configuration."""
        placements = tuple(p for channel in retailer.channels.values() for p in channel.placements)
        return cls(placements=placements, categories=retailer.catalogue.categories)

    def encode(self, contexts: Sequence[Mapping[str, Any]]) -> Float32Array:
        """One-hot context columns; what a context does not say is all zeros.

        Args:
            contexts: mappings with any of `placement`, `device`, `hour` (0 to 23, local) and `category`.

        Returns:
            float32 (n, C).

        Raises:
            ContextError: names the context, the field, the value and the fix.
        """
        encoded = np.zeros((len(contexts), len(self.columns)), dtype=np.float32)
        said = [
            (row, self._position(row, name, value))
            for row, context in enumerate(contexts)
            for name, value in context.items()
            if value is not None
        ]
        if said:
            encoded[tuple(np.array(said).T)] = 1
        return encoded

    def _position(self, row: int, name: str, value: Any) -> int:
        # An hour may only be an int, and True and 1.0 equal one.
        known = self._positions.get((name, value)) if type(value) is (int if name == "hour" else str) else None
        return self.columns.index(self._column(row, name, value)) if known is None else known

    def _column(self, row: int, name: str, value: Any) -> str:
        known = {"placement": self.placements, "device": DEVICES, "category": self.categories}
        if name == "hour":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 23:
                raise ContextError(f"context {row}: hour = {value!r}: must be a whole number from 0 to 23")
            return f"daypart={[part for part, start in DAYPARTS.items() if start <= value][-1]}"
        if name not in known:
            raise ContextError(f"context {row}: {name} is not a field; {suggestion(name, FIELDS)}")
        if value not in known[name]:
            raise ContextError(f"context {row}: {name} = {value!r}: not known; {suggestion(value, known[name])}")
        return f"{'page' if name == 'category' else name}={value}"
