"""Trips: counting them, and finding the rates households were drawn with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from simulator.calibration.data.data import Baskets, read_baskets
from simulator.calibration.data.trips import (
    WEEKDAYS,
    TripRates,
    active_weeks_per_household,
    fit_by_likelihood,
    fit_by_moments,
    gaps,
    hourly_trips,
    trips_per_household,
    weekday_trips,
    weeks_covered,
)
from simulator.errors import CalibrationError


def baskets(*trips: tuple[int, int, float]) -> Baskets:
    """Of (household, day, hour) each."""
    household, day, hour = zip(*trips, strict=True)
    return Baskets(np.array(household), np.array(day), np.array(hour, dtype=float), np.ones(len(day)))


# Household 40: days 0, 3 and 13; household 7: day 8 twice; day 14 begins a third week that is not whole.
FEW = baskets((40, 13, 12), (40, 0, 6), (7, 8, 9), (40, 3, 18), (7, 8, 17.5), (40, 14, 23))


def test_trips_and_active_weeks_are_of_whole_weeks() -> None:
    assert weeks_covered(FEW) == 2
    assert trips_per_household(FEW, households=4).tolist() == [2, 3, 0, 0]
    assert active_weeks_per_household(FEW, households=4).tolist() == [1, 2, 0, 0]


def test_gaps_are_between_trips_of_one_household() -> None:
    days, household = gaps(FEW)
    np.testing.assert_allclose(days, [8.5 / 24, 3.5, 9.75, 1 + 11 / 24])
    assert household.tolist() == [0, 1, 1, 1]


def test_day_0_is_a_sunday() -> None:
    assert weekday_trips(baskets((1, 0, 9), (1, 6, 9), (2, 1, 9), (2, 8, 9), (2, 13, 9))).tolist() == [
        [0, 0, 0, 0, 0, 1, 1],
        [2, 0, 0, 0, 0, 1, 0],
    ]
    assert WEEKDAYS[np.datetime64("2017-01-01").astype(object).weekday()] == "sunday"


def test_hours_begin_at_midnight() -> None:
    crossed = hourly_trips(baskets((1, 0, 0.0), (1, 6, 23.99), (2, 1, 17.5)))
    assert np.argwhere(crossed).tolist() == [[0, 0], [0, 23], [1, 17]]


def test_too_many_households_and_too_short_records_are_refused() -> None:
    with pytest.raises(CalibrationError, match="have 2 households, more than the panel's 1"):
        trips_per_household(FEW, households=1)
    with pytest.raises(CalibrationError, match="less than a week"):
        trips_per_household(baskets((1, 5, 9)))


@settings(max_examples=15, deadline=None)
@given(shape=st.floats(0.4, 4.0), rate=st.floats(0.3, 3.0), seed=st.integers(0, 99))
def test_both_fits_find_the_rates_that_trips_were_drawn_with(shape: float, rate: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    weeks = 39
    trips = random.poisson(random.gamma(shape, rate / shape, 20_000) * weeks)
    for fitted in (fit_by_moments(trips, weeks=weeks), fit_by_likelihood(trips, weeks=weeks)):
        assert fitted.shape == pytest.approx(shape, rel=0.15)
        assert fitted.rate == pytest.approx(trips.mean() / weeks)


def test_the_active_share_is_that_of_weekly_counts() -> None:
    rates = TripRates(shape=0.8, rate=1.2)
    random = np.random.default_rng(0)
    weekly = random.poisson(random.gamma(0.8, 1.2 / 0.8, 200_000))
    expected = 1 - (rates.shape / (rates.shape + rates.rate)) ** rates.shape
    assert expected == pytest.approx((weekly > 0).mean(), abs=0.005)


def test_households_that_do_not_differ_are_refused() -> None:
    for fit in (fit_by_moments, fit_by_likelihood):
        with pytest.raises(CalibrationError, match="variance 0 is not above the mean 5"):
            fit(np.full(10, 5), weeks=3)


def test_the_real_panel(data_dir: Path) -> None:
    real = read_baskets(data_dir)
    weeks, trips = weeks_covered(real), trips_per_household(real)
    assert (weeks, len(trips), (trips == 0).sum(), trips.sum()) == (39, 2469, 23, 116_769)
    assert trips.mean() / weeks == pytest.approx(1.2127, abs=5e-5)
    assert active_weeks_per_household(real).mean() / weeks == pytest.approx(0.5386, abs=5e-5)
    # Stated for the whole year: .83; the record ends in September.
    assert fit_by_moments(trips, weeks=weeks).shape == pytest.approx(0.83, abs=0.1)
    days, _ = gaps(real)
    assert np.median(days) == pytest.approx(2.2, abs=0.05)
    assert np.quantile(days, 0.9) == pytest.approx(11.5, abs=0.5)
    assert hourly_trips(real).sum(axis=0).argmax() == 17
    assert weekday_trips(real).sum(axis=0).argmax() in (5, 6)
