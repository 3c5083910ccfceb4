"""What a basket or an order is worth: the mean, and a log-normal around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import Float64Array, IntArray
from simulator.calibration.data.uncertainty import Measured, from_influence, ratio, standard_deviation
from simulator.errors import CalibrationError


@dataclass(frozen=True)
class LogNormal:
    """Values whose logarithm is normal.

    Attributes:
        log_mean: mean of the natural logarithm of dollars.
        log_sd: its standard deviation.
    """

    log_mean: Measured
    log_sd: Measured


def mean_basket(value: Float64Array, household: IntArray) -> Measured:
    """Dollars per basket; baskets of one household are one unit.

    Args:
        value: float64 (n,), dollars, 0 for free baskets.
        household: int64 (n,), any numbers.
    """
    _, unit = np.unique(household, return_inverse=True)
    spent = np.bincount(unit, weights=value).astype(np.float64)
    return ratio(spent, np.bincount(unit).astype(np.float64))


def fit_log_normal(value: Float64Array, customer: IntArray) -> LogNormal:
    """The log-normal of highest likelihood; values of 0 have no logarithm and are left out.

    Args:
        value: float64 (n,), dollars.
        customer: int64 (n,), any numbers; values of one customer are one unit.

    Raises:
        CalibrationError: fewer than two different values above 0.
    """
    paid = value > 0
    logs = np.log(value[paid])
    if len(np.unique(logs)) < 2:
        raise CalibrationError("log-normal: fewer than two different values above 0; give more baskets")
    _, unit = np.unique(customer[paid], return_inverse=True)
    centre = float(logs.mean())
    return LogNormal(
        log_mean=from_influence(centre, logs - centre, cluster=unit),
        log_sd=standard_deviation(logs, cluster=unit),
    )
