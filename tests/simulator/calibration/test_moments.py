"""The gathered figures: their names, and that they agree with what is known of the data."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from simulator.calibration.data.moments import Fitted, Moment, fit, real_moments

# (name, stated value, tolerance): the last digit stated where the figure is of this file, else sampling error.
STATED = [
    ("journey.trips_per_household_week", 1.2127, 5e-5),
    ("journey.active_week_share", 0.5386, 5e-5),
    ("journey.basket_mean", 29.12, 5e-3),
    ("journey.gap_median_days", 2.2, 0.05),
    ("journey.gap_p90_days", 11.5, 0.5),
    ("journey.basket_log_sd", 1.227, 0.01),
    ("journey.hour_peak", 17, 0),
    ("coupons.redemption_a", 0.1551, 5e-5),
    ("coupons.redemption_b", 0.0619, 5e-5),
    ("coupons.redemption_c", 0.0697, 5e-5),
    ("coupons.lag_median_days", 16, 0),
    ("hillstrom.visit_none", 0.10749, 5e-6),
    ("hillstrom.visit_mens", 0.18456, 5e-6),
    ("hillstrom.visit_womens", 0.15274, 5e-6),
]


@pytest.fixture(scope="module")
def moments(data_dir: Path) -> dict[str, Moment]:
    found = real_moments(data_dir)
    by_name = {moment.name: moment for moment in found}
    assert len(by_name) == len(found)
    return by_name


@pytest.fixture(scope="module")
def fitted(data_dir: Path) -> dict[str, Fitted]:
    return fit(data_dir)


@pytest.mark.parametrize(("name", "stated", "tolerance"), STATED)
def test_stated_figures_are_reproduced(moments: dict[str, Moment], name: str, stated: float, tolerance: float) -> None:
    assert moments[name].value == pytest.approx(stated, abs=tolerance)


def test_every_moment_is_a_number_with_an_error_and_a_file(moments: dict[str, Moment], data_dir: Path) -> None:
    for moment in moments.values():
        assert math.isfinite(moment.value)
        assert 0 < moment.standard_error < 0.7 * abs(moment.value)
        assert moment.n > 100
        assert (data_dir / moment.source).is_file()
        with pytest.raises(FrozenInstanceError):
            moment.value = 0.0  # type: ignore[misc]


def test_cdnow_customers_fade(moments: dict[str, Moment]) -> None:
    first, second = (
        moments[f"cdnow.{name}"] for name in ("repeat_per_customer_39w", "repeat_weeks_40_78_per_customer")
    )
    assert first.n == second.n == 23_570
    assert second.value < first.value
    never = moments["cdnow.share_no_repeat_39w"].value
    assert moments["cdnow.share_active_second_half"].value < 1 - never


def test_the_fitted_process_gives_back_the_share_who_come_again(
    moments: dict[str, Moment], fitted: dict[str, Fitted]
) -> None:
    """Fitted to every tenth customer, checked on all; an average of 32.7 weeks stands for 27 to 38.9."""
    r, alpha = fitted["cdnow.r"].value, fitted["cdnow.alpha"].value
    assert (alpha / (alpha + 32.7)) ** r == pytest.approx(moments["cdnow.share_no_repeat_39w"].value, abs=0.02)


def test_the_fitted_rates_give_back_the_mean_and_spread_of_trips(
    moments: dict[str, Moment], fitted: dict[str, Fitted]
) -> None:
    r, rate = fitted["journey.r"].value, fitted["journey.rate"].value
    assert rate == pytest.approx(moments["journey.trips_per_household_week"].value)
    assert math.sqrt(1 / r + 1 / (39 * rate)) == pytest.approx(moments["journey.trips_cv"].value)


def test_parameters_are_complete(fitted: dict[str, Fitted], data_dir: Path) -> None:
    weekdays = [fitted[name].value for name in fitted if name.startswith("journey.weekday.")]
    assert len(weekdays) == 7
    assert sum(weekdays) == pytest.approx(1)
    assert {f"cdnow.{name}" for name in ("r", "alpha", "a", "b", "value_p", "value_q", "value_gamma")} <= set(fitted)
    assert len([name for name in fitted if name.startswith("hillstrom.visit.")]) == 9
    assert fitted["hillstrom.order_floor"].value == 29.99
    assert all((data_dir / parameter.source).is_file() for parameter in fitted.values())


def test_both_are_the_same_every_time(moments: dict[str, Moment], fitted: dict[str, Fitted], data_dir: Path) -> None:
    assert tuple(moments.values()) == real_moments(data_dir)
    assert fitted == fit(data_dir)
