"""Simulated records, and the models that turn moments into the world's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.load import load_retailer
from simulator.calibration.data.daily_trips import fit_rhythm, rhythm_of
from simulator.calibration.data.data import Orders
from simulator.calibration.data.purchase_process import (
    PurchaseProcess,
    summarise,
)
from simulator.calibration.data.trips import TripRates
from simulator.calibration.fidelity.company import Company
from simulator.calibration.fidelity.simulated import simulate_mail_test, simulate_orders
from simulator.calibration.fit.world_baskets import below_floor_at_floor
from simulator.scenarios import load_world
from tests.simulator.bg_nbd import expected_repeats, share_without_repeat

CONFIG = Path(__file__).parents[3] / "configs" / "retail"


@pytest.fixture(scope="module")
def company() -> Company:
    retailer = load_retailer(CONFIG)
    return Company(retailer, load_world(retailer, {}), seed=7)


@pytest.fixture(scope="module")
def neutral(company: Company) -> Company:
    """Without what moves purchases away from the fitted process."""
    still = company.changed("shopping", goodwill_on_rate=0.0, goodwill_on_dropout=0.0)
    return still.changed("market", stock_outs_per_year=1e-9).changed("discounts", loss=0.0, pull_forward=0.0)


def orders_of(company: Company) -> Orders:
    first_day = np.zeros(1, dtype=np.int64)
    return simulate_orders(company, customers=6000, days=273, first_day=first_day, browsing=False)


def test_at_neutral_moods_purchases_are_the_fitted_process(neutral: Company) -> None:
    shopping = neutral.world.shopping
    process = PurchaseProcess(
        shopping.occasional_shape, shopping.occasional_scale, shopping.dropout_a, shopping.dropout_b
    )
    summary = summarise(orders_of(neutral), weeks=39)
    repeats, weeks = summary.repeats, summary.observed
    assert len(repeats) == 6000
    error = repeats.std() / np.sqrt(len(repeats))
    # A world of whole days has at most one order a day: a little less than the process.
    assert repeats.mean() == pytest.approx(expected_repeats(process, weeks).mean(), abs=3 * error + 0.02)
    assert (repeats == 0).mean() == pytest.approx(share_without_repeat(process, weeks).mean(), abs=0.02)


def test_the_same_seed_lives_the_same_life(company: Company) -> None:
    one, other = (orders_of(company) for _ in range(2))
    assert np.array_equal(one.value, other.value)
    assert np.array_equal(one.customer, other.customer)


def test_a_mail_that_does_nothing_changes_nobody(company: Company) -> None:
    test = simulate_mail_test(company.changed("email", visit=-40.0), customers=1000, fortnights=1)
    visits = [test.visit[test.arm == arm] for arm in (0, 1, 2)]
    assert visits[0].sum() > 0
    assert [len(of) for of in visits] == [1000, 1000, 1000]
    mailed = test.visit[test.arm != 0]
    assert mailed.sum() == 2 * visits[0].sum()


def test_rhythm_agrees_with_households_drawn_one_by_one() -> None:
    rates, weeks, dropout, n = TripRates(0.7, 1.7), 20, 0.01, 20_000
    random = np.random.default_rng(3)
    chance = -np.expm1(-random.gamma(rates.shape, rates.rate / rates.shape, n) / 7)
    trips, there = np.zeros((n, weeks * 7), dtype=bool), np.ones(n, dtype=bool)
    for day in range(weeks * 7):
        trips[:, day] = there & (random.random(n) < chance)
        there &= ~(trips[:, day] & (random.random(n) < dropout))
    per_week, active = rhythm_of(rates, weeks=weeks, dropout=dropout)
    assert per_week == pytest.approx(trips.sum() / n / weeks, rel=0.04)
    assert active == pytest.approx(trips.reshape(n, weeks, 7).any(axis=2).mean(), rel=0.02)


def test_rhythm_is_found_again() -> None:
    rates = TripRates(0.7, 1.7)
    per_week, active = rhythm_of(rates, weeks=39, dropout=0.0015)
    found = fit_rhythm(trips=per_week, active=active, weeks=39, dropout=0.0015)
    assert (found.shape, found.rate) == pytest.approx((rates.shape, rates.rate), rel=1e-5)


def test_orders_at_the_floor_come_out_with_the_moments_asked_for() -> None:
    mean, sd = below_floor_at_floor(4.3, 0.8, floor=30.0)
    logs = np.maximum(np.log(30.0), np.random.default_rng(1).normal(mean, sd, 400_000))
    assert (logs.mean(), logs.std()) == pytest.approx((4.3, 0.8), abs=0.005)
