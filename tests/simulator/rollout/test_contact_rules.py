"""Contact rules in the simulated world: the production rules, kept by every policy, and counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrator.config import Cap, ContactPolicy, MinGap, QuietHours, Suppression
from orchestrator.eligibility.eligible_actions import Reason
from policies.learning.baselines import RandomPolicy
from simulator.rollout.rollout import Block, Setting
from simulator.rollout.trajectory import OUTBOUND, advance
from simulator.runs.cluster import run
from simulator.scenarios import load_scenario
from simulator.world.results import METRICS
from tests.simulator.conftest import CONFIGS

DAYS, CUSTOMERS = 40, 150
DAY = 86400.0


def scenario(**rules):
    capped = load_scenario("capped", configs=CONFIGS)
    return replace(capped, retailer=replace(capped.retailer, contacts=ContactPolicy(**rules)))


def lived(world):
    """Every contact of a random policy: customer, day, slot, action index, whether it reached the customer."""
    setting = Setting.of(world)
    block = Block(setting, seed=1, block=0, customers=CUSTOMERS, days=DAYS)
    policy = RandomPolicy(setting.core.actions, setting.core.columns)
    life, found, returns = block.life(), [], []
    moments = life.moments(every=1, turn=np.zeros(CUSTOMERS, dtype=np.int64))
    moment = next(moments)
    reasons, before = {}, np.zeros(CUSTOMERS)
    while moment:
        made = setting.decide(policy, moment, life=life, streams=block.scene.streams)
        reasons[moment.day, moment.slot] = (moment.rows, made.reasons)
        if moment.slot == OUTBOUND:
            now = life.tally.by_customer[:, METRICS.index("returns")]
            returns += [(int(c), moment.day) for c in np.flatnonzero(now > before)]
            before = now.copy()
        for customer, action in zip(moment.rows.tolist(), made.action.tolist(), strict=True):
            if action:
                found.append((customer, moment.day + (0.0 if moment.slot == OUTBOUND else 0.125), moment.slot, action))
        moment = advance(moments, made.action)
    undone = {
        (c, day + (0.0 if slot == OUTBOUND else 0.125), slot) for (day, slot), rows in life.undone.items() for c in rows
    }
    actions = world.retailer.catalogue.actions
    contacts = [(c, at, actions[a].channel, actions[a].intent, (c, at, slot) not in undone) for c, at, slot, a in found]
    return contacts, reasons, returns, actions


def test_no_customer_is_contacted_above_a_cap_or_within_a_gap():
    email = Cap(name="email", channels=("email",), limit=2, window="7 d")
    offers = Cap(name="offers", intents=("offer",), limit=1, window="10 d", counts="sent")
    apart = MinGap(name="apart", channels=("store",), gap="5 d")
    contacts, *_ = lived(scenario(caps=(email, offers), gaps=(apart,)))
    free, *_ = lived(scenario())
    kinds = (
        (lambda of: of[0] == "email", 2, 7),
        (lambda of: of[1] == "offer", 1, 10),
        (lambda of: of[0] == "store", 1, 5),
    )
    for about, limit, days in kinds:
        assert most_in_a_window(contacts, about, days) == limit
        assert most_in_a_window(free, about, days) > limit


def most_in_a_window(contacts, about, days):
    """The most contacts that reached a customer in any window; one that did not reach anybody counts for nothing."""
    of = {}
    for customer, at, channel, intent, reached in contacts:
        if reached and about((channel, intent)):
            of.setdefault(customer, []).append(at)
    return max(sum(0 <= at - earlier < days for earlier in times) for times in of.values() for at in times)


def test_quiet_hours_are_those_of_the_world_and_what_is_sold_out_is_not_named():
    night = QuietHours.model_validate({"name": "night", "channels": ["email"], "from": "21:00", "to": "08:00"})
    morning = QuietHours.model_validate({"name": "morning", "channels": ["email"], "from": "08:00", "to": "10:00"})
    assert any(channel == "email" for _, _, channel, _, _ in lived(scenario(quiet_hours=(night,)))[0])
    contacts, reasons, _, actions = lived(scenario(quiet_hours=(morning,)))
    assert not any(channel == "email" for _, _, channel, _, _ in contacts)
    of = np.array([action.subject != "any" and action.intent not in {"service", "thank"} for action in actions])
    out = [(found[:, of] == Reason.OUT_OF_STOCK).any() for _, found in reasons.values() if len(found)]
    assert any(out)
    assert not all(out)


def test_it_is_quiet_after_a_return():
    quiet = Suppression.model_validate(
        {"name": "after_return", "after": ["return"], "for": "4 d", "channels": ["email"]}
    )
    _, reasons, returns, actions = lived(scenario(suppressions=(quiet,)))
    email = [a for a, action in enumerate(actions) if action.channel == "email"]
    told = 0
    for customer, day in returns:
        for later in range(1, 4):
            if (day + later, OUTBOUND) in reasons:
                rows, found = reasons[day + later, OUTBOUND]
                mine = found[rows == customer][0][email]
                told += (mine == Reason.SUPPRESSED).sum()
                assert (mine != Reason.ELIGIBLE).all()
    assert told > 0


def test_rules_hold_for_any_number_of_workers_and_a_scenario_without_them_has_none():
    world = load_scenario("capped", configs=CONFIGS)
    setting = Setting.of(world)
    policies = {"random": RandomPolicy(setting.core.actions, setting.core.columns)}
    asked = {"seeds": [3], "customers": 200, "days": 12, "block_size": 100}
    one, two = (run(world, policies, workers=workers, **asked) for workers in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.by_segment, b.by_segment)
        np.testing.assert_array_equal(a.actions, b.actions)
    assert Setting.of(load_scenario("baseline", configs=CONFIGS)).rules is None
    free = run(load_scenario("baseline", configs=CONFIGS), policies, workers=1, **asked)
    assert any((a.actions != b.actions).any() for a, b in zip(one, free, strict=True))


def test_twins_carry_a_ledger_of_their_own():
    world = scenario(caps=(Cap(name="email", channels=("email",), limit=1, window="30 d"),))
    setting = Setting.of(world)
    block = Block(setting, seed=1, block=0, customers=20, days=5)
    life = block.life()
    twin = life.copy()
    rows = np.arange(20)
    email = next(a for a, action in enumerate(world.retailer.catalogue.actions) if action.channel == "email")
    life.ledger.decided(rows, np.full(20, email), np.ones(20, dtype=bool), at=0.0)
    stock = np.ones(len(world.retailer.catalogue.categories), dtype=bool)
    targeted = np.ones((20, 0), dtype=bool)
    checks = [one.ledger.check(rows, now=DAY, in_stock=stock).reasons(targeted, start=0) for one in (life, twin)]
    assert (checks[0][:, email] == Reason.CAP_REACHED).all()
    assert (checks[1][:, email] == Reason.ELIGIBLE).all()
