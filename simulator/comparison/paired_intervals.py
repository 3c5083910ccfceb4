"""Student's t interval of a mean over independent populations of different sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from policies.arrays import Float64Array

CONFIDENCE = 0.95
# With fewer units Student's t stretches intervals, but nothing can show that the units are as alike as it assumes.
FEW_UNITS = 5
ROUNDING = 1e-9  # of sums in another order; a difference below it is none


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its interval, all in the units of the values.

    Attributes:
        value: the mean.
        lower: lower bound; NaN with fewer than two units.
        upper: upper bound; NaN with fewer than two units.
        standard_error: of the mean; NaN with fewer than two units.
        units: how many independent populations it rests on.
    """

    value: float
    lower: float
    upper: float
    standard_error: float
    units: int

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is positive, by more than rounding; never with fewer than two units."""
        return self.lower > ROUNDING

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is negative, by more than rounding; never with fewer than two units."""
        return self.upper < -ROUNDING

    @property
    def rests_on_few(self) -> bool:
        """Whether there are too few units for a claim, whatever the interval says."""
        return self.units < FEW_UNITS


@dataclass(frozen=True)
class MeanBand:
    """Pointwise intervals of many means over the same units.

    Attributes:
        value: float64 (...), the means.
        lower: float64 (...), NaN with fewer than two units.
        upper: float64 (...), NaN with fewer than two units.
        standard_error: float64 (...), NaN with fewer than two units.
    """

    value: Float64Array
    lower: Float64Array
    upper: Float64Array
    standard_error: Float64Array


def mean_interval(values: Float64Array, *, customers: Float64Array, confidence: float = CONFIDENCE) -> MeanInterval:
    """Mean per customer and its t interval; units without customers say nothing and are left out.

    Args:
        values: float64 (U,), mean per customer of each unit.
        customers: float64 (U,), customers in each unit, >= 0.
        confidence: in (0, 1).
    """
    counted = customers > 0
    units = int(counted.sum())
    if units == 0:
        return MeanInterval(np.nan, np.nan, np.nan, np.nan, 0)
    band = mean_band(values[counted], customers=customers[counted], confidence=confidence)
    return MeanInterval(
        float(band.value), float(band.lower), float(band.upper), float(band.standard_error), units=units
    )


def mean_band(values: Float64Array, *, customers: Float64Array, confidence: float = CONFIDENCE) -> MeanBand:
    """Means per customer and their t intervals with U - 1 degrees of freedom.

    A unit is a population of independent customers, so the variance of its mean is inversely proportional to its
    size. With that, weighting by customers is the best linear estimate, and the interval is exact for normal unit means
    whatever the sizes: `variance = sum(n_u * (d_u - mean)**2) / (U - 1)`, `standard error = sqrt(variance / sum(n_u))`.

    Args:
        values: float64 (U, ...), mean per customer of each unit; for a paired interval, differences of two policies
            in the same unit.
        customers: float64 (U,), customers in each unit, > 0.
        confidence: in (0, 1).

    Source: Student 1908, doi:10.1093/biomet/6.1.1; weights by Aitken 1936, doi:10.1017/S0370164600014346.
    """
    units, total = len(customers), float(customers.sum())
    mean = np.asarray(np.tensordot(customers, values, axes=1) / total, dtype=np.float64)
    if units < 2:
        unknown = np.full(mean.shape, np.nan)
        return MeanBand(mean, unknown, unknown, unknown)
    variance = np.tensordot(customers, (values - mean) ** 2, axes=1) / (units - 1)
    standard_error = np.asarray(np.sqrt(variance / total), dtype=np.float64)
    half = float(stdtrit(units - 1, 0.5 + confidence / 2.0)) * standard_error
    return MeanBand(mean, mean - half, mean + half, standard_error)
