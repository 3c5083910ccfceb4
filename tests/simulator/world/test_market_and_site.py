"""Stock, sales and what happens on the site."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from simulator.world.behaviour import site
from simulator.world.market import YEAR, draw_market
from simulator.world.scene import Scene
from simulator.world.streams import Streams

SceneOf = Callable[..., Scene]
Action = Callable[[str], int]
HOME = 7


def test_stock_outs_have_their_frequency_and_length(scene_of: SceneOf) -> None:
    settings = scene_of(2).world.market
    market = draw_market(settings, days=40_000, categories=9, streams=Streams(1, 0))
    out = ~market.in_stock
    begins = out[1:] & ~out[:-1]
    assert begins.sum() / market.in_stock[:-1].sum() == pytest.approx(settings.stock_outs_per_year / YEAR, rel=0.05)
    assert out.sum() / begins.sum() == pytest.approx(settings.stock_out_days, rel=0.05)
    assert set(np.unique(market.price_cut)) == {np.float32(0), np.float32(settings.sale_depth)}


def test_what_is_back_was_out_within_a_week_and_is_in_stock(scene_of: SceneOf) -> None:
    market = draw_market(scene_of(2).world.market, days=500, categories=9, streams=Streams(1, 0))
    assert (market.back & ~market.in_stock).sum() == 0
    for day, category in np.argwhere(market.back):
        assert not market.in_stock[max(0, day - 7) : day, category].all()
    assert market.back.any()


def test_the_market_is_the_blocks_own_and_begins_alike_for_every_horizon(scene_of: SceneOf) -> None:
    settings = scene_of(2).world.market
    short, long, other, neighbour = (
        draw_market(settings, days=d, categories=9, streams=Streams(s, b))
        for d, s, b in ((50, 1, 0), (90, 1, 0), (50, 2, 0), (50, 1, 1))
    )
    for name, value in vars(short).items():
        assert np.array_equal(value, getattr(long, name)[:50]), name
    assert not np.array_equal(short.in_stock, other.in_stock)
    assert not np.array_equal(short.in_stock, neighbour.in_stock)


def sessions(scene: Scene, *, focus: int, buying: bool) -> site.Sessions:
    n = len(scene.people)
    return site.Sessions(np.arange(n), np.zeros(n, np.int64), np.full(n, buying), np.full(n, focus))


def test_the_site_sells_nothing_that_is_out_of_stock(scene_of: SceneOf) -> None:
    scene = scene_of(500)
    scene.market.in_stock[:, HOME] = False
    outcome = site.end(scene, sessions(scene, focus=HOME, buying=True), np.zeros(500, dtype=np.int64))
    assert not outcome.bought.any()
    assert outcome.out_of_stock.all()
    there = site.end(scene, sessions(scene, focus=0, buying=True), np.zeros(500, dtype=np.int64))
    assert there.bought.all()


def test_a_clicked_banner_turns_visitors_to_its_subject_at_its_price(scene_of: SceneOf, action: Action) -> None:
    scene = scene_of(4_000)
    outcome = site.end(scene, sessions(scene, focus=0, buying=True), np.full(4_000, action("site.offer.home")))
    assert 0 < outcome.clicked.sum() < 4_000
    assert (outcome.category == np.where(outcome.clicked, HOME, 0)).all()
    assert np.allclose(outcome.discount, np.where(outcome.clicked, 0.05, 0))


def test_an_email_brings_visitors_to_its_subject_on_the_day_it_is_due(scene_of: SceneOf, action: Action) -> None:
    scene, nobody = scene_of(300), np.zeros(300, dtype=bool)
    scene.moods.visit_due[:100], scene.moods.visit_action[:100] = 0, action("email.offer.home")
    scene.moods.visit_due[100:200], scene.moods.visit_action[100:200] = 1, action("email.offer.home")
    arrived = site.arrive(scene, buying=nobody, searching=np.empty(0, dtype=np.int64))
    mailed = arrived.from_email > 0
    assert np.array_equal(arrived.rows[mailed], np.arange(100))
    assert (arrived.focus[mailed] == HOME).all()


def test_a_reminder_of_the_cart_leads_to_the_cart(scene_of: SceneOf, action: Action) -> None:
    scene, nobody = scene_of(200), np.zeros(200, dtype=bool)
    scene.moods.visit_due[:], scene.moods.visit_action[:], scene.moods.cart[:] = 0, action("email.recall.cart"), HOME
    arrived = site.arrive(scene, buying=nobody, searching=np.empty(0, dtype=np.int64))
    assert len(arrived.rows) == 200
    assert (arrived.focus == HOME).all()


def test_the_dead_never_come(scene_of: SceneOf) -> None:
    scene = scene_of(300)
    scene.moods.alive[:] = False
    everybody = np.ones(300, dtype=bool)
    scene.moods.visit_due[:] = 0
    assert len(site.arrive(scene, buying=everybody, searching=np.arange(300)).rows) == 0


def test_discounts_and_wants_sell(scene_of: SceneOf) -> None:
    sold = []
    for want, cut in ((-1, 0.0), (HOME, 0.0), (-1, 0.2)):
        scene = scene_of(8_000)
        scene.moods.want[:] = want
        scene.market.price_cut[:, HOME] = cut
        outcome = site.end(scene, sessions(scene, focus=HOME, buying=False), np.zeros(8_000, dtype=np.int64))
        sold.append(int(outcome.bought.sum()))
    assert sold[1] > 1.5 * sold[0]
    assert sold[2] > 1.5 * sold[0]
