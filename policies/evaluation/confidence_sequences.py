"""Intervals for differences of means that stay valid however often one looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw

from policies.arrays import BoolArray, Float64Array

# Below this many customers on either side, a normal limit says little; the sequence begins there.
LEAST = 30


@dataclass(frozen=True)
class DifferenceSequence:
    """The difference of two groups' means as customers come in.

    Attributes:
        customers: int64 (k,), of both groups together, after which it was looked.
        value: float64 (k,), mean of the treated minus mean of the others.
        lower: float64 (k,).
        upper: float64 (k,).
    """

    customers: Float64Array
    value: Float64Array
    lower: Float64Array
    upper: Float64Array


def difference_sequence(
    outcome: Float64Array, treated: BoolArray, *, tightest: float, alpha: float = 0.05, looks: int = 200
) -> DifferenceSequence | None:
    """Asymptotic confidence sequence of a difference of means.

    With a probability of 1 - alpha (in the limit of late first looks) all bounds hold together, so one may stop when
    one likes. Each group's mean is its own; the variance of the difference is that of both means.

    Args:
        outcome: float64 (n,), per customer, in the order in which they were complete.
        treated: bool (n,), which of the two groups.
        tightest: number of customers at which bounds shall be tightest for their confidence, at least 1; to be chosen
            before looking and kept: bounds that are tuned anew at every look hold for one look only.
        alpha: chance that a bound is ever wrong.
        looks: moments at which bounds are given, spread evenly, the last at the end.

    Returns:
        From the moment on when both groups have `LEAST` customers; none if they never do.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic
        confidence sequences", Annals of Statistics 52(6): theorem 2.2. Rho makes its width smallest at `tightest`.
    """
    ones = treated.astype(np.float64)
    count = np.stack([np.cumsum(ones), np.cumsum(1.0 - ones)])
    ready = np.flatnonzero((count >= LEAST).all(axis=0))
    if not len(ready):
        return None
    at = np.unique(np.linspace(ready[0], len(outcome) - 1, looks).astype(np.int64))
    # Around a common middle, so that large values do not swallow small differences.
    centred = outcome - outcome.mean()
    masks = np.stack([ones, 1.0 - ones])
    sums, squares = np.cumsum(masks * centred, axis=1)[:, at], np.cumsum(masks * centred**2, axis=1)[:, at]
    n = count[:, at]
    mean = sums / n
    variance = np.maximum(squares / n - mean**2, 0.0) * n / (n - 1)
    value = mean[0] - mean[1]
    total = n.sum(axis=0)
    standard_error = np.sqrt((variance / n).sum(axis=0))
    # The smallest of (x + 1) / x * log((x + 1) / alpha^2) is where log((x + 1) / alpha^2) = x.
    rho2 = (-float(lambertw(-(alpha**2) / np.e, -1).real) - 1) / max(tightest, 1.0)
    # Theorem 2.2 for a mean of `total` terms whose standard deviation is standard_error * sqrt(total).
    grown = total * rho2 + 1
    half = standard_error * np.sqrt(2 * grown / (total * rho2) * np.log(np.sqrt(grown) / alpha))
    return DifferenceSequence(total, value, value - half, value + half)
