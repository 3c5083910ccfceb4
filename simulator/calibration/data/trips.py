"""How often and when households shop: trips per week, gaps between trips, days of the week, hours of the day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from policies.arrays import Float64Array, IntArray
from simulator.calibration.data.data import Baskets
from simulator.errors import CalibrationError

# Households of the panel; some of them do not shop in the months a file covers, and are not in it.
PANEL = 2469
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FIRST_WEEKDAY = WEEKDAYS.index("sunday")  # of day 0


@dataclass(frozen=True)
class TripRates:
    """Gamma-Poisson trips: each household shops at random moments, at a rate that is gamma distributed (NBD counts).

    Attributes:
        shape: of the gamma distribution; the coefficient of variation of the rates is shape ** -0.5.
        rate: its mean, trips per household-week.
    """

    shape: float
    rate: float


def weeks_covered(baskets: Baskets) -> int:
    """Whole weeks since day 0 that the baskets cover."""
    return (int(baskets.day.max()) + 1) // 7


def trips_per_household(baskets: Baskets, *, households: int = PANEL) -> IntArray:
    """Trips in the weeks covered, int64 (households,); households without any are the zeros at the end.

    Raises:
        CalibrationError: there are more households in the baskets.
    """
    return _per_household(_weekly(baskets), households)


def active_weeks_per_household(baskets: Baskets, *, households: int = PANEL) -> IntArray:
    """Weeks with a trip, int64 (households,), of those covered; zeros at the end as in `trips_per_household`.

    Raises:
        CalibrationError: there are more households in the baskets.
    """
    return _per_household((_weekly(baskets) > 0).astype(np.int64), households)


def gaps(baskets: Baskets) -> tuple[Float64Array, IntArray]:
    """Days between one trip and the next of the same household.

    Returns:
        The gaps, float64 (g,), and the household of each, int64 (g,), numbered from 0 among those with a gap.
    """
    time = baskets.day + baskets.hour / 24
    order = np.lexsort((time, baskets.household))
    household, time = baskets.household[order], time[order]
    same = household[1:] == household[:-1]
    _, unit = np.unique(household[1:][same], return_inverse=True)
    return np.diff(time)[same], unit


def weekday_trips(baskets: Baskets) -> Float64Array:
    """Trips per household and day of the week, Monday first, float64 (H, 7); whole weeks only."""
    whole = baskets.day < 7 * weeks_covered(baskets)
    return _crossed(baskets.household[whole], (baskets.day[whole] + FIRST_WEEKDAY) % 7, 7)


def hourly_trips(baskets: Baskets) -> Float64Array:
    """Trips per household and hour of the day, float64 (H, 24)."""
    return _crossed(baskets.household, np.floor(baskets.hour).astype(np.int64), 24)


def fit_by_moments(trips: IntArray, *, weeks: float) -> TripRates:
    """The rates that give the mean and the variance of trips per household, int64 (H,), over the given weeks.

    Raises:
        CalibrationError: the trips vary no more than if all households were alike.
    """
    mean, variance = float(trips.mean()), float(trips.var(ddof=1))
    if variance <= mean:
        raise CalibrationError(
            f"trips per household: variance {variance:.4g} is not above the mean {mean:.4g}, so rates do not differ; "
            "give more households or more weeks"
        )
    return TripRates(shape=mean**2 / (variance - mean), rate=mean / weeks)


def fit_by_likelihood(trips: IntArray, *, weeks: float) -> TripRates:
    """The rates of highest likelihood for trips per household, int64 (H,), over the given weeks.

    The mean's estimate is the sample mean, so only the shape is searched for.

    Raises:
        CalibrationError: as `fit_by_moments`.
    """
    mean = fit_by_moments(trips, weeks=weeks).rate * weeks

    def loss(log_shape: float) -> float:
        shape = np.exp(log_shape)
        stays = shape * np.log(shape / (shape + mean))
        return -float((gammaln(shape + trips) - gammaln(shape) + stays - trips * np.log(shape + mean)).mean())

    found = minimize_scalar(loss, bounds=(-8.0, 8.0), method="bounded", options={"xatol": 1e-8})
    return TripRates(shape=float(np.exp(found.x)), rate=mean / weeks)


def _weekly(baskets: Baskets) -> IntArray:
    """Trips per household and whole week, int64 (H, W), households by number."""
    weeks = weeks_covered(baskets)
    whole = baskets.day < 7 * weeks
    if not whole.any():
        raise CalibrationError("baskets: cover less than a week; give a longer record")
    return _crossed(baskets.household[whole], baskets.day[whole] // 7, weeks).astype(np.int64)


def _per_household(weekly: IntArray, households: int) -> IntArray:
    if len(weekly) > households:
        raise CalibrationError(f"baskets: have {len(weekly)} households, more than the panel's {households}")
    padded = np.zeros(households, dtype=np.int64)
    padded[: len(weekly)] = weekly.sum(axis=1)
    return padded


def _crossed(household: IntArray, column: IntArray, columns: int) -> Float64Array:
    found, unit = np.unique(household, return_inverse=True)
    cells = np.bincount(unit * columns + column, minlength=len(found) * columns)
    return cells.reshape(len(found), columns).astype(np.float64)
