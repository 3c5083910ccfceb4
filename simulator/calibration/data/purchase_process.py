"""BG/NBD: customers buy at random moments at a rate of their own, and after any purchase may leave for good.

Rates are gamma distributed (`shape`, `scale` per customer), the chance to leave after a purchase is beta distributed.
Symbols follow the source: r, alpha of the rates; a, b of leaving.

Source: Fader, Hardie & Lee 2005, '"Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model',
Marketing Science 24(2), doi:10.1287/mksc.1040.0098.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from policies.arrays import Float64Array, IntArray
from simulator.calibration.data.data import CustomerSummary, Orders
from simulator.errors import CalibrationError


@dataclass(frozen=True)
class PurchaseProcess:
    """Parameters of a BG/NBD population; time is in weeks.

    Attributes:
        r: shape of the gamma distribution of purchase rates.
        alpha: its rate, weeks: the mean customer buys r / alpha times a week while staying.
        a: first shape of the beta distribution of leaving after a purchase.
        b: second shape: the mean chance to leave is a / (a + b).
    """

    r: float
    alpha: float
    a: float
    b: float


def summarise(orders: Orders, *, weeks: int) -> CustomerSummary:
    """Every customer's history to the end of a calendar week, customers in ascending order of their number.

    Orders of one day are one order. Customers whose first order comes later are left out.

    Args:
        orders: the log.
        weeks: calendar weeks since day 0 that are looked at.
    """
    customer, day, value = _order_days(orders)
    early = day < 7 * weeks
    _, start, unit = np.unique(customer[early], return_index=True, return_inverse=True)
    day, value = day[early], value[early]
    first = day[start]
    repeats = np.bincount(unit) - 1
    last = np.zeros_like(first)
    np.maximum.at(last, unit, day - first[unit])
    spent = np.bincount(unit, weights=value) - value[start]
    return CustomerSummary(
        repeats=repeats,
        last=last / 7,
        observed=(7 * weeks - 1 - first) / 7,
        mean_value=spent / np.maximum(repeats, 1),
    )


def orders_between(orders: Orders, *, start: int, end: int) -> IntArray:
    """Days with an order in the calendar weeks start to end - 1 (week 0 is the first), per customer by number.

    Returns:
        int64 (N,) for every customer of the log.
    """
    customer, day, _ = _order_days(orders)
    _, unit = np.unique(customer, return_inverse=True)
    within = (day >= 7 * start) & (day < 7 * end)
    return np.bincount(unit, weights=within).astype(np.int64)


def log_likelihood(process: PurchaseProcess, summary: CustomerSummary) -> Float64Array:
    """Log-likelihood of every customer's history, float64 (n,).

    Source: eq. (6) of the paper, in logarithms.
    """
    r, alpha, a, b = astuple(process)
    x, repeated = summary.repeats, summary.repeats > 0
    rate = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    stays = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + summary.observed)
    # Left right after the last purchase; impossible, hence -inf, for who has not bought again.
    leaves = np.full(len(x), -np.inf)
    leaves[repeated] = (
        betaln(a + 1, b + x[repeated] - 1) - betaln(a, b) - (r + x[repeated]) * np.log(alpha + summary.last[repeated])
    )
    total: Float64Array = rate + np.logaddexp(stays, leaves)
    return total


def fit_purchase_process(summary: CustomerSummary) -> PurchaseProcess:
    """The parameters of highest likelihood.

    Raises:
        CalibrationError: nobody bought again, or the likelihood has no maximum that the search can find.
    """
    if not (summary.repeats > 0).any():
        raise CalibrationError("BG/NBD: no customer of the summary bought again; give a longer observation")

    def loss(logs: Float64Array) -> float:
        return -float(log_likelihood(PurchaseProcess(*np.exp(logs)), summary).mean())

    found = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(-12.0, 12.0)] * 4, options={"ftol": 1e-13})
    if not found.success or np.any(np.abs(found.x) >= 12.0):
        raise CalibrationError(
            f"BG/NBD: the likelihood has no maximum within reach (r, alpha, a, b = {np.exp(found.x)}; "
            f"{found.message}); "
            "the customers' histories do not tell rates from leaving"
        )
    return PurchaseProcess(*(float(value) for value in np.exp(found.x)))


def _order_days(orders: Orders) -> tuple[IntArray, IntArray, Float64Array]:
    """Customer, day and dollars of every day with orders, by customer and day."""
    days = int(orders.day.max()) + 1
    key, unit = np.unique(orders.customer * days + orders.day, return_inverse=True)
    return key // days, key % days, np.bincount(unit, weights=orders.value).astype(np.float64)
