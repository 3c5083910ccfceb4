"""Several results for one place: drawn one after another, without replacement, with their joint probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import BoolArray, Float64Array, IntArray, UInt64Array
from policies.exploration.draws import draw, uniforms

HOLD = 0
NOTHING = -1


@dataclass(frozen=True)
class Slots:
    """n ordered selections of at most k actions.

    Attributes:
        action: int64 (n, k), `NOTHING` (-1) where a slot stays empty; what follows an empty slot is empty too.
        propensity: float64 (n, k), probability of each given those before it; 1 where nothing could be drawn.
    """

    action: IntArray
    propensity: Float64Array

    @property
    def joint(self) -> Float64Array:
        """Probability of each whole selection, float64 (n,)."""
        joint: Float64Array = self.propensity.prod(axis=1)
        return joint


def draw_slots(
    distribution: Float64Array,
    ids: UInt64Array,
    *,
    count: IntArray,
    excludes: BoolArray,
    which: IntArray,
    stream: str,
) -> Slots:
    """Draw the slots of n decisions.

    The first is drawn from the distribution; every other from what is left of it, in proportion (Plackett 1975, Luce
    1959: the ranking model of successive choices). `hold` ends the selection: what it is drawn for, and all that
    follows, stays empty. So does a slot for which nothing is left.

    Args:
        distribution: float64 (n, A), rows sum to 1; column 0 is `hold`.
        ids: decision ids, uint64 (n, 2); the draws are keyed by them.
        count: int64 (n,), slots wanted, at least 1.
        excludes: bool (kinds, A, A); `excludes[kind, a, b]`: once a is drawn, b no longer may be. An action excludes
            itself.
        which: int64 (n,), the kind of exclusion that holds for each decision.
        stream: of the first draw; slot j has the stream `stream.j`.

    Returns:
        As many columns as the largest count; the first holds `hold` where that was drawn first.
    """
    n, k = len(distribution), int(count.max(initial=1))
    action = np.full((n, k), NOTHING, dtype=np.int64)
    propensity = np.ones((n, k))
    left, rows = distribution, np.arange(n)
    for slot in range(k):
        drawn = draw(left, uniforms(ids[rows], stream=stream if slot == 0 else f"{stream}.{slot + 1}"))
        propensity[rows, slot] = left[np.arange(len(rows)), drawn] / (1.0 if slot == 0 else left.sum(axis=1))
        # A first `hold` is the decision; a later one says that this was enough.
        action[rows, slot] = np.where((drawn == HOLD) & (slot > 0), NOTHING, drawn)
        goes_on = (drawn != HOLD) & (count[rows] > slot + 1)
        drawn, left = drawn[goes_on], left[goes_on]
        rows = rows[goes_on]
        left = np.where(excludes[which[rows], drawn], 0.0, left)
        some = left.sum(axis=1) > 0
        rows, left = rows[some], left[some]
        if not len(rows):
            break
    return Slots(action, propensity)
