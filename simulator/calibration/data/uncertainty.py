"""Estimates with their standard errors, customers or households being the sampled units.

Where the statistic is smooth, its error comes from the influence of every unit (the delta method); quantiles and peaks
have none and are resampled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from policies.arrays import Float64Array, IntArray

REPLICATES = 400


@dataclass(frozen=True)
class Measured:
    """A value and how sure it is.

    Attributes:
        value: the estimate.
        standard_error: of the estimate.
        n: sampled units (customers, households) it rests on.
    """

    value: float
    standard_error: float
    n: int


def from_influence(value: float, influence: Float64Array, *, cluster: IntArray | None = None) -> Measured:
    """An estimate that differs from the truth by about the mean influence.

    Args:
        value: the estimate.
        influence: float64 (n,), of every row, with mean zero.
        cluster: int64 (n,), sampled unit of each row, 0 to C - 1; None if every row is its own.

    Source: Huber 1981, "Robust Statistics", sec. 1.5; clusters: Liang & Zeger 1986, doi:10.1093/biomet/73.1.13.
    """
    if cluster is not None:
        rows = len(influence)
        influence = np.bincount(cluster, weights=influence).astype(np.float64)
        influence *= len(influence) / rows
    units = len(influence)
    error = np.sqrt(float(influence @ influence) / (units * max(units - 1, 1)))
    return Measured(value, float(error), units)


def mean(values: Float64Array) -> Measured:
    """Mean of float64 (n,), each row a unit."""
    centre = float(values.mean())
    return from_influence(centre, values - centre)


def ratio(numerator: Float64Array, denominator: Float64Array) -> Measured:
    """Sum over sum, both float64 (n,) totals per unit: such as redemptions over contacts, per household."""
    value = float(numerator.sum() / denominator.sum())
    return from_influence(value, ratio_influence(numerator, denominator))


def ratio_influence(numerator: Float64Array, denominator: Float64Array) -> Float64Array:
    """Influence of every unit on `ratio`, float64 (n,)."""
    found: Float64Array = (numerator - denominator * (numerator.sum() / denominator.sum())) / denominator.mean()
    return found


def standard_deviation(values: Float64Array, *, cluster: IntArray | None = None) -> Measured:
    """Standard deviation of float64 (n,), without assuming normal values; `cluster` as in `from_influence`."""
    value = float(values.std(ddof=1))
    squared = (values - values.mean()) ** 2
    return from_influence(value, (squared - squared.mean()) / (2 * value), cluster=cluster)


def variation(values: Float64Array) -> Measured:
    """Coefficient of variation (standard deviation over mean) of float64 (n,), each row a unit."""
    centre, spread = float(values.mean()), float(values.std(ddof=1))
    squared = (values - centre) ** 2
    influence = (squared - squared.mean()) / (2 * spread * centre) - spread * (values - centre) / centre**2
    return from_influence(spread / centre, influence)


def difference(one: Measured, other: Measured) -> Measured:
    """`one` less `other`, of independent samples."""
    return Measured(one.value - other.value, float(np.hypot(one.standard_error, other.standard_error)), one.n + other.n)


def quantile(values: Float64Array, level: float, *, seed: int, cluster: IntArray | None = None) -> Measured:
    """The smallest value that at least `level` of float64 (n,) do not exceed; `cluster` as in `from_influence`."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    unit = (np.arange(len(values)) if cluster is None else cluster)[order]

    def of_counts(counts: Float64Array) -> float:
        below = np.cumsum(counts[unit])
        return float(ordered[np.searchsorted(below, level * below[-1])])

    return bootstrap(of_counts, units=int(unit.max()) + 1, seed=seed)


def bootstrap(statistic: Callable[[Float64Array], float], *, units: int, seed: int) -> Measured:
    """A statistic of how often every unit counts, float64 (units,), with the error of its bootstrap.

    Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", ch. 6.
    """
    random = np.random.default_rng(seed)
    counts = (random.multinomial(units, np.full(units, 1 / units)) for _ in range(REPLICATES))
    replicates = [statistic(of.astype(np.float64)) for of in counts]
    return Measured(statistic(np.ones(units)), float(np.std(replicates, ddof=1)), units)
