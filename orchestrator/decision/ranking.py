"""The best actions of many decisions at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray

MOST_RANKED = 20


@dataclass(frozen=True)
class Ranking:
    """Per decision, its best eligible actions, best score first; equal scores in catalogue order.

    The chosen action is always among them: last, if exploration drew one that ranks lower.

    Attributes:
        actions: n lists of at most `MOST_RANKED` action indexes.
        scores: their scores.
        probabilities: their probabilities.
    """

    actions: list[list[int]]
    scores: list[list[float]]
    probabilities: list[list[float]]


def rank(scores: Float32Array, distribution: Float64Array, eligible: BoolArray, action: IntArray) -> Ranking:
    """Rank n decisions.

    Args:
        scores: float32 (n, A).
        distribution: float64 (n, A).
        eligible: bool (n, A).
        action: int64 (n,), the chosen ones.
    """
    order = np.argsort(np.where(eligible, -scores, np.inf), axis=1, kind="stable")[:, :MOST_RANKED]
    absent = (order != action[:, None]).all(axis=1)
    order[absent, -1] = action[absent]
    counts = np.minimum(eligible.sum(axis=1), MOST_RANKED).tolist()
    return Ranking(
        *(
            [row[:count] for row, count in zip(values.tolist(), counts, strict=True)]
            for values in (
                order,
                np.take_along_axis(scores, order, axis=1),
                np.take_along_axis(distribution, order, axis=1),
            )
        )
    )
