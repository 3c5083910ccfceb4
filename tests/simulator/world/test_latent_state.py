"""What builds up in customers and fades: goodwill, fatigue, expected discounts, wants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from simulator.world.behaviour import associates, discounts, email, fatigue, goodwill, wants
from simulator.world.latent_state import NOTHING, LatentState
from simulator.world.scene import Scene

SceneOf = Callable[..., Scene]
Action = Callable[[str], int]


@pytest.mark.parametrize("half_life", [20, 60])
def test_goodwill_reverts_with_its_half_life(scene_of: SceneOf, half_life: int) -> None:
    scene = scene_of(3, {"goodwill.half_life_days": half_life})
    scene.moods.goodwill[:] = [-1.0, 0.0, 0.8]
    for _ in range(half_life):
        goodwill.fade(scene)
    assert np.allclose(scene.moods.goodwill, [-0.5, 0.0, 0.4], atol=1e-5)


@given(changes=st.lists(st.floats(-3, 3, allow_nan=False), max_size=20))
@settings(max_examples=50, deadline=None)
def test_goodwill_stays_within_its_limits(changes: list[float]) -> None:
    moods = LatentState.neutral(opted_in=np.ones(2, dtype=bool), goodwill=np.zeros(2))
    for change in changes:
        goodwill.change(moods, np.array([1]), change)
    assert abs(moods.goodwill[1]) <= goodwill.LIMIT
    assert moods.goodwill[0] == 0


def test_thanks_please_once_after_a_purchase(scene_of: SceneOf) -> None:
    scene = scene_of(2)
    scene.moods.last_purchase[0] = -3
    for day in range(10):
        scene.day = day
        goodwill.thank(scene, np.array([0, 1]), strength=1.0)
    assert np.allclose(scene.moods.goodwill, [scene.world.goodwill.thank, 0])


def test_fatigue_adds_up_and_halves(scene_of: SceneOf) -> None:
    scene = scene_of(2, {"fatigue.half_life_days": 7})
    for _ in range(3):
        fatigue.tire(scene.moods, np.array([1]), by=fatigue.BY_EMAIL)
    assert scene.moods.fatigue.tolist() == [[0, 0], [3, 0]]
    for _ in range(7):
        fatigue.fade(scene)
    assert scene.moods.fatigue[1, fatigue.BY_EMAIL] == pytest.approx(1.5, rel=1e-5)


def mailed(scene: Scene, action: int, *, tired: float) -> tuple[int, int]:
    """Visits and unsubscriptions that one e-mail to everybody leads to."""
    scene.moods.fatigue[:, fatigue.BY_EMAIL] = tired
    n = len(scene.people)
    email.receive(scene, np.arange(n), np.full(n, action))
    return int((scene.moods.visit_due >= 0).sum()), int((~scene.moods.reachable).sum())


def test_tired_customers_answer_less_and_unsubscribe_more(scene_of: SceneOf, action: Action) -> None:
    inspire = action("email.inspire.home")
    rested, tired = (mailed(scene_of(8_000), inspire, tired=t) for t in (0.0, 4.0))
    assert tired[0] < 0.7 * rested[0]
    assert tired[1] > 2 * rested[1]


def test_without_sensitivity_fatigue_is_not_felt(scene_of: SceneOf, action: Action) -> None:
    inspire = action("email.inspire.home")
    rested, tired = (mailed(scene_of(2_000, {"fatigue.sensitivity": 0}), inspire, tired=t) for t in (0.0, 5.0))
    assert rested == tired


def test_tired_customers_accept_fewer_alerts(scene_of: SceneOf, action: Action) -> None:
    accepted = []
    for tired in (0.0, 3.0):
        scene = scene_of(2_000, {"associates.minutes_per_store": 960})
        scene.moods.fatigue[:, fatigue.BY_ASSOCIATE] = tired
        minutes = associates.Minutes(scene)
        minutes.left[:] = 1e6
        rows = np.arange(2_000)
        done = associates.approach(
            scene, rows, np.full(2_000, action("store.inspire.home")), minutes=minutes, in_store=True
        )
        assert done.done.all()
        accepted.append(int(done.accepted.sum()))
    assert accepted[1] < 0.6 * accepted[0]


@given(left=st.integers(0, 60), seed=st.integers(0, 99), n=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_minutes_are_spent_in_order_and_never_overspent(scene_of: SceneOf, left: int, seed: int, n: int) -> None:
    """Against a loop: first come, first served, and after the first who does not fit nobody else does."""
    minutes = associates.Minutes(scene_of(10))
    minutes.left = np.full(3, float(left), dtype=np.float32)
    random = np.random.default_rng(seed)
    store, needed, order = random.integers(0, 3, n), random.integers(1, 20, n), random.random(n)
    fits = minutes.spend(store, needed.astype(np.float32), order.astype(np.float32))
    for s in range(3):
        total = 0
        for i in sorted(np.flatnonzero(store == s), key=lambda i: order[i]):
            total += needed[i]
            assert fits[i] == (total <= left)
        assert minutes.left[s] == left - needed[(store == s) & fits].sum()


def test_discounts_habituate(scene_of: SceneOf) -> None:
    """Each discounted purchase moves what is expected towards what was given, and the same cut surprises less."""
    scene = scene_of(50)
    rows, given_ = np.arange(50), np.full(50, 0.2, dtype=np.float32)
    pulls, expected = [], []
    for _ in range(6):
        pulls.append(discounts.attraction(scene, rows, given_).mean())
        expected.append(scene.moods.expected_discount.mean())
        discounts.learn(scene, rows, given_)
    assert np.all(np.diff(expected) > 0)
    assert np.all(np.diff(pulls) < 0)
    assert scene.moods.expected_discount.max() <= 0.2 + 1e-6
    full_price = discounts.attraction(scene, rows, np.zeros(50, dtype=np.float32))
    assert (full_price < 0).all()


def test_expected_discounts_are_forgotten_with_their_half_life(scene_of: SceneOf) -> None:
    scene = scene_of(1, {"discounts.forgetting_days": 20})
    scene.moods.expected_discount[:] = 0.2
    for _ in range(20):
        discounts.fade(scene)
    assert scene.moods.expected_discount[0] == pytest.approx(0.1, rel=1e-4)


def test_a_full_price_teaches_nothing_and_pulls_nothing_forward(scene_of: SceneOf) -> None:
    scene = scene_of(20)
    discounts.learn(scene, np.arange(20), np.zeros(20, dtype=np.float32))
    assert not scene.moods.expected_discount.any()
    assert not scene.moods.satiated.any()


def test_a_discount_pulls_forward_its_share_of_one_purchase(scene_of: SceneOf) -> None:
    """What is not bought until satiation is gone, rate x satiation summed over days, is the share of the settings."""
    rates = np.array([0.02, 0.05, 0.2], dtype=np.float32)
    scene = scene_of(3, purchase_rate=rates)
    discounts.learn(scene, np.arange(3), np.full(3, 0.1, dtype=np.float32))
    lost = np.zeros(3)
    for _ in range(400):
        lost += rates * scene.moods.satiated
        discounts.fade(scene)
    assert np.allclose(lost, scene.world.discounts.pull_forward, rtol=0.05)


def test_wants_arrive_at_their_rate_last_their_time_and_are_told_by_their_share(scene_of: SceneOf) -> None:
    scene = scene_of(4_000, {"wants.per_year": 12, "wants.days": 30, "wants.stated_share": 0.3})
    arrived = told = without = 0
    wanting = []
    for day in range(200):
        scene.day = day
        without += int((scene.moods.want == NOTHING).sum())
        rows, said = wants.pass_and_arrive(scene)
        arrived, told = arrived + len(rows), told + int(said.sum())
        assert (scene.moods.want[rows] != NOTHING).all()
        wanting.append((scene.moods.want != NOTHING).mean())
    assert arrived / without == pytest.approx(12 / 365, rel=0.05)
    assert told / arrived == pytest.approx(0.3, rel=0.05)
    # In the long run, arrivals times duration: p / (p + q) of a two-state chain.
    p, q = 12 / 365, 1 / 30
    assert np.mean(wanting[120:]) == pytest.approx(p / (p + q), rel=0.05)


def test_wants_follow_each_customers_own_taste(scene_of: SceneOf) -> None:
    scene = scene_of(1)
    rows = np.zeros(40_000, dtype=np.int64)
    drawn = wants.draw_category(scene.people, rows, np.random.default_rng(0).random(40_000, dtype=np.float32))
    share = np.diff(scene.people.taste_cumulative[0], prepend=0)
    assert np.allclose(np.bincount(drawn, minlength=len(share)) / 40_000, share, atol=0.012)


@given(seed=st.integers(0, 500), mask=st.lists(st.booleans(), min_size=9, max_size=9).filter(any))
@settings(max_examples=60, deadline=None)
def test_only_what_is_available_is_drawn(scene_of: SceneOf, seed: int, mask: list[bool]) -> None:
    scene, available = scene_of(200), np.array(mask)
    u = np.random.default_rng(seed).random(200, dtype=np.float32)
    u[:2] = 0, np.nextafter(np.float32(1), np.float32(0))
    assert available[wants.draw_category(scene.people, np.arange(200), u, available=available)].all()


def test_a_want_that_an_email_answers_brings_visits(scene_of: SceneOf, action: Action) -> None:
    visits = []
    for want in (NOTHING, 7):
        scene = scene_of(4_000)
        scene.moods.want[:] = want
        visits.append(mailed(scene, action("email.inspire.home"), tired=0)[0])
    assert visits[1] > 1.5 * visits[0]


def test_a_recall_without_a_reason_does_worse_than_one_with(scene_of: SceneOf, action: Action) -> None:
    visits = []
    for cart in (NOTHING, 7):
        scene = scene_of(4_000)
        scene.moods.cart[:] = cart
        visits.append(mailed(scene, action("email.recall.cart"), tired=0)[0])
    assert visits[1] > 2 * visits[0]


def test_who_visits_has_opened(scene_of: SceneOf, action: Action) -> None:
    scene = scene_of(2_000, affinity=np.full(2_000, 6, dtype=np.float32))
    response = email.receive(scene, np.arange(2_000), np.full(2_000, action("email.inspire.home")))
    visits = scene.moods.visit_due >= 0
    assert visits.sum() > 1_800
    assert response.opened[visits].all()


def test_the_dead_answer_nothing(scene_of: SceneOf, action: Action) -> None:
    scene = scene_of(2_000)
    scene.moods.alive[:] = False
    assert mailed(scene, action("email.offer.home"), tired=0)[0] == 0


def test_ignored_emails_cost_goodwill_the_more_the_more_there_were_and_the_less_they_please(
    scene_of: SceneOf, action: Action
) -> None:
    n, home = 4_000, 7
    changes = {"goodwill.irrelevant": -0.06, "goodwill.relevant": 0.1, "fatigue.sensitivity": 1}
    lost = {}
    for tired in (0.0, 1.0, 3.0):
        scene = scene_of(n, changes, sensitivity=np.ones(n, dtype=np.float32))
        scene.moods.fatigue[:, fatigue.BY_EMAIL] = tired
        taste = scene.people.taste[:, home]
        email.receive(scene, np.arange(n), np.full(n, action("email.inspire.home")))
        visits = scene.moods.visit_due >= 0
        assert 10 < visits.sum() < n / 2
        assert np.allclose(scene.moods.goodwill[visits], 0.1)
        lost[tired] = scene.moods.goodwill[~visits]
        # Half of it from who is indifferent to the subject, nearly all of it from who dislikes it.
        assert np.allclose(lost[tired], -0.06 * tired / (1 + np.exp(taste[~visits])), atol=1e-6)
    assert not lost[0.0].any()
    assert lost[3.0].mean() < lost[1.0].mean() < 0


@pytest.mark.parametrize(("in_store", "strength"), [(True, 1.0), (False, 0.5)])
def test_service_that_is_accepted_earns_goodwill_and_less_so_soon_after_another(
    scene_of: SceneOf, action: Action, in_store: bool, strength: float
) -> None:
    n, service = 2_000, 0.4
    earned = {}
    for tired in (0.0, 1.0):
        scene = scene_of(n, {"goodwill.service": service}, sensitivity=np.ones(n, dtype=np.float32))
        scene.moods.fatigue[:, fatigue.BY_ASSOCIATE] = tired
        minutes = associates.Minutes(scene)
        minutes.left[:] = 1e6
        rows, alerts = np.arange(n), np.full(n, action("store.service"))
        found = associates.approach(scene, rows, alerts, minutes=minutes, in_store=in_store)
        assert 100 < found.accepted.sum() < n
        assert np.allclose(scene.moods.goodwill[found.accepted], strength * service * np.exp(-tired), atol=1e-6)
        assert (scene.moods.goodwill[~found.accepted] < 0).all()
        earned[tired] = scene.moods.goodwill[found.accepted].mean()
    assert 0 < earned[1.0] < earned[0.0]
