"""Standard errors: each is the spread of its estimate over samples drawn again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from policies.arrays import Float64Array, IntArray
from simulator.calibration.data.uncertainty import (
    Measured,
    bootstrap,
    difference,
    mean,
    quantile,
    ratio,
    standard_deviation,
    variation,
)

UNITS = 400


def households(random: np.random.Generator) -> tuple[Float64Array, IntArray]:
    """Skewed values of households that differ in level and in number of rows."""
    rows = 1 + random.poisson(random.gamma(1.0, 4.0, UNITS))
    unit = np.repeat(np.arange(UNITS), rows)
    level = random.lognormal(0.0, 0.5, UNITS)
    return level[unit] * random.gamma(2.0, 1.0, len(unit)), unit


def spent(values: Float64Array, unit: IntArray) -> Float64Array:
    return np.bincount(unit, weights=values)


def trips(unit: IntArray) -> Float64Array:
    return np.bincount(unit).astype(np.float64)


@pytest.mark.parametrize(
    ("estimate", "samples"),
    [
        (lambda values, unit: mean(spent(values, unit)), 500),
        (lambda values, unit: ratio(spent(values, unit), trips(unit)), 500),
        (lambda values, unit: standard_deviation(np.log(values), cluster=unit), 500),
        (lambda _, unit: variation(trips(unit)), 500),
        (lambda _, unit: difference(mean(trips(unit)[:100]), mean(trips(unit)[100:])), 500),
        (lambda values, unit: quantile(values, 0.5, seed=1, cluster=unit), 60),
        (lambda values, unit: quantile(trips(unit) + spent(values, unit), 0.9, seed=1), 60),
    ],
    ids=["mean", "ratio", "deviation", "variation", "difference", "median", "90 %"],
)
def test_the_error_is_the_spread_over_samples(
    estimate: Callable[[Float64Array, IntArray], Measured], samples: int
) -> None:
    random = np.random.default_rng(3)
    found = [estimate(*households(random)) for _ in range(samples)]
    assert {m.n for m in found} == {UNITS}
    spread = np.std([m.value for m in found], ddof=1)
    # The spread of a spread is about 1 / sqrt(2 samples).
    assert np.mean([m.standard_error for m in found]) == pytest.approx(spread, rel=4 / np.sqrt(2 * samples))


def test_the_textbook_error_of_a_mean() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    assert mean(values) == Measured(4.0, pytest.approx(values.std(ddof=1) / 2), 4)


def test_rows_that_repeat_within_a_household_add_no_certainty() -> None:
    values = np.random.default_rng(0).normal(size=200)
    once = standard_deviation(values)
    thrice = standard_deviation(np.repeat(values, 3), cluster=np.repeat(np.arange(200), 3))
    assert thrice.standard_error == pytest.approx(once.standard_error, rel=0.01)
    assert thrice.n == once.n


@pytest.mark.parametrize(("level", "expected"), [(0.5, 3.0), (0.2, 1.0), (0.21, 2.0), (1.0, 5.0)])
def test_a_quantile_is_the_smallest_value_that_enough_do_not_exceed(level: float, expected: float) -> None:
    assert quantile(np.array([5.0, 1.0, 4.0, 2.0, 3.0]), level, seed=0).value == expected


def test_one_seed_gives_one_error() -> None:
    values = np.random.default_rng(0).normal(size=50)
    errors = [bootstrap(lambda times: float(times @ values / 50), units=50, seed=s).standard_error for s in (1, 1, 2)]
    assert errors[0] == errors[1] != errors[2]
    assert errors[0] == pytest.approx(values.std() / np.sqrt(50), rel=0.15)
