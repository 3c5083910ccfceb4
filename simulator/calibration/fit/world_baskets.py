"""The world's numbers of baskets: log-normals that are what they should be after what the world does to baskets."""

from __future__ import annotations

import numpy as np
from scipy.optimize import root
from scipy.stats import norm

from policies.arrays import Float64Array
from simulator.errors import CalibrationError
from simulator.world.settings import BasketSettings


def without_complements(log_mean: float, log_sd: float, settings: BasketSettings) -> tuple[float, float]:
    """Mean and standard deviation of log values before a share of baskets got something to go with it."""
    share, added = settings.complement_share, np.log1p(settings.complement_size)
    return float(log_mean - share * added), float(np.sqrt(log_sd**2 - share * (1 - share) * added**2))


def below_floor_at_floor(log_mean: float, log_sd: float, *, floor: float) -> tuple[float, float]:
    """The normal that has this mean and standard deviation once everything below log(floor) is moved there.

    Source: moments of a censored normal, Greene 2012, "Econometric Analysis", theorem 19.3.

    Raises:
        CalibrationError: there is none.
    """
    log_floor = np.log(floor)

    def off(place: Float64Array) -> list[float]:
        mean, sd = place[0], np.exp(place[1])
        z = (log_floor - mean) / sd
        below, density = norm.cdf(z), norm.pdf(z)
        first = log_floor * below + mean * (1 - below) + sd * density
        second = log_floor**2 * below + (mean**2 + sd**2) * (1 - below) + sd * density * (mean + log_floor)
        return [first - log_mean, second - first**2 - log_sd**2]

    found = root(off, [log_mean, np.log(log_sd)])
    if not found.success:
        raise CalibrationError(
            f"orders: no log-normal has log mean {log_mean:.4g} and sd {log_sd:.4g} with a least value of {floor:.4g}"
        )
    return float(found.x[0]), float(np.exp(found.x[1]))
