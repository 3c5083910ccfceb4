"""Intervals one may look at whenever one likes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from policies.evaluation.confidence_sequences import LEAST, difference_sequence


def sequence(seed, *, lift, n=1500, tightest=1500):
    draws = np.random.default_rng(seed)
    treated = draws.random(n) < 0.3
    outcome = draws.exponential(2.0, n) + lift * treated
    found = difference_sequence(outcome, treated, tightest=tightest)
    assert found is not None
    return found, outcome, treated


def test_bounds_hold_all_together_although_one_looks_every_time() -> None:
    wrong = [bool(((s.lower > 0.5) | (s.upper < 0.5)).any()) for s, _, _ in (sequence(i, lift=0.5) for i in range(400))]
    # 20 of 400 at most are to be wrong; an interval for one look would be far more often somewhere on the way.
    assert sum(wrong) <= 20
    narrow = []
    for i in range(100):
        found, _, _ = sequence(i, lift=0.5)
        half = (found.upper - found.value) * norm.ppf(0.975) / widening(found.customers, 1500)
        narrow.append(bool((np.abs(found.value - 0.5) > half).any()))
    assert sum(narrow) > 15


def widening(n, tightest, alpha=0.05):
    """Half a width in standard errors, by theorem 2.2 with the best rho, found by search."""

    def at(log_rho2, t):
        x = t * np.exp(log_rho2)
        return np.sqrt(2 * (x + 1) / x * np.log(np.sqrt(x + 1) / alpha))

    best = minimize_scalar(lambda r: at(r, tightest), bounds=(-20, 5), method="bounded", options={"xatol": 1e-10}).x
    return at(best, n)


def test_the_last_bound_is_that_of_both_means_and_their_variances() -> None:
    found, outcome, treated = sequence(1, lift=0.0)
    one, other = outcome[treated], outcome[~treated]
    error = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    assert found.value[-1] == pytest.approx(one.mean() - other.mean())
    half = widening(1500.0, 1500) * error
    assert (found.lower[-1], found.upper[-1]) == pytest.approx(
        (found.value[-1] - half, found.value[-1] + half), rel=1e-6
    )


def test_a_real_difference_is_found_and_large_common_values_change_nothing() -> None:
    found, outcome, treated = sequence(2, lift=1.0, n=6000, tightest=6000)
    assert found.lower[-1] > 0
    shifted = difference_sequence(outcome + 1e9, treated, tightest=6000)
    assert shifted is not None
    np.testing.assert_allclose(shifted.lower, found.lower, atol=1e-4)


def test_with_too_few_customers_in_a_group_there_is_none() -> None:
    treated = np.arange(1000) < LEAST - 1
    assert difference_sequence(np.ones(1000), treated, tightest=1000) is None
    treated = np.arange(1000) < LEAST
    found = difference_sequence(np.ones(1000), treated, tightest=1000)
    assert found is not None
    assert found.customers[0] == 2 * LEAST
    assert (found.lower == 0).all()
