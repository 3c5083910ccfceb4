"""Rates of regular customers who make at most one trip a day, as the world's do, and sometimes leave for good.

Real households also shop twice a day, and a gamma-Poisson model counts that; with its rates the world would have too
few trips. These are the rates that leave as many trips in as many weeks with a trip. (The spread of trips over
households cannot be had as well: part of the real one is households that shop several times a day.)
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import root
from scipy.special import roots_genlaguerre

from policies.arrays import Float64Array
from simulator.calibration.data.trips import TripRates
from simulator.errors import CalibrationError

_NODES = 64
_WEEK_DAYS = 7


def rhythm_of(rates: TripRates, *, weeks: int, dropout: float) -> tuple[float, float]:
    """Trips per household-week and share of household-weeks with a trip.

    A day has a trip with the chance 1 - exp(-rate), the rate being gamma distributed over households; after a trip a
    household leaves with the chance `dropout`.

    Args:
        rates: of the gamma distribution, per week.
        weeks: that are looked at.
        dropout: 0 or more, below 1.
    """
    nodes, weights = roots_genlaguerre(_NODES, rates.shape - 1)
    weights /= weights.sum()
    trip = -np.expm1(-nodes * rates.rate / rates.shape / _WEEK_DAYS)
    there = (1 - trip * dropout)[:, None] ** np.arange(weeks * _WEEK_DAYS)
    active = there[:, ::_WEEK_DAYS] * (1 - (1 - trip) ** _WEEK_DAYS)[:, None]
    return float(weights @ (trip * there.mean(axis=1)) * _WEEK_DAYS), float(weights @ active.mean(axis=1))


def fit_rhythm(*, trips: float, active: float, weeks: int, dropout: float) -> TripRates:
    """The rates that give so many trips per household-week and such a share of household-weeks with a trip.

    Raises:
        CalibrationError: no rates do.
    """

    def off(logs: Float64Array) -> list[float]:
        found = rhythm_of(TripRates(*np.exp(logs)), weeks=weeks, dropout=dropout)
        return [np.log(found[0] / trips), np.log(found[1] / active)]

    # Rates beyond a few trips a day overflow nothing but find nothing either.
    found = root(off, np.log([0.8, 1.3 * trips]))
    if not found.success or np.abs(found.fun).max() > 1e-6:
        raise CalibrationError(
            f"trips: no rates give {trips:.4g} trips a week and a trip in {active:.4g} of the weeks with at most one "
            f"trip a day ({' '.join(str(found.message).split())})"
        )
    shape, rate = np.exp(found.x)
    return TripRates(shape=float(shape), rate=float(rate))
