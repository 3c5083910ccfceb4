"""Exploration: from scores to a distribution over the eligible actions, for many customers at once.

Scores are expected reward, higher is better. Every function maps `scores (n, A)` and
`eligible bool (n, A)` (at least one true cell per row) to probabilities float64 (n, A): zero where not
eligible, rows sum to 1. Each row depends on that row alone, bit for bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from policies.arrays import BoolArray, Float64Array, FloatArray, IntArray
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
        epsilon: every eligible action gets at least `epsilon / their number` (every kind; VW's `--epsilon`).
        temperature: softmax: score difference that makes an action e times likelier.
    """

    kind: Kind = "squarecb"
    gamma_scale: float = 10.0
    gamma_exponent: float = 0.5
    epsilon: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise PolicyError(f"unknown exploration {self.kind!r}; choose one of {', '.join(get_args(Kind))}")
        for name, ok, rule in (
            ("gamma_scale", self.gamma_scale >= 0, "at least 0"),
            ("gamma_exponent", 0 <= self.gamma_exponent <= 1, "between 0 and 1"),
            ("epsilon", 0 <= self.epsilon <= 1, "between 0 and 1"),
            ("temperature", self.temperature > 0, "above 0"),
        ):
            if not ok:
                raise PolicyError(f"exploration {name} must be {rule}, got {getattr(self, name)}")

    def distribution(self, scores: FloatArray, eligible: BoolArray, *, learned: int) -> Float64Array:
        """Action distribution (n, A); `learned` is the number of decisions learned from so far (t)."""
        gamma = self.gamma_scale * learned**self.gamma_exponent if learned else 0.0
        out = np.empty(scores.shape, dtype=np.float64)
        for start in range(0, len(scores), _CHUNK):
            rows = slice(start, start + _CHUNK)
            s, e = scores[rows], eligible[rows]
            if self.kind == "squarecb":
                p = squarecb(s, e, gamma=gamma)
            elif self.kind == "softmax":
                p = softmax(s, e, temperature=self.temperature)
            elif self.kind == "epsilon_greedy":
                p = greedy_shared(s, e)
            else:
                p = greedy(s, e)
            out[rows] = with_floor(p, e, epsilon=self.epsilon) if self.epsilon else p
        return out

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
    rows, best, top = _best(scores, eligible)
    p = np.subtract(top, scores, dtype=np.float64)
    np.maximum(p, 0.0, out=p)  # an ineligible action may score above the best eligible one
    p *= gamma
    p += eligible.sum(axis=1, dtype=np.float64)[:, None]
    np.divide(eligible, p, out=p)
    p[rows, best] = 0.0
    p[rows, best] = 1.0 - np.einsum("ij->i", p)  # four times faster than sum(axis=1) on short rows
    return p


def softmax(scores: FloatArray, eligible: BoolArray, *, temperature: float) -> Float64Array:
    """Boltzmann distribution over the eligible actions; VW's `--softmax --lambda 1/temperature`."""
    _, _, top = _best(scores, eligible)
    weight = np.exp(np.minimum((scores - top) / np.float64(temperature), 0.0)) * eligible
    p: Float64Array = weight / weight.sum(axis=1, keepdims=True)
    return p


def greedy(scores: FloatArray, eligible: BoolArray) -> Float64Array:
    """All probability on the best eligible action, the first of several equal ones."""
    rows, best, _ = _best(scores, eligible)
    p = np.zeros(scores.shape)
    p[rows, best] = 1.0
    return p


def greedy_shared(scores: FloatArray, eligible: BoolArray) -> Float64Array:
    """All probability on the best eligible action, shared equally between equal ones, as VW's epsilon-greedy does."""
    _, _, top = _best(scores, eligible)
    return uniform((scores == top) & eligible)


def with_floor(p: Float64Array, eligible: BoolArray, *, epsilon: float) -> Float64Array:
    """The distribution nearest to `p` that gives every eligible action at least `epsilon / their number`.

    What lies above the floor is projected onto the simplex of size `1 - epsilon`; for a greedy `p` that
    is `(1 - epsilon) * p + epsilon * uniform`, and a `p` above the floor everywhere is left alone. The
    same as VW's `enforce_minimum_probability`.
    Source: Duchi et al. 2008, "Efficient projections onto the l1-ball", Figure 1.
    """
    floor = epsilon * uniform(eligible)
    excess = np.where(eligible, p - floor, -np.inf)
    descending = -np.sort(-excess, axis=1)
    surplus = np.cumsum(descending, axis=1) - (1.0 - epsilon)
    above = np.maximum((descending * np.arange(1, p.shape[1] + 1) > surplus).sum(axis=1, keepdims=True), 1)
    shift = np.take_along_axis(surplus, above - 1, axis=1) / above
    floored: Float64Array = floor + np.maximum(excess - shift, 0.0)
    return floored


def uniform(eligible: BoolArray) -> Float64Array:
    """Equal probability for every eligible action."""
    share: Float64Array = eligible / eligible.sum(axis=1, dtype=np.float64, keepdims=True)
    return share


def _best(scores: FloatArray, eligible: BoolArray) -> tuple[IntArray, IntArray, FloatArray]:
    masked = np.where(eligible, scores, scores.dtype.type(-np.inf))
    rows = np.arange(len(scores))
    best = masked.argmax(axis=1)
    return rows, best, masked[rows, best][:, None]
