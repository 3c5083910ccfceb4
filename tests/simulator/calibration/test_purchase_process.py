"""BG/NBD: its likelihood is that of the story it tells, and the fit finds the story's parameters again."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, gamma

from simulator.calibration.data.data import CustomerSummary, Orders, read_orders, read_summary
from simulator.calibration.data.purchase_process import (
    PurchaseProcess,
    fit_purchase_process,
    log_likelihood,
    orders_between,
    summarise,
)
from simulator.errors import CalibrationError
from tests.simulator.bg_nbd import expected_later, expected_repeats, share_without_repeat

PUBLISHED = PurchaseProcess(r=0.243, alpha=4.414, a=0.793, b=2.426)
TRUE = PurchaseProcess(r=0.6, alpha=5.0, a=0.9, b=2.5)


def lived(process: PurchaseProcess, *, customers: int, weeks: float, later: float, seed: int) -> tuple:
    """Histories told step by step: (summary to `weeks`, repeat orders in the `later` weeks that follow)."""
    random = np.random.default_rng(seed)
    rate = random.gamma(process.r, 1 / process.alpha, customers)
    leaves = random.beta(process.a, process.b, customers)
    stays = np.ones(customers, dtype=bool)
    time, last = np.zeros(customers), np.zeros(customers)
    repeats, after = np.zeros(customers, dtype=np.int64), np.zeros(customers, dtype=np.int64)
    while stays.any():
        time[stays] += random.exponential(1 / np.maximum(rate[stays], 1e-300))
        stays &= time < weeks + later
        early = stays & (time < weeks)
        repeats += early
        after += stays & ~early
        last[early] = time[early]
        stays &= random.random(customers) >= leaves
    return CustomerSummary(repeats, last, np.full(customers, weeks), np.zeros(customers)), after


HISTORIES, LATER = lived(TRUE, customers=40_000, weeks=40.0, later=30.0, seed=5)


def near_mean(values: np.ndarray) -> object:
    return pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(len(values)))


@pytest.mark.parametrize(("x", "t_x", "t"), [(0, 0.0, 30.0), (1, 12.0, 30.0), (3, 29.0, 30.0), (6, 10.0, 38.86)])
def test_the_likelihood_is_the_story_averaged_over_customers(x: int, t_x: float, t: float) -> None:
    # Customers spread evenly over the quantiles of both distributions.
    even = (np.arange(2_000) + 0.5) / 2_000
    rate = gamma.ppf(even, TRUE.r, scale=1 / TRUE.alpha)
    p = beta.ppf(even, TRUE.a, TRUE.b)[:, None]
    stays = (1 - p) ** x * rate**x * np.exp(-rate * t)
    leaves = p * (1 - p) ** (x - 1) * rate**x * np.exp(-rate * t_x) if x else 0.0
    expected = float((stays + leaves).mean())
    summary = CustomerSummary(np.array([x]), np.array([t_x]), np.array([t]), np.zeros(1))
    assert np.exp(log_likelihood(TRUE, summary))[0] == pytest.approx(expected, rel=2e-3)


def test_the_fit_finds_the_parameters_that_customers_were_drawn_with() -> None:
    assert astuple(fit_purchase_process(HISTORIES)) == pytest.approx(astuple(TRUE), rel=0.12)


def test_expectations_are_the_means_over_customers() -> None:
    assert expected_repeats(TRUE, np.array([40.0]))[0] == near_mean(HISTORIES.repeats)
    assert share_without_repeat(TRUE, np.array([40.0]))[0] == near_mean(HISTORIES.repeats == 0)
    told = expected_later(TRUE, HISTORIES, weeks=30.0)
    for chosen in (HISTORIES.repeats == 0, (HISTORIES.repeats == 2) & (HISTORIES.last > 30), HISTORIES.repeats > 4):
        assert told[chosen].mean() == near_mean(LATER[chosen])


def test_nobody_buying_again_is_refused() -> None:
    none = CustomerSummary(np.zeros(9, dtype=np.int64), np.zeros(9), np.full(9, 30.0), np.zeros(9))
    with pytest.raises(CalibrationError, match="no customer of the summary bought again"):
        fit_purchase_process(none)


def test_customers_who_are_all_alike_and_never_leave_have_no_best_parameters() -> None:
    alike = CustomerSummary(np.full(50, 10), np.full(50, 20.0), np.full(50, 20.0), np.zeros(50))
    with pytest.raises(CalibrationError, match="BG/NBD: the likelihood has no maximum"):
        fit_purchase_process(alike)


# Customer 3 orders on days 0, 10 (twice) and 21; customer 5 on day 14 only; customer 9 starts on day 30.
LOG = Orders(
    customer=np.array([9, 3, 5, 3, 3, 3, 9]),
    day=np.array([30, 10, 14, 0, 10, 21, 40]),
    value=np.array([7.0, 4.0, 50.0, 99.0, 6.0, 20.0, 8.0]),
)


def test_a_summary_counts_days_after_the_first_until_the_end() -> None:
    summary = summarise(LOG, weeks=4)
    assert summary.repeats.tolist() == [2, 0]
    np.testing.assert_allclose(summary.last, [3.0, 0.0])
    np.testing.assert_allclose(summary.observed, [27 / 7, 13 / 7])
    assert summary.mean_value.tolist() == [15.0, 0.0]
    assert summarise(LOG, weeks=2).repeats.tolist() == [1]


def test_orders_are_counted_within_calendar_weeks() -> None:
    assert orders_between(LOG, start=0, end=6).tolist() == [3, 1, 2]
    assert orders_between(LOG, start=3, end=5).tolist() == [1, 0, 1]
    assert orders_between(LOG, start=6, end=9).tolist() == [0, 0, 0]


def test_the_published_fit_is_reproduced(data_dir: Path) -> None:
    summary = read_summary(data_dir)
    found = fit_purchase_process(summary)
    assert astuple(found) == pytest.approx(astuple(PUBLISHED), rel=0.005)
    assert log_likelihood(found, summary).sum() == pytest.approx(-9582.4, abs=0.05)


def test_the_published_summary_is_part_of_what_the_log_gives(data_dir: Path) -> None:
    """Every tenth customer: each of their histories must occur among those of all, as often at least."""

    def histories(of: CustomerSummary) -> tuple[np.ndarray, np.ndarray]:
        days = [np.round(7 * weeks).astype(np.int64) for weeks in (of.last, of.observed)]
        return np.unique(np.column_stack([of.repeats, *days]), axis=0, return_counts=True)

    rows, counts = histories(summarise(read_orders(data_dir), weeks=39))
    whole = dict(zip(map(tuple, rows.tolist()), counts.tolist(), strict=True))
    for row, count in zip(*histories(read_summary(data_dir)), strict=True):
        assert whole.get(tuple(row.tolist()), 0) >= count
