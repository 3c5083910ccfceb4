"""Every decision of a rollout with what followed: what learning and the critic read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.decision.core import Decisions
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from simulator.world.happenings import Totals

_SPARE = 1.25  # room for what the first day does not show; what is never written costs no memory


@dataclass(frozen=True)
class RolloutLog:
    """n decisions of one block in the order they were made.

    Attributes:
        customer: int64 (n,), row in the block.
        day: int64 (n,), since the start.
        slot: int8 (n,), 0 outbound, 1 on the site, 2 in the store.
        action: int64 (n,).
        propensity: float64 (n,).
        done: bool (n,), false for alerts that expired because no associate had the minutes.
        eligible: bool (n, A).
        features: float32 (n, F).
        margin: float32 (customers, D), money kept per customer and day, contact costs subtracted.
        worth: float32 (customers, D), the same with what goals.yaml adds for outcomes that are not money yet.
    """

    customer: IntArray
    day: IntArray
    slot: IntArray
    action: IntArray
    propensity: Float64Array
    done: BoolArray
    eligible: BoolArray
    features: Float32Array
    margin: Float32Array
    worth: Float32Array

    def __len__(self) -> int:
        return len(self.action)


class LogRecorder:
    """Collects the decisions of a rollout.

    Copied as they come, while they are in the processor's cache, into columns with room for the whole horizon: memory
    of the machine is taken once, and only for what is written.
    """

    def __init__(self, tally: Totals) -> None:
        self._tally = tally
        self._columns: dict[str, NDArray[Any]] = {}
        self._size = self._room = 0
        self._moments: dict[tuple[int, int], slice] = {}

    def add(self, made: Decisions, rows: IntArray, *, slot: int) -> None:
        """Keep decisions about customers `rows`."""
        # Not the decisions themselves: their scores and distributions would take as much memory again.
        kept: dict[str, NDArray[Any]] = {
            "customer": rows,
            "day": np.full(len(rows), self._tally.day),
            "slot": np.full(len(rows), slot, dtype=np.int8),
            "action": made.action,
            "propensity": made.propensity,
            "done": np.ones(len(rows), dtype=bool),
            "eligible": made.eligible,
            "features": made.features,
        }
        start, self._size = self._size, self._size + len(rows)
        if self._size > self._room or not self._columns:
            self._room = self._expected()
            self._columns = {name: self._larger(name, values, start) for name, values in kept.items()}
        for name, values in kept.items():
            self._columns[name][start : self._size] = values
        self._moments[self._tally.day, slot] = slice(start, self._size)

    def finish(self, undone: Mapping[tuple[int, int], IntArray]) -> RolloutLog:
        """The whole log.

        Args:
            undone: by day and slot, int64 (k,), customers of alerts that expired.
        """
        for moment, customers in undone.items():
            rows = self._moments[moment]
            self._columns["done"][rows] = ~np.isin(self._columns["customer"][rows], customers)
        whole: dict[str, Any] = {name: column[: self._size] for name, column in self._columns.items()}
        return RolloutLog(**whole, margin=self._tally.margin, worth=self._tally.worth)

    def _expected(self) -> int:
        """Decisions of the whole horizon if it goes on like this, and some more."""
        return int(self._size * _SPARE * len(self._tally.daily) / (self._tally.day + 1)) + 1

    def _larger(self, name: str, like: NDArray[Any], size: int) -> NDArray[Any]:
        column = np.empty((self._room, *like.shape[1:]), dtype=like.dtype)
        if size:
            column[:size] = self._columns[name][:size]
        return column
