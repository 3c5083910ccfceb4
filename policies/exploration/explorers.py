"""Exploration: from scores to a distribution over the eligible actions, for many customers at once.

Scores are expected reward, higher is better. Every function maps `scores (n, A)` and
`eligible bool (n, A)` (at least one true cell per row) to probabilities float64 (n, A): zero where not
eligible, rows sum to 1. Each row depends on that row alone, bit for bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from policies.arrays import BoolArray, Float64Array, FloatArray
from policies.errors import PolicyError

Kind = Literal["squarecb", "epsilon_greedy", "softmax", "greedy"]
_CHUNK = 2048  # rows worked on at a time, so that the temporaries stay in the cache


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """How a policy explores.

    Attributes:
        kind: `squarecb`, `epsilon_greedy`, `softmax` or `greedy`.
        gamma_scale: SquareCB: exploitation strength at t = 1; rewards are taken in units of `VWPolicy.reward_scale`.
        gamma_exponent: SquareCB: its growth, `gamma = gamma_scale * t ** gamma_exponent`.
        epsilon: every eligible action gets at least `epsilon / their number` (every kind; VW's `--epsilon`), and
            `1 - hold` of that if it is not the first one.
        temperature: softmax: score difference that makes an action e times likelier.
        hold: share of exploration given to the first action, where it is eligible: last of all, every other action
            but the most probable one keeps `1 - hold` of its probability. Exploring by contacting everybody wears
            customers out; where the first action is to stay silent, this explores by that.
    """

    kind: Kind = "squarecb"
    gamma_scale: float = 10.0
    gamma_exponent: float = 0.5
    epsilon: float = 0.0
    temperature: float = 1.0
    hold: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise PolicyError(f"unknown exploration {self.kind!r}; choose one of {', '.join(get_args(Kind))}")
        for name, ok, rule in (
            ("gamma_scale", self.gamma_scale >= 0, "at least 0"),
            ("gamma_exponent", 0 <= self.gamma_exponent <= 1, "between 0 and 1"),
            ("epsilon", 0 <= self.epsilon <= 1, "between 0 and 1"),
            ("temperature", self.temperature > 0, "above 0"),
            ("hold", 0 <= self.hold <= 1, "between 0 and 1"),
        ):
            if not ok:
                raise PolicyError(f"exploration {name} must be {rule}, got {getattr(self, name)}")

    def distribution(self, scores: FloatArray, eligible: BoolArray, *, learned: int) -> Float64Array:
        """Action distribution (n, A); `learned` is the number of decisions learned from so far (t)."""
        if len(scores) <= _CHUNK:
            return self._of_chunk(scores, eligible, learned=learned)
        out = np.empty(scores.shape, dtype=np.float64)
        for start in range(0, len(scores), _CHUNK):
            rows = slice(start, start + _CHUNK)
            out[rows] = self._of_chunk(scores[rows], eligible[rows], learned=learned)
        return out

    def _of_chunk(self, scores: FloatArray, eligible: BoolArray, *, learned: int) -> Float64Array:
        if self.kind == "squarecb":
            gamma = self.gamma_scale * learned**self.gamma_exponent if learned else 0.0
            p = squarecb(scores, eligible, gamma=gamma)
        elif self.kind == "softmax":
            p = softmax(scores, eligible, temperature=self.temperature)
        elif self.kind == "epsilon_greedy":
            p = epsilon_greedy(scores, eligible, epsilon=self.epsilon)
        else:
            p = greedy(scores, eligible)
        if self.epsilon and self.kind == "greedy":
            p = (1.0 - self.epsilon) * p + self.epsilon * uniform(eligible)  # what with_floor would find
        elif self.epsilon and self.kind != "epsilon_greedy":
            p = with_floor(p, eligible, epsilon=self.epsilon)
        return with_hold(p, eligible, share=self.hold) if self.hold else p

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form; `Explorer(**data)` reads it back."""
        return asdict(self)


def squarecb(scores: FloatArray, eligible: BoolArray, *, gamma: float) -> Float64Array:
    """Inverse-gap weighting.

    Args:
        scores: expected reward (n, A); higher is better.
        eligible: bool (n, A).
        gamma: exploitation strength, >= 0; 0 is uniform.

    Source: Foster & Rakhlin 2020 (arXiv:2002.04926), Algorithm 1, with mu = the number of eligible
    actions, as VW's `--squarecb` does.
    """
    p: Float64Array = _masked(scores, eligible).astype(np.float64)
    rows, best = np.arange(len(p)), p.argmax(axis=1)
    if not gamma:
        p = uniform(eligible)
    else:
        np.subtract(p[rows, best][:, None], p, out=p)  # gaps; endless where not eligible
        p *= gamma
        p += _count(eligible)
        np.divide(1.0, p, out=p)
    p[rows, best] = 0.0
    p[rows, best] = 1.0 - np.einsum("ij->i", p)  # four times faster than sum(axis=1) on short rows
    return p


def softmax(scores: FloatArray, eligible: BoolArray, *, temperature: float) -> Float64Array:
    """Boltzmann distribution over the eligible actions; VW's `--softmax --lambda 1/temperature`."""
    top = _masked(scores, eligible).max(axis=1, keepdims=True).astype(scores.dtype)
    weight = np.exp(np.minimum((scores - top) / np.float64(temperature), 0.0)) * eligible
    p: Float64Array = weight / weight.sum(axis=1, keepdims=True)
    return p


def greedy(scores: FloatArray, eligible: BoolArray) -> Float64Array:
    """All probability on the best eligible action, the first of several equal ones."""
    p = np.zeros(scores.shape)
    p[np.arange(len(p)), _masked(scores, eligible).argmax(axis=1)] = 1.0
    return p


def epsilon_greedy(scores: FloatArray, eligible: BoolArray, *, epsilon: float) -> Float64Array:
    """`epsilon` shared by all eligible actions, the rest by the best one, or by equal best ones, as VW does.

    The same as `with_floor` of what is shared by the best ones.
    """
    masked = _masked(scores, eligible)
    best = masked[np.arange(len(masked)), masked.argmax(axis=1)]  # three times faster than max(axis=1)
    top = masked == best[:, None]
    # Two numbers per row are all there is to compute.
    floor = epsilon * (1.0 / _count(eligible))
    p: Float64Array = eligible * floor
    np.copyto(p, (1.0 - epsilon) * (1.0 / _count(top)) + floor, where=top)
    return p


def with_floor(p: Float64Array, eligible: BoolArray, *, epsilon: float) -> Float64Array:
    """The distribution nearest to `p` that gives every eligible action at least `epsilon / their number`.

    What lies above the floor is projected onto the simplex of size `1 - epsilon`; for a greedy `p` that
    is `(1 - epsilon) * p + epsilon * uniform`, and a `p` above the floor everywhere is left alone. The
    same as VW's `enforce_minimum_probability`.
    Source: Duchi et al. 2008, "Efficient projections onto the l1-ball", Figure 1.
    """
    floor = epsilon * uniform(eligible)
    excess = p - floor
    below = np.flatnonzero((excess < 0).any(axis=1))
    if not len(below):
        return p
    floored = p.copy()
    floored[below] = floor[below] + _projected(excess[below], size=1.0 - epsilon)
    return floored


def with_hold(p: Float64Array, eligible: BoolArray, *, share: float) -> Float64Array:
    """The distribution with a share of its exploration given to the first action, in rows where that is eligible.

    Every action other than the first one and the most probable one (the first of several) keeps `1 - share`
    of its probability; the first one gets the rest.
    """
    rows, best = np.arange(len(p)), p.argmax(axis=1)
    held = p.copy()
    held[rows, best] = 0.0
    held[:, 0] = 0.0
    freed = share * np.einsum("ij->i", held)
    held *= 1.0 - share
    held[rows, best] = p[rows, best]
    held[:, 0] = p[:, 0] + freed
    return np.where(eligible[:, :1], held, p) if not eligible[:, 0].all() else held


def uniform(eligible: BoolArray) -> Float64Array:
    """Equal probability for every eligible action."""
    share = eligible.astype(np.float64)
    share /= np.einsum("ij->i", share)[:, None]
    return share


def _projected(p: Float64Array, *, size: float) -> Float64Array:
    """The nearest rows that sum to `size` with no cell below zero, where what is above zero sums to more, (n, A).

    All that stay above zero are lowered alike; those the shift takes below zero leave, and the shift is found again
    for the others, until none leaves: a few rounds, and no sorting.
    Source: Michelot 1986, "A finite algorithm for finding the projection of a point onto the canonical simplex".
    """
    above = p > 0
    shift, count = np.zeros((len(p), 1)), _count(above)
    while True:
        mass = np.einsum("ij->i", p * above)[:, None]
        shift = np.maximum(shift, (mass - size) / np.maximum(count, 1.0))  # never back: all may have left
        above &= p > shift
        before, count = count, _count(above)
        if np.array_equal(count, before):
            projected: Float64Array = np.maximum(p - shift, 0.0)
            return projected


def _count(cells: BoolArray) -> Float64Array:
    """True cells per row, (n, 1)."""
    # A matrix product of small whole numbers, exact, and faster than any sum over short rows.
    count = cells.astype(np.float32) @ np.ones(cells.shape[1], dtype=np.float32)
    return count.astype(np.float64)[:, None]


def _masked(scores: FloatArray, eligible: BoolArray) -> FloatArray:
    """Scores, minus infinity where not eligible; a new array (n, A) of their type."""
    # Three times faster than where(): the mask becomes plus and minus infinity, and the smaller stays.
    limit: FloatArray = eligible.astype(scores.dtype)
    limit -= 0.5
    limit *= limit.dtype.type(np.inf)
    np.minimum(scores, limit, out=limit)
    return limit
