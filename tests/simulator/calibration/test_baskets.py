"""Basket values: the mean, and a log-normal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.data.baskets import fit_log_normal, mean_basket
from simulator.calibration.data.data import read_baskets
from simulator.errors import CalibrationError


def test_the_mean_is_per_basket_and_counts_free_ones() -> None:
    found = mean_basket(np.array([10.0, 0.0, 20.0, 30.0]), np.array([7, 7, 7, 2]))
    assert found.value == 15.0
    assert found.n == 2


def test_baskets_of_alike_households_do_not_make_the_mean_surer() -> None:
    random = np.random.default_rng(0)
    level = random.lognormal(3.0, 1.0, 300)
    once, often = (mean_basket(np.repeat(level, k), np.repeat(np.arange(300), k)) for k in (1, 20))
    assert often.standard_error == pytest.approx(once.standard_error)


def test_the_fit_finds_the_log_normal_that_values_were_drawn_from() -> None:
    random = np.random.default_rng(1)
    value = random.lognormal(2.7, 1.2, 50_000)
    value[:500] = 0.0  # free
    found = fit_log_normal(value, np.arange(50_000))
    for measured, true in ((found.log_mean, 2.7), (found.log_sd, 1.2)):
        assert measured.value == pytest.approx(true, abs=4 * measured.standard_error)
    assert found.log_mean.standard_error == pytest.approx(1.2 / np.sqrt(49_500), rel=0.02)
    assert found.log_sd.standard_error == pytest.approx(1.2 / np.sqrt(2 * 49_500), rel=0.05)


@pytest.mark.parametrize("value", [[0.0, 0.0], [5.0, 0.0], [5.0, 5.0]])
def test_a_log_normal_needs_values_that_differ(value: list[float]) -> None:
    with pytest.raises(CalibrationError, match="fewer than two different values above 0"):
        fit_log_normal(np.array(value), np.array([1, 2]))


def test_the_real_baskets(data_dir: Path) -> None:
    real = read_baskets(data_dir)
    assert mean_basket(real.value, real.household).value == pytest.approx(29.12, abs=0.005)
    found = fit_log_normal(real.value, real.household)
    # Stated for the whole year; this is its first nine months.
    assert found.log_mean.value == pytest.approx(2.749, abs=0.02)
    assert found.log_sd.value == pytest.approx(1.227, abs=0.01)
