"""Gamma-Gamma: the fit finds the parameters customers were drawn with."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from simulator.calibration.data.data import CustomerSummary, read_summary
from simulator.calibration.data.order_value import OrderValue, fit_order_value, log_likelihood
from simulator.errors import CalibrationError

TRUE = OrderValue(p=5.0, q=4.0, gamma=12.0)


def summary(repeats: np.ndarray, mean_value: np.ndarray) -> CustomerSummary:
    return CustomerSummary(repeats, np.zeros(len(repeats)), np.zeros(len(repeats)), mean_value)


def test_the_fit_finds_the_parameters_that_orders_were_drawn_with() -> None:
    random = np.random.default_rng(2)
    repeats = random.poisson(2.0, 20_000)
    own_rate = random.gamma(TRUE.q, 1 / TRUE.gamma, len(repeats))
    total = random.gamma(np.maximum(TRUE.p * repeats, 1e-9), 1 / own_rate)
    drawn = summary(repeats, np.where(repeats > 0, total / np.maximum(repeats, 1), 0.0))
    assert astuple(fit_order_value(drawn)) == pytest.approx(astuple(TRUE), rel=0.1)


@pytest.mark.parametrize(("x", "z"), [(1, 20.0), (4, 35.0)])
def test_the_likelihood_is_the_story_averaged_over_customers(x: int, z: float) -> None:
    def told(rate: float) -> float:
        return gamma.pdf(z, TRUE.p * x, scale=1 / (x * rate)) * gamma.pdf(rate, TRUE.q, scale=1 / TRUE.gamma)

    one = summary(np.array([x]), np.array([z]))
    assert np.exp(log_likelihood(TRUE, one))[0] == pytest.approx(quad(told, 0, 5)[0], rel=1e-6)


def test_customers_without_a_repeat_order_say_nothing() -> None:
    some = summary(np.array([2, 0]), np.array([20.0, 0.0]))
    assert len(log_likelihood(TRUE, some)) == 1
    with pytest.raises(CalibrationError, match="no customer of the summary has a repeat order"):
        fit_order_value(summary(np.array([0, 0]), np.zeros(2)))


def test_the_published_fit_is_reproduced(data_dir: Path) -> None:
    assert astuple(fit_order_value(read_summary(data_dir))) == pytest.approx((6.25, 3.74, 15.44), rel=0.002)
