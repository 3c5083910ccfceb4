"""A policy that speaks whenever it may."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from policies.exploration.explorers import uniform


@dataclass(frozen=True)
class Talkative:
    """Every eligible action but `hold` with equal probability; `hold` where there is no other."""

    actions: ActionSet
    columns: tuple[str, ...]
    reward_name: str = "reward"
    name: str = "talkative"

    def scores(self, features: Float32Array) -> Float32Array:
        return np.zeros((len(features), len(self.actions)), dtype=np.float32)

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:  # noqa: ARG002
        rest = eligible.copy()
        rest[:, 0] = ~eligible[:, 1:].any(axis=1)
        return uniform(rest)
