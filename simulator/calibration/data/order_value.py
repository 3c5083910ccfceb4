"""Gamma-Gamma: a customer's orders vary around a mean of the customer's own, which varies between customers.

Symbols follow the source: an order is gamma with shape p and rate nu, nu being gamma with shape q and rate gamma.

Source: Fader, Hardie & Lee 2005, "RFM and CLV: Using Iso-Value Curves for Customer Base Analysis", Journal of Marketing
Research 42(4), doi:10.1509/jmkr.2005.42.4.415; likelihood: Fader & Hardie 2013, "The Gamma-Gamma Model of Monetary
Value".
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from policies.arrays import Float64Array
from simulator.calibration.data.data import CustomerSummary
from simulator.errors import CalibrationError


@dataclass(frozen=True)
class OrderValue:
    """Parameters of a Gamma-Gamma population.

    Attributes:
        p: shape of a customer's order values.
        q: shape of the distribution of their rates; above 1, or the population has no mean.
        gamma: its rate, dollars; the mean order is p gamma / (q - 1).
    """

    p: float
    q: float
    gamma: float


def log_likelihood(model: OrderValue, summary: CustomerSummary) -> Float64Array:
    """Log-likelihood of the mean repeat order of every customer who has one above 0, float64 (m,)."""
    p, q, gamma = astuple(model)
    told = (summary.repeats > 0) & (summary.mean_value > 0)
    x, z = summary.repeats[told], summary.mean_value[told]
    found: Float64Array = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(gamma)
        + (p * x - 1) * np.log(z)
        + p * x * np.log(x)
        - (p * x + q) * np.log(gamma + x * z)
    )
    return found


def fit_order_value(summary: CustomerSummary) -> OrderValue:
    """The parameters of highest likelihood.

    Raises:
        CalibrationError: no customer has a repeat order, or the search finds no maximum.
    """
    if not ((summary.repeats > 0) & (summary.mean_value > 0)).any():
        raise CalibrationError("Gamma-Gamma: no customer of the summary has a repeat order above 0 dollars")

    def loss(logs: Float64Array) -> float:
        return -float(log_likelihood(OrderValue(*np.exp(logs)), summary).mean())

    found = minimize(loss, np.log([1.0, 2.0, 10.0]), method="L-BFGS-B", bounds=[(-12.0, 12.0)] * 3, tol=1e-13)
    if not found.success or np.any(np.abs(found.x) >= 12.0):
        raise CalibrationError(
            f"Gamma-Gamma: the likelihood has no maximum within reach (p, q, gamma = {np.exp(found.x)}; "
            f"{found.message}); "
            "the customers do not differ in what they spend"
        )
    return OrderValue(*(float(value) for value in np.exp(found.x)))
