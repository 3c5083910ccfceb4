"""Experiment groups: who is in which, and what decides for whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from orchestrator.config import ConfigError, Groups
from orchestrator.decision.groups import Assignment, Experiment, Group
from orchestrator.load import load_retailer
from policies.actions import ActionSet
from policies.learning.baseline_files import save_baseline
from policies.learning.baselines import BusinessRules, RandomPolicy
from tests.orchestrator.conftest import ROOT, random_policy

CUSTOMERS = [f"customer-{i}" for i in range(40_000)]


def groups(salt="s", **shares):
    rules = "rules" if shares.get("business_rules") else None
    return Groups.model_validate({"salt": salt, "shares": shares, "business_rules": rules})


def test_each_group_gets_its_share():
    found = Assignment(groups(policy=0.7, random=0.2, control=0.1)).of(CUSTOMERS)
    counts = np.bincount(found, minlength=4)
    assert counts[Group.BUSINESS_RULES] == 0
    assert stats.chisquare(counts[[0, 1, 3]], np.array([0.7, 0.2, 0.1]) * len(CUSTOMERS)).pvalue > 1e-4


def test_a_customer_stays_whoever_asks_beside_and_another_salt_mixes_anew():
    mixed = groups(policy=0.5, control=0.5)
    whole = Assignment(mixed).of(CUSTOMERS[:2000])
    alone = [Assignment(mixed).of([customer])[0] for customer in CUSTOMERS[:2000]]
    np.testing.assert_array_equal(whole, alone)
    other = Assignment(groups(salt="t", policy=0.5, control=0.5)).of(CUSTOMERS)
    first = Assignment(mixed).of(CUSTOMERS)
    assert stats.chi2_contingency(np.histogram2d(first, other, bins=2)[0]).pvalue > 1e-4


def test_a_group_that_grows_takes_only_what_it_gains():
    before = Assignment(groups(policy=0.9, control=0.1)).of(CUSTOMERS)
    after = Assignment(groups(policy=0.8, control=0.2)).of(CUSTOMERS)
    moved = before != after
    assert (after[moved] == Group.CONTROL).all()
    assert abs(moved.mean() - 0.1) < 0.01


@settings(max_examples=20, deadline=None)
@given(*[st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any)] * 2)
def test_other_shares_move_no_more_than_a_rule_without_memory_must(old, new):
    p, q = np.array(old) / sum(old), np.array(new) / sum(new)
    names = ("policy", "random", "control")
    before, after = (
        Assignment(groups(**dict(zip(names, x.tolist(), strict=True)))).of(CUSTOMERS[:4000]) for x in (p, q)
    )
    apart = np.abs(p - q).sum() / 2
    noise = 4 * np.sqrt(0.25 / 4000)
    assert (before != after).mean() <= 2 * apart / (1 + apart) + noise


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"shares": {"policy": 0.5}}, "add up to 0.5"),
        ({"shares": {"policy": 0.9, "business_rules": 0.1}}, "no rules"),
        ({"shares": {"polcy": 1.0}}, "polcy"),
    ],
)
def test_shares_that_make_no_sense_are_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        Groups.model_validate(changed)


def test_rules_that_are_not_there_are_named():
    retailer = load_retailer(ROOT / "configs" / "retail", environment={})
    missing = retailer.serving.model_copy(update={"groups": groups(policy=0.5, business_rules=0.5)})
    from orchestrator.decision.groups import business_rules

    with pytest.raises(ConfigError, match=r"groups\.business_rules = 'rules'"):
        business_rules(replace(retailer, serving=missing))


def rules_preferring(action, actions, columns):
    """Business rules that always want one action."""
    values = np.zeros((27, len(actions)), dtype=np.float32)
    values[:, actions.index(action)] = 1000.0
    used = tuple(columns.index(name) for name in ("recency.purchase", "frequency", "spend"))
    return BusinessRules(actions, columns, used, np.zeros((3, 2), dtype=np.float32), values, "visit")


def test_rules_over_a_smaller_catalogue_never_prefer_what_they_do_not_know():
    rules = rules_preferring("b", ActionSet.of("hold", "b"), ("recency.purchase", "frequency", "spend"))
    wider = rules.with_actions(ActionSet.of("hold", "new", "b"))
    scores = wider.scores(np.zeros((1, 3), dtype=np.float32))
    assert scores.argmax() == 2
    assert scores.argmin() == 1


def test_every_group_is_decided_for_as_it_should_and_logged(serving, retailer, champion, tmp_path):
    policy = random_policy(retailer)
    rules = rules_preferring("site.inspire.pantry", policy.actions, policy.columns)
    save_baseline(rules, tmp_path / "rules")
    champion.load = lambda _: RandomPolicy(policy.actions, policy.columns, hold=0.5)
    shares = {"policy": 0.25, "random": 0.25, "business_rules": 0.25, "control": 0.25}
    mixed = Groups.model_validate({"shares": shares, "business_rules": tmp_path / "rules"})
    of = replace(retailer, serving=retailer.serving.model_copy(update={"groups": mixed}))
    customers = [f"c-{i}" for i in range(40)]

    async def live():
        async with serving(of) as served:
            await served.know(*customers)
            made = await asyncio.gather(*(served.decide(c, channels=["site"]) for c in customers))
            again = await asyncio.gather(*(served.decide(c, channels=["site"]) for c in customers))
            return made, again, served.rows("decisions")

    made, again, rows = asyncio.run(live())
    site = [a.id for a in retailer.catalogue.actions if a.channel in {"", "site"}]
    assert [m["group"] for m in made] == [m["group"] for m in again]
    assert {m["group"] for m in made} == set(shares)
    expected = Assignment(mixed).of(customers)
    for one, code in zip(made, expected.tolist(), strict=True):
        assert one["group"] == Group(code).label
        hold = next((c["probability"] for c in one["candidates"] if c["id"] == "hold"), 0.0)
        if one["group"] == "control":
            assert (one["action"]["id"], one["propensity"]) == ("hold", 1.0)
        elif one["group"] == "business_rules":
            assert (one["action"]["id"], one["propensity"]) == ("site.inspire.pantry", 1.0)
        elif one["group"] == "random":
            assert one["propensity"] == pytest.approx(1 / len(site))
        else:
            assert hold == pytest.approx(0.5 + 0.5 / len(site))
    fingerprint = Experiment.of(rules, actions=policy.actions, columns=policy.columns).fingerprint
    assert {(r["group_name"], r["rules"]) for r in rows} == {
        ("policy", None),
        ("random", None),
        ("control", None),
        ("business_rules", fingerprint),
    }
