"""Every decision of a rollout with what followed: what learning and the critic read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.decisions import Decisions
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from simulator.world.happenings import Tally


@dataclass(frozen=True)
class RolloutLog:
    """n decisions of one block in the order they were made.

    Attributes:
        customer: int64 (n,), row in the block.
        day: int64 (n,), since the start.
        slot: int8 (n,), 0 outbound, 1 on the site, 2 in the store.
        action: int64 (n,).
        propensity: float64 (n,).
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
    eligible: BoolArray
    features: Float32Array
    margin: Float32Array
    worth: Float32Array

    def __len__(self) -> int:
        return len(self.action)


class LogRecorder:
    """Collects the decisions of a rollout."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        # Not the decisions themselves: their scores and distributions would take as much memory again.
        self._parts: list[tuple[IntArray, int, int, IntArray, Float64Array, BoolArray, Float32Array]] = []

    def add(self, made: Decisions, rows: IntArray, *, slot: int) -> None:
        """Keep decisions about customers `rows`."""
        kept = made.action, made.propensity, made.eligible, made.features
        self._parts.append((rows, self._tally.day, slot, *kept))

    def finish(self) -> RolloutLog:
        """The whole log."""
        parts = self._parts
        return RolloutLog(
            customer=np.concatenate([p[0] for p in parts]),
            day=np.concatenate([np.full(len(p[0]), p[1]) for p in parts]),
            slot=np.concatenate([np.full(len(p[0]), p[2], dtype=np.int8) for p in parts]),
            action=np.concatenate([p[3] for p in parts]),
            propensity=np.concatenate([p[4] for p in parts]),
            eligible=np.concatenate([p[5] for p in parts]),
            features=np.concatenate([p[6] for p in parts]),
            margin=self._tally.margin,
            worth=self._tally.worth,
        )
