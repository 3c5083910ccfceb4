"""A life of a block: the same for the same numbers, seen through events only, and its money adds up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.decision.core import Decisions
from orchestrator.profiles import EVENT_TYPES, EventRows, Events, apply, consent, features
from policies.arrays import IntArray
from policies.learning.baselines import FixedPolicy, RandomPolicy
from simulator.rollout.rollout import Block, Setting
from simulator.rollout.trajectory import IN_STORE, ON_SITE, OUTBOUND, DecisionPoint, Trajectory
from simulator.world.day import START
from simulator.world.latent_state import NOTHING
from simulator.world.results import METRICS

Drive = Callable[[Trajectory, Callable[[DecisionPoint], IntArray]], Trajectory]
N, DAYS = 400, 25
TYPE = {name: code for code, name in enumerate(EVENT_TYPES)}


@pytest.fixture
def block(baseline: Setting) -> Block:
    return Block(baseline, seed=2, block=1, customers=N, days=DAYS)


class Recorder:
    """Chooses at random among what is eligible, and keeps what was chosen and what happened.

    Attributes:
        events: of every part of a day.
        chosen: action by customer, day and slot.
        made: every decision.
        alive: of every morning.
        wants: of every morning, latent.
    """

    def __init__(self, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
        self.setting = setting
        self.events: list[EventRows] = []
        self.chosen: dict[tuple[int, int, int], int] = {}
        self.made: list[Decisions] = []
        self.alive: list[np.ndarray] = []
        self.wants: list[np.ndarray] = []
        self.life: Trajectory | None = None
        core = setting.core
        self.policy = RandomPolicy(core.actions, core.columns)
        self._monkeypatch = monkeypatch

    def __call__(self, moment: DecisionPoint) -> IntArray:
        assert self.life
        moods = self.life.scene.moods
        if moment.slot == OUTBOUND:
            self.alive.append(moods.alive.copy())
            self.wants.append(moods.want.copy())
        streams = self.life.scene.streams
        made = self.setting.decide(self.policy, moment, life=self.life, streams=streams)
        self.made.append(made)
        for row, action in zip(moment.rows.tolist(), made.action.tolist(), strict=True):
            self.chosen[row, moment.day, moment.slot] = action
        return made.action

    def live(self, life: Trajectory, drive: Drive) -> Trajectory:
        def recording(schema: object, states: np.ndarray, events: EventRows) -> None:
            self.events.append(events)
            apply(schema, states, events)

        self.life = life
        with self._monkeypatch.context() as patch:
            patch.setattr("simulator.rollout.trajectory.apply", recording)
            return drive(life, self)

    def of(self, kind: str) -> Events:
        everything = Events.concat([_named(events) for events in self.events])
        return everything.take(everything.type == TYPE[kind])


def _named(events: EventRows) -> Events:
    """With customer ids, so that batches can be joined."""
    names = np.array([f"{row:04d}" for row in range(events.customer.max(initial=0) + 1)], dtype=object)
    return Events(**vars(events), customers=names, event_id=np.arange(len(events)))


def day_of(events: Events) -> IntArray:
    return ((events.timestamp - START) // 86400).astype(np.int64)


def test_a_block_lives_the_same_life_again_and_stays_as_it_is(baseline: Setting) -> None:
    core = baseline.core
    policy = RandomPolicy(core.actions, core.columns)
    once = Block(baseline, seed=2, block=1, customers=150, days=8)
    first, second = once.live(policy)[0], once.live(policy)[0]
    other_block = Block(baseline, seed=2, block=2, customers=150, days=8).live(policy)[0]
    assert np.array_equal(first.daily, second.daily)
    assert np.array_equal(
        first.daily, Block(baseline, seed=2, block=1, customers=150, days=8).live(policy, log=True)[0].daily
    )
    assert not np.array_equal(first.daily, other_block.daily)


def test_a_longer_horizon_begins_like_a_shorter_one(baseline: Setting) -> None:
    core = baseline.core
    policy = RandomPolicy(core.actions, core.columns)
    short, long = (
        Block(baseline, seed=2, block=0, customers=100, days=days).live(policy)[0].daily for days in (10, 16)
    )
    assert np.array_equal(short, long[:10])


def test_policies_that_act_alike_have_equal_results(baseline: Setting) -> None:
    core = baseline.core
    hold = FixedPolicy(core.actions, core.columns, "hold")
    never_eligible = FixedPolicy(core.actions, core.columns, "email.winter.home")
    once = Block(baseline, seed=2, block=0, customers=200, days=10)
    first, second = (once.live(policy, log=True) for policy in (hold, never_eligible))
    assert np.array_equal(first[0].daily, second[0].daily)
    assert np.array_equal(first[0].by_segment, second[0].by_segment)
    assert np.array_equal(first[1].worth, second[1].worth)


def test_the_log_tells_which_alerts_expired(baseline: Setting, no_minutes: Setting) -> None:
    calls = FixedPolicy(baseline.core.actions, baseline.core.columns, "store.service")
    logs = [Block(s, seed=2, block=0, customers=200, days=6).live(calls, log=True)[1] for s in (baseline, no_minutes)]
    assert logs[0] is not None
    assert logs[1] is not None
    some, none = (log.done[log.action > 0] for log in logs)
    assert set(logs[0].slot[logs[0].action > 0]) == {OUTBOUND, IN_STORE}
    assert 0 < some.mean() < 1
    assert not none.any()
    assert all(log.done[log.action == 0].all() for log in logs)
    # What expired cost nothing and did nothing.
    hold = FixedPolicy(baseline.core.actions, baseline.core.columns, "hold")
    silent = Block(no_minutes, seed=2, block=0, customers=200, days=6).live(hold, log=True)[1]
    assert silent is not None
    assert np.array_equal(logs[1].margin, silent.margin)


def test_accepting_an_alert_is_no_click(baseline: Setting) -> None:
    core, block = baseline.core, Block(baseline, seed=2, block=0, customers=200, days=6)
    calls = block.live(FixedPolicy(core.actions, core.columns, "store.service"))[0].daily.sum(axis=0)
    mails = block.live(FixedPolicy(core.actions, core.columns, "email.offer.home"))[0].daily.sum(axis=0)
    clicks, accepts = METRICS.index("clicks"), METRICS.index("accepts")
    assert calls[accepts] > 5
    assert calls[clicks] == 0
    assert mails[clicks] > 0
    assert mails[accepts] == 0


def test_what_is_done_to_some_customers_leaves_the_others_as_they_are(
    block: Block, baseline: Setting, drive: Drive
) -> None:
    """Half the customers are left alone or mailed; of the others not one bit changes."""
    mailed = np.arange(N) % 2 == 1
    mail = baseline.core.actions.index("email.offer.home")
    outbound = [i for i, a in enumerate(baseline.core.actions.ids) if a.startswith(("email.", "store."))]
    banners = [i for i, a in enumerate(baseline.core.actions.ids) if a.startswith("site.")]

    def choose(to_some: int) -> Callable[[DecisionPoint], IntArray]:
        def chosen(moment: DecisionPoint) -> IntArray:
            random = np.random.default_rng([moment.day, moment.slot])
            pool = banners if moment.slot == ON_SITE else outbound
            action = np.array(pool)[random.integers(0, len(pool), N)][moment.rows]
            if moment.slot == IN_STORE:
                action[:] = 0
            action[mailed[moment.rows]] = to_some if moment.slot == OUTBOUND else 0
            return action

        return chosen

    quiet, loud = (drive(block.life(), choose(to_some)) for to_some in (0, mail))
    assert not np.array_equal(quiet.tally.margin[mailed], loud.tally.margin[mailed])
    assert np.array_equal(quiet.tally.margin[~mailed], loud.tally.margin[~mailed])
    assert np.array_equal(quiet.states[~mailed], loud.states[~mailed])
    for name, mood in vars(quiet.scene.moods).items():
        assert np.array_equal(mood[~mailed], getattr(loud.scene.moods, name)[~mailed]), name


def test_profiles_are_a_function_of_the_events_alone(
    block: Block, baseline: Setting, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaying what happened gives the very states that decisions were made on."""
    recorder = Recorder(baseline, monkeypatch)
    life = recorder.live(block.life(), drive)
    states = block.states.copy()
    for events in recorder.events:
        apply(baseline.schema, states, events)
    assert np.array_equal(states, life.states)


