"""Purchases and leaving: without contacts, the fitted processes themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from simulator.calibration.data.purchase_process import PurchaseProcess
from simulator.world.behaviour import discounts, shopping
from simulator.world.scene import Scene
from tests.simulator.bg_nbd import expected_repeats


def lived(scene: Scene, *, days: int, leaving: bool) -> np.ndarray:
    """Repeat purchases of customers who bought first on day 0, int64 (n,)."""
    counts = np.zeros(len(scene.people), dtype=np.int64)
    weekday = scene.world.weekday
    for day in range(1, days + 1):
        scene.day = day
        buys = shopping.occasions(scene, weekday=weekday[day % 7])
        counts += buys
        if leaving:
            shopping.leave(scene, np.flatnonzero(buys), place="site")
    return counts


@pytest.mark.parametrize("weeks", [8, 39])
def test_occasional_customers_buy_again_as_bg_nbd_says(scene_of: Callable[..., Scene], weeks: int) -> None:
    scene = scene_of(20_000, {"population.regular_share": 0.05})
    s = scene.world.shopping
    counts = lived(scene, days=7 * weeks, leaving=True)[~scene.people.regular]
    process = PurchaseProcess(s.occasional_shape, s.occasional_scale, s.dropout_a, s.dropout_b)
    expected = float(expected_repeats(process, np.array(float(weeks))))
    error = counts.std() / np.sqrt(len(counts))
    # One purchase a day at most: of those meant, E[rate^2] / 2 / E[rate] are second ones of a day.
    second_of_a_day = expected * (s.occasional_shape + 1) / (2 * 7 * s.occasional_scale)
    assert expected - second_of_a_day - 3 * error < counts.mean() < expected + 3 * error


def test_purchases_of_those_who_stay_are_gamma_poisson(scene_of: Callable[..., Scene]) -> None:
    """Mean and variance across occasional customers: shape t / scale, and that times 1 + t / scale."""
    scene, days = scene_of(20_000, {"population.regular_share": 0.05}), 182
    s = scene.world.shopping
    counts = lived(scene, days=days, leaving=False)[~scene.people.regular]
    scaled = days / 7 / s.occasional_scale
    mean, variance = s.occasional_shape * scaled, s.occasional_shape * scaled * (1 + scaled)
    lost = (s.occasional_shape + 1) / (2 * 7 * s.occasional_scale)
    assert counts.mean() == pytest.approx(mean, rel=lost + 3 * np.sqrt(variance / len(counts)) / mean)
    assert counts.var() == pytest.approx(variance, rel=0.15)


def test_rates_are_those_of_the_settings(scene_of: Callable[..., Scene]) -> None:
    scene = scene_of(20_000)
    people, s = scene.people, scene.world.shopping
    weekly = 7 * people.purchase_rate[people.regular]
    assert weekly.mean() == pytest.approx(s.regular_rate, rel=0.06)
    assert weekly.var() == pytest.approx(s.regular_rate**2 / s.regular_shape, rel=0.15)
    leaves = people.dropout[~people.regular]
    assert leaves.mean() == pytest.approx(s.dropout_a / (s.dropout_a + s.dropout_b), rel=0.03)


def test_goodwill_brings_purchases_and_keeps_customers(scene_of: Callable[..., Scene]) -> None:
    counts, left = [], []
    for goodwill in (-1.0, 0.0, 1.0):
        scene = scene_of(4_000)
        scene.moods.goodwill[:] = goodwill
        counts.append(lived(scene, days=20, leaving=False).sum())
        shopping.leave(scene, np.arange(4_000), place="store")
        left.append((~scene.moods.alive).sum())
    assert counts == sorted(counts)
    assert counts[0] < counts[2]
    assert left == sorted(left, reverse=True)
    assert left[0] > left[2]


def test_the_dead_never_buy(scene_of: Callable[..., Scene]) -> None:
    scene = scene_of(500)
    scene.moods.alive[::2] = False
    counts = lived(scene, days=60, leaving=False)
    assert counts[::2].sum() == 0
    assert counts[1::2].sum() > 0


def test_discounts_expected_and_not_given_cost_purchases(scene_of: Callable[..., Scene]) -> None:
    """The rate falls by the exponential of the loss times what is expected."""
    counts = []
    for expected in (0.0, 0.2):
        scene = scene_of(5_000, {"discounts.loss": 4}, purchase_rate=np.full(5_000, 0.05, dtype=np.float32))
        scene.moods.expected_discount[:] = expected
        counts.append(lived(scene, days=40, leaving=False).sum())
    assert counts[1] / counts[0] == pytest.approx(np.exp(-4 * 0.2), rel=0.08)


def test_purchases_pulled_forward_are_missing_later(scene_of: Callable[..., Scene]) -> None:
    """Of customers satiated by a share, that share of purchases; the others buy as ever."""
    rate = np.full(8_000, 0.05, dtype=np.float32)
    neutral, satiated = scene_of(8_000, purchase_rate=rate), scene_of(8_000, purchase_rate=rate)
    satiated.moods.satiated[::2] = 0.6
    as_ever, fewer = (lived(scene, days=40, leaving=False) for scene in (neutral, satiated))
    assert fewer[::2].sum() / as_ever[::2].sum() == pytest.approx(0.4, rel=0.08)
    assert np.array_equal(fewer[1::2], as_ever[1::2])


def test_a_discount_earns_less_from_customers_who_know_it(scene_of: Callable[..., Scene]) -> None:
    """Discounted purchases of all: in the month after them less is bought than had the same been sold at full price."""
    counts = []
    for discount in (0.0, 0.3):
        scene = scene_of(5_000, purchase_rate=np.full(5_000, 0.05, dtype=np.float32))
        discounts.learn(scene, np.arange(5_000), np.full(5_000, discount, dtype=np.float32))
        counts.append(0)
        for day in range(1, 31):
            scene.day = day
            discounts.fade(scene)
            counts[-1] += int(shopping.occasions(scene, weekday=1.0).sum())
    assert counts[1] < 0.85 * counts[0]
