"""Customer states in memory, found by customer id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orchestrator.ingest.events import Events
from orchestrator.profiles.features import consent, features
from orchestrator.profiles.schema import ProfileSchema
from orchestrator.profiles.state import apply
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray, StrArray


class Profiles:
    """One state per customer, and the ids of the events that made them.

    Customers never heard of have an empty state; asking about them is no error and stores nothing.
    """

    def __init__(self, schema: ProfileSchema) -> None:
        self.schema = schema
        self._rows: dict[str, int] = {}
        self._states = schema.empty(0)
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def customers(self) -> tuple[str, ...]:
        """Ids of every customer known, in order of first appearance."""
        return tuple(self._rows)

    def apply(self, events: Events) -> int:
        """Bring states up to date; an event id seen before counts once.

        Returns:
            How many events were new.
        """
        fresh = events.fresh(self._seen.__contains__)
        rows = self._rows_for(fresh.customers)
        apply(self.schema, self._states, replace(fresh, customer=rows[fresh.customer]))
        self._seen.update(fresh.event_id.tolist())
        return len(fresh)

    def states(self, ids: Sequence[str] | StrArray) -> Float64Array:
        """A copy of the states of these customers; float64 (n, S)."""
        rows = np.fromiter((self._rows.get(customer, -1) for customer in ids), dtype=np.int64, count=len(ids))
        states = self.schema.empty(len(rows))
        known = rows >= 0
        states[known] = self._states[rows[known]]
        return states

    def features(self, ids: Sequence[str] | StrArray, *, now: float | Float64Array) -> Float32Array:
        """Features of these customers at a moment (seconds since 1970); float32 (n, F)."""
        return features(self.schema, self.states(ids), now)

    def consent(self, ids: Sequence[str] | StrArray) -> BoolArray:
        """Whether each channel may be used for each of these customers; bool (n, channels)."""
        return consent(self.schema, self.states(ids))

    def _rows_for(self, customers: StrArray) -> IntArray:
        rows = np.fromiter(
            (self._rows.setdefault(customer, len(self._rows)) for customer in customers),
            dtype=np.int64,
            count=len(customers),
        )
        if len(self._rows) > len(self._states):
            grown = self.schema.empty(max(len(self._rows), 2 * len(self._states)))
            grown[: len(self._states)] = self._states
            self._states = grown
        return rows