def test_a_want_nobody_told_shows_in_no_feature(
    setting_of: Callable[..., Setting], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Customers act on what they want; that they want it is never seen."""
    setting = setting_of("baseline", {"wants.stated_share": 0, "wants.per_year": 24})
    recorder = Recorder(setting, monkeypatch)
    recorder.live(Block(setting, seed=2, block=1, customers=N, days=DAYS).life(), drive)
    columns = [i for i, name in enumerate(setting.core.columns) if name.startswith("want.")]
    assert len(columns) == len(setting.schema.categories)
    assert (np.array(recorder.wants) != NOTHING).mean() > 0.3
    assert not any(made.features[:, columns].any() for made in recorder.made)
    assert not len(recorder.of("want"))
    assert len(recorder.of("purchase")) > 50


def test_a_want_is_seen_only_when_told_and_as_what_it_is(
    setting_of: Callable[..., Setting], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = setting_of("baseline", {"wants.stated_share": 0.4, "wants.per_year": 24})
    recorder = Recorder(setting, monkeypatch)
    recorder.live(Block(setting, seed=2, block=1, customers=2 * N, days=DAYS).life(), drive)
    wants, told = np.array(recorder.wants), recorder.of("want")  # of the mornings, (days, n)
    assert np.array_equal(told.category, wants[day_of(told), told.customer])
    arrived = (wants[1:] != NOTHING) & (wants[1:] != wants[:-1])
    told_then = told.take(day_of(told) > 0)
    assert arrived[day_of(told_then) - 1, told_then.customer].mean() > 0.95  # but for what is wanted twice in a row
    assert arrived.sum() > 500
    assert len(told_then) / arrived.sum() == pytest.approx(0.4, abs=0.07)


def unanswered(setting: Setting) -> Setting:
    """A world in which nobody answers, tells or asks for anything."""
    world = setting.scenario.world
    silent = {
        "email": world.email.model_copy(update={"visit": -60.0, "unsubscribe": 0.0}),
        "associates": world.associates.model_copy(update={"accept": -60.0, "opt_out": 0.0}),
        "wants": world.wants.model_copy(update={"stated_share": 0.0}),
    }
    return replace(setting, scenario=replace(setting.scenario, world=world.model_copy(update=silent)))


def at_home(life: Trajectory, *, otherwise: bool) -> Trajectory:
    """Nobody comes any more of their own accord; with `otherwise`, everything latent is another customer's or moved."""
    people, moods, n = life.scene.people, life.scene.moods, len(life.scene.people)
    nothing = np.zeros(n, dtype=np.float32)
    people = replace(people, purchase_rate=nothing, visit_rate=nothing)
    if otherwise:
        # But for what is known of them, consent and home store.
        latent = {name: value[::-1].copy() for name, value in vars(people).items() if name not in ("opted_in", "store")}
        people = replace(people, **latent)
        moods.alive[:] = ~moods.alive
        moods.goodwill += 1
        moods.fatigue += 2
        moods.expected_discount += 0.2
        moods.satiated += 0.3
        moods.want[:] = np.arange(n) % 9
        moods.cart[:] = np.arange(n) % 7
        moods.last_purchase[:] = moods.last_purchase[::-1].copy()
        moods.last_thanks[:] = -1
    life.scene.people = people
    return life


def test_what_is_latent_is_not_seen_until_it_makes_somebody_do_something(
    baseline: Setting, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two populations alike in what they did, and in nothing else, are sent the same and look the same."""
    setting = unanswered(baseline)
    block = Block(setting, seed=2, block=1, customers=N, days=DAYS)
    one, other = (Recorder(setting, monkeypatch) for _ in range(2))
    first = one.live(at_home(block.life(), otherwise=False), drive)
    second = other.live(at_home(block.life(), otherwise=True), drive)
    assert not np.array_equal(one.wants[-1], other.wants[-1])
    assert len(one.of("sent")) > 1_000
    assert np.array_equal(first.states, second.states)
    for mine, theirs in zip(one.made, other.made, strict=True):
        for name in ("features", "eligible", "action", "propensity"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name
    for mine, theirs in zip(one.events, other.events, strict=True):
        for name, value in vars(mine).items():
            assert np.array_equal(value, getattr(theirs, name)), name


def test_the_money_of_a_life_is_that_of_its_events(
    block: Block, baseline: Setting, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A margin rate of list prices, less discounts, returns and contacts: recomputed from what happened."""
    recorder = Recorder(baseline, monkeypatch)
    life = recorder.live(block.life(), drive)
    goals = baseline.scenario.retailer.goals
    bought, returned, sent = recorder.of("purchase"), recorder.of("return"), recorder.of("sent")
    expected = np.bincount(bought.customer, 0.25 * (bought.value + bought.discount) - bought.discount, minlength=N)
    expected += np.bincount(returned.customer, -2.0 - 0.25 * returned.value, minlength=N)
    assert goals.worth("purchase", value=1) == 0.25
    assert goals.worth("return", value=1) == -2.25
    costs = baseline.core.actions.cost
    store = baseline.schema.channels.index("store")
    hours = (sent.timestamp - START) / 3600 % 24
    spent = np.zeros(N)
    for row, day, channel, hour in zip(
        sent.customer.tolist(), day_of(sent).tolist(), sent.channel.tolist(), hours.tolist(), strict=True
    ):
        slot = OUTBOUND if hour < 12 else IN_STORE if channel == store else ON_SITE
        spent[row] += costs[recorder.chosen[row, day, slot]]
    assert spent.sum() > 100
    assert len(returned) > 0
    assert np.allclose(life.tally.margin.sum(axis=1), expected - spent, atol=1e-2)
    by_customer = life.tally.by_customer
    assert np.allclose(by_customer[:, METRICS.index("contact_cost")], spent, atol=1e-3)
    assert np.allclose(by_customer[:, METRICS.index("margin")], expected - spent, atol=1e-2)


def test_nobody_is_mailed_after_unsubscribing(setting_of: Callable[..., Setting], drive: Drive) -> None:
    setting = setting_of("baseline", {"email.unsubscribe": 0.005, "fatigue.sensitivity": 4})
    core = setting.core
    policy = RandomPolicy(core.actions, core.columns)
    life = Block(setting, seed=1, block=0, customers=N, days=DAYS).life()
    codes, mails = setting.schema.channels, np.array([a.startswith("email.") for a in core.actions.ids])

    def choose(moment: DecisionPoint) -> IntArray:
        made = setting.decide(policy, moment, life=life, streams=life.scene.streams)
        reachable = life.scene.moods.reachable[moment.rows]
        assert np.array_equal(made.eligible[:, mails].any(axis=1), reachable & (moment.slot == OUTBOUND))
        return made.action

    drive(life, choose)
    assert life.tally.by_customer[:, METRICS.index("unsubscribes")].sum() > 20
    assert np.array_equal(consent(setting.schema, life.states)[:, codes.index("email")], life.scene.moods.reachable)


def test_who_has_left_does_nothing_any_more(
    block: Block, baseline: Setting, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(baseline, monkeypatch)
    recorder.live(block.life(), drive)
    alive = np.array(recorder.alive)  # in the morning, (days, n)
    assert (~alive[-1]).sum() > (~alive[0]).sum() > 0
    for kind in ("purchase", "visit", "store_visit", "view", "want", "cart_add", "click", "open", "unsubscribe"):
        happened = recorder.of(kind)
        assert alive[day_of(happened), happened.customer].all(), kind


def test_the_site_and_the_store_sell_only_what_is_in_stock(
    setting_of: Callable[..., Setting], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = setting_of("baseline", {"market.stock_outs_per_year": 24, "market.stock_out_days": 21})
    block = Block(setting, seed=2, block=1, customers=N, days=DAYS)
    recorder = Recorder(setting, monkeypatch)
    life = recorder.live(block.life(), drive)
    in_stock = life.scene.market.in_stock
    bought = recorder.of("purchase")
    assert (~in_stock).mean() > 0.2
    assert len(bought) > 50
    assert in_stock[day_of(bought), bought.category].all()


def test_a_stores_minutes_are_never_exceeded(
    setting_of: Callable[..., Setting], drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = setting_of("scarce_associates", {"population.customers_per_store": 500})
    block = Block(setting, seed=2, block=1, customers=1_000, days=6)
    life = block.life()
    stores, minutes = life.scene.people.store, np.zeros((2, 6))
    metric, before = METRICS.index("minutes"), np.zeros(1_000)

    def choose(moment: DecisionPoint) -> IntArray:
        if moment.slot == OUTBOUND and moment.day:
            used = life.tally.by_customer[:, metric] - before
            before[:] = life.tally.by_customer[:, metric]
            minutes[:, moment.day - 1] = np.bincount(stores, used, minlength=2)
        return np.full(len(moment.rows), 0 if moment.slot == ON_SITE else alert)

    alert = setting.core.actions.index("store.inspire.home")
    drive(life, choose)
    assert minutes.max() <= 45
    assert (minutes[:, :5] == 40).all()


def test_nobody_leaves_after_the_first_purchase(baseline: Setting) -> None:
    """As in BG/NBD, which counts from it: whoever has left has bought at least twice."""
    block = Block(baseline, seed=2, block=0, customers=1_500, days=1)
    schema = baseline.schema
    purchases = block.states[:, schema.slot("purchases")][:, 0]  # decayed, so one purchase is never above 1
    left = ~block.scene.moods.alive
    assert left.sum() > 20
    assert (purchases[left] > 1).all()


def test_the_day_before_the_horizon_is_a_day_like_any_other(baseline: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is due on it just because nothing is due."""
    seen: list[Events] = []

    def recording(schema: object, states: np.ndarray, events: Events) -> None:
        seen.append(events)
        apply(schema, states, events)

    monkeypatch.setattr("simulator.rollout.rollout.apply", recording)
    block = Block(baseline, seed=2, block=0, customers=1_000, days=1)
    visits = [int((events.type == TYPE["visit"]).sum()) for events in seen]
    assert visits[-1] < 3 * np.mean(visits[-20:-1]) + 10
    assert not (seen[-1].type == TYPE["click"]).any()
    assert np.isfinite(features(baseline.schema, block.states, START)).all()
