"""The t interval against SciPy's, against its promise, and with units of different sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from simulator.comparison.paired_intervals import mean_band, mean_interval

VALUES = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=12)


@given(VALUES, st.integers(1, 5_000), st.sampled_from([0.8, 0.95, 0.99]))
def test_with_units_of_one_size_it_is_students_interval(values: list[float], size: int, confidence: float) -> None:
    found = mean_interval(np.array(values), customers=np.full(len(values), float(size)), confidence=confidence)
    error = stats.sem(values)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=error if error > 0 else 1e-300)
    assert found.units == len(values)
    assert found.value == pytest.approx(np.mean(values), abs=1e-8)
    assert (found.lower, found.upper) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_a_unit_counts_by_its_customers() -> None:
    # Two units by hand: mean (3 * 1 + 1 * 5) / 4 = 2; variance 3 * 1 + 1 * 9 = 12; error sqrt(12 / 4); t(.975, 1).
    found = mean_interval(np.array([1.0, 5.0]), customers=np.array([3.0, 1.0]))
    assert found.value == pytest.approx(2.0)
    assert found.standard_error == pytest.approx(np.sqrt(3.0))
    assert found.upper - found.value == pytest.approx(12.7062047 * np.sqrt(3.0))


def test_the_interval_covers_as_often_as_it_says_with_units_of_very_different_sizes() -> None:
    generator = np.random.default_rng(7)
    customers = np.array([1_000.0, 1_000.0, 250.0, 1_000.0, 100.0])
    draws = 3.0 + generator.standard_normal((20_000, 5)) * 40.0 / np.sqrt(customers)
    band = mean_band(draws.T, customers=customers)
    covered = np.mean((band.lower <= 3.0) & (band.upper >= 3.0))
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 20_000)


def test_units_without_customers_say_nothing() -> None:
    found = mean_interval(np.array([1.0, 99.0, 2.0]), customers=np.array([10.0, 0.0, 10.0]))
    assert found == mean_interval(np.array([1.0, 2.0]), customers=np.array([10.0, 10.0]))
    nobody = mean_interval(np.array([1.0]), customers=np.array([0.0]))
    assert nobody.units == 0
    assert np.isnan(nobody.value)


def test_one_unit_has_a_mean_and_settles_nothing() -> None:
    found = mean_interval(np.array([4.0]), customers=np.array([10.0]))
    assert found.value == 4.0
    assert np.isnan([found.lower, found.upper, found.standard_error]).all()
    assert not found.above_zero
    assert not found.below_zero
