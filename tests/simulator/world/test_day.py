"""A day as a whole: what is told and what stays latent, who is called in, what goes into a basket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import expit

from orchestrator.profiles import EVENT_TYPES, EventRows

if TYPE_CHECKING:
    from simulator.rollout.rollout import Setting
    from simulator.world.day import Day
    from simulator.world.scene import Scene

SceneOf = Callable[..., "Scene"]
DayOf = Callable[["Scene"], "Day"]
Action = Callable[[str], int]
HOME = 7


@pytest.fixture(scope="module")
def day_of(baseline: Setting) -> DayOf:
    """`day_of(scene)` begins a day of a copy of a scene, on which associates have all the time there is."""
    from simulator.world.day import Day
    from simulator.world.happenings import Totals

    goals = baseline.scenario.retailer.goals

    def begin(scene: Scene) -> Day:
        copied = replace(scene, moods=scene.moods.copy())
        today = Day(copied, goals, np.ones(7, dtype=np.float32), Totals(len(scene.people), 1))
        today.minutes.left[:] = 1e6
        return today

    return begin


def of(events: EventRows, kind: str) -> np.ndarray:
    return np.flatnonzero(events.type == EVENT_TYPES.index(kind))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_only_wants_that_were_told_become_events(scene_of: SceneOf, day_of: DayOf, share: float) -> None:
    """Of the same new wants, only the share that is told is seen, each by its own category."""
    from simulator.world.behaviour import wants

    scene = scene_of(4_000, {"wants.stated_share": share, "wants.per_year": 24})
    told = arrived = 0
    for day in range(8):
        scene.day = day
        alone = replace(scene, moods=scene.moods.copy())
        rows, said = wants.pass_and_arrive(alone)[:2]
        today = day_of(scene)
        assert np.array_equal(today.scene.moods.want, alone.moods.want)
        today.visits()
        events = today.events.events()
        seen = of(events, "want")
        by_customer = seen[np.argsort(events.customer[seen])]
        assert np.array_equal(events.customer[by_customer], rows[said])
        assert np.array_equal(events.category[by_customer], alone.moods.want[rows[said]])
        told, arrived = told + len(seen), arrived + len(rows)
    assert arrived > 1_000
    assert told / arrived == pytest.approx(share, abs=0.05)


def test_a_call_about_what_is_wanted_brings_customers_to_the_store_within_days(
    scene_of: SceneOf, day_of: DayOf, action: Action
) -> None:
    """Of those who want it and accept, the share of the settings, once; nobody else comes."""
    n = 4_000
    scene = scene_of(n, {"wants.days": 60, "wants.stated_share": 0}, purchase_rate=np.zeros(n, dtype=np.float32))
    scene.moods.want[: n // 2] = HOME
    called = np.arange(0, n, 2)
    today = day_of(scene)
    wanting = np.flatnonzero(today.scene.moods.want == HOME)
    assert today.contact(called, np.full(len(called), action("store.recall.home"))).all()
    events = today.events.events()
    asked = np.intersect1d(events.customer[of(events, "click")], wanting)
    assert len(asked) > 300
    came = np.zeros(n, dtype=np.int64)
    for day in range(1, 8):
        today.scene.day = day
        today = day_of(today.scene)
        visits = today.visits()
        assert visits.called.all()
        came[visits.in_store] += 1
        assert day <= 4 or not len(visits.in_store)
    assert came.max() == 1
    assert np.isin(np.flatnonzero(came), asked).all()
    # By then some wants have passed.
    share = expit(scene.world.associates.recall_visit)
    assert 0.85 * share < came.sum() / len(asked) < 1.1 * share


def test_who_wants_nothing_any_more_or_has_left_does_not_come_when_called(scene_of: SceneOf) -> None:
    from simulator.world.behaviour import associates

    scene = scene_of(4)
    scene.moods.store_due[:] = [0, 0, 0, 1]
    scene.moods.want[:] = [HOME, -1, HOME, HOME]
    scene.moods.alive[2] = False
    assert associates.called_in(scene).tolist() == [True, False, False, False]


def sold(today: Day, *, alert: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """List prices and categories of a day on which everybody buys in the store, by customer."""
    n = len(today.scene.people)
    visits = today.visits(newcomers=np.arange(n))
    assert len(visits.in_store) == n
    today.end(visits, np.zeros(len(visits.sessions.rows), dtype=np.int64), np.full(n, alert))
    events = today.events.events()
    bought = of(events, "purchase")
    bought = bought[events.timestamp[bought] == events.timestamp[bought].max()]  # in the evening: the store's
    order = bought[np.argsort(events.customer[bought])]
    assert np.array_equal(events.customer[order], np.arange(n))
    return events.value[order] + events.discount[order], events.category[order]


STORE_ONLY = {"purchase_rate": np.zeros(4_000, np.float32), "store_preference": np.ones(4_000, np.float32)}


def test_complements_are_added_to_their_share_of_baskets(scene_of: SceneOf, day_of: DayOf) -> None:
    size = {"baskets.complement_size": 0.6}
    plain, some = (
        sold(day_of(scene_of(4_000, {"baskets.complement_share": share, **size}, **STORE_ONLY)))[0]
        for share in (0.0, 0.4)
    )
    more = some / plain
    complemented = more > 1.3
    assert np.allclose(more[complemented], 1.6, atol=1e-5)
    assert np.allclose(more[~complemented], 1.0, atol=1e-5)
    assert complemented.mean() == pytest.approx(0.4, abs=0.03)


def test_what_an_associate_sells_comes_on_top_of_the_basket(scene_of: SceneOf, day_of: DayOf, action: Action) -> None:
    changes = {"baskets.complement_share": 0, "baskets.complement_size": 0.6, "associates.basket_lift": 0.5}
    scene = scene_of(4_000, changes, **STORE_ONLY)
    plain, by_themselves = sold(day_of(scene))
    advised, category = sold(day_of(scene), alert=action("store.inspire.home"))
    more = advised / plain
    on_top = more > 1.3
    # Half of those who accept, and at neutral moods about half do.
    assert 0.15 < on_top.mean() < 0.35
    assert np.allclose(more[on_top], 1.6, atol=1e-5)
    assert np.allclose(more[~on_top], 1.0, atol=1e-5)
    assert (category[on_top] == HOME).all()
    assert np.array_equal(category[~on_top], by_themselves[~on_top])
