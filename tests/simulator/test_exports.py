"""Logs of rollouts in other forms: the same decisions, the same money."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from policies.actions import ActionSet
from policies.evaluation.estimators import SNIPS
from policies.evaluation.rounds import Rounds
from policies.learning.baselines import RandomPolicy
from policies.policy import probabilities_on
from policies.vw.dsjson import read_dsjson_log
from simulator.errors import SimulatorError
from simulator.exports import LogExport
from simulator.rollout.log import RolloutLog
from simulator.rollout.rollout import Block, Setting

DAYS = 12


@pytest.fixture(scope="module")
def policy(baseline: Setting) -> RandomPolicy:
    return RandomPolicy(baseline.core.actions, baseline.core.columns, hold=0.6)


@pytest.fixture(scope="module")
def export(baseline: Setting, policy: RandomPolicy) -> LogExport:
    _, log = Block(baseline, seed=1, block=0, customers=300, days=DAYS).live(policy, log=True)
    assert log is not None
    return LogExport(log, policy.actions, policy.columns, block="7", source="a test")


def test_feedback_has_every_decision(export: LogExport) -> None:
    feedback = export.feedback()
    assert len(feedback) == len(export.log)
    assert feedback.source == "a test"
    assert set(feedback.customer) == {f"7-{row}" for row in range(300)}


def test_net_feedback_is_all_money_kept_since_each_customers_first_decision(export: LogExport) -> None:
    net = export.feedback().net().reward
    by_customer = np.bincount(export.log.customer, weights=net)
    first = np.full(300, DAYS)
    np.minimum.at(first, export.log.customer, export.log.day)
    since = np.arange(DAYS) >= first[:, None]
    assert np.allclose(by_customer, (export.log.margin * since).sum(axis=1), atol=1e-3)


def test_a_contact_nobody_answers_earns_nothing_but_costs(export: LogExport) -> None:
    """Somebody who is mailed and does nothing: reward 0 before costs, so that it counts as not answered."""
    feedback = export.feedback()
    quiet = (export.log.margin == 0).all(axis=1) | (export.log.worth == export.log.margin).all(axis=1)
    mailed = np.array([a.startswith("email.") for a in export.actions.ids])[feedback.action]
    silent = np.isin(export.log.customer, np.flatnonzero(quiet)) & mailed & ~feedback.answered
    assert silent.sum() > 20
    assert np.allclose(feedback.net().reward[silent], -0.002)


@given(seed=st.integers(0, 1_000), customers=st.integers(1, 4), days=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_money_is_divided_among_decisions_by_the_next_one(seed: int, customers: int, days: int) -> None:
    """Against a loop over every decision, with several a day in any order in the log."""
    random = np.random.default_rng(seed)
    cells = random.permutation(customers * days * 3)[: random.integers(1, customers * days * 3 + 1)]
    customer, day, slot = np.unravel_index(cells, (customers, days, 3))
    actions = replace(ActionSet.of("hold", "a", "b"), costs=(0.0, 0.25, 2.0))
    action = random.integers(0, 3, len(cells))
    margin = random.integers(-8, 9, (customers, days)).astype(np.float32)
    log = RolloutLog(
        customer=customer,
        day=day,
        slot=slot.astype(np.int8),
        action=action,
        propensity=np.full(len(cells), 1 / 3),
        done=np.ones(len(cells), dtype=bool),
        eligible=np.ones((len(cells), 3), dtype=bool),
        features=np.zeros((len(cells), 1), dtype=np.float32),
        margin=margin,
        worth=margin,
    )
    cost = np.array(actions.costs)[action]
    expected = np.zeros(len(cells))
    for i in range(len(cells)):
        later = [(day[j], slot[j]) for j in range(len(cells)) if customer[j] == customer[i]]
        following = min((when for when in later if when > (day[i], slot[i])), default=(days, 0))[0]
        for d in range(day[i], following):
            spent = sum(cost[j] for j in range(len(cells)) if (customer[j], day[j]) == (customer[i], d))
            expected[i] += margin[customer[i], d] + spent
    found = LogExport(log, actions, ("x",)).feedback()
    assert np.allclose(found.reward, expected)
    assert np.allclose(found.net().reward, expected - cost)


def test_the_logging_policys_snips_value_is_the_mean(export: LogExport, policy: RandomPolicy) -> None:
    feedback = export.feedback().net()
    pi = probabilities_on(policy, feedback)
    assert np.allclose(pi[np.arange(len(feedback)), feedback.action], feedback.propensity)
    assert SNIPS().value(Rounds.of(feedback, pi)) == pytest.approx(feedback.reward.mean())


def test_bandit_feedback_has_the_shapes_its_reader_expects(export: LogExport) -> None:
    n, actions = len(export.log), len(export.actions)
    found = export.bandit_feedback()
    assert (found["n_rounds"], found["n_actions"]) == (n, actions)
    assert found["context"].shape == (n, len(export.columns))
    for name in ("action", "position", "reward", "pscore"):
        assert found[name].shape == (n,)
    assert not found["position"].any()
    assert found["action"].max() < actions
    assert (found["pscore"] > 0).all()
    assert np.allclose(found["reward"], export.feedback().net().reward)


def test_the_action_context_tells_actions_apart(export: LogExport) -> None:
    context = export.bandit_feedback()["action_context"]
    assert len(np.unique(context, axis=0)) == len(export.actions)
    offer, inspire = (context[export.actions.index(f"email.{intent}.home")] for intent in ("offer", "inspire"))
    thank = context[export.actions.index("store.thank")]
    assert ((offer > 0) & (inspire > 0)).sum() > ((offer > 0) & (thank > 0)).sum()


def test_the_table_names_everything(export: LogExport) -> None:
    frame = export.frame()
    assert len(frame) == len(export.log)
    assert list(frame.columns[:7]) == ["customer", "day", "slot", "action", "propensity", "done", "money"]
    assert set(frame["slot"]) == {"outbound", "site", "store"}
    on_site = set(frame.loc[frame["slot"] == "site", "action"])
    assert all(a == "hold" or a.startswith("site.") for a in on_site)
    assert np.array_equal(frame[f"x.{export.columns[3]}"], export.log.features[:, 3])
    assert np.isclose(frame["money"].sum(), export.feedback().net().reward.sum())


def test_dsjson_comes_back_as_it_went(baseline: Setting, policy: RandomPolicy, tmp_path: Path) -> None:
    _, log = Block(baseline, seed=1, block=0, customers=60, days=6).live(policy, log=True)
    assert log is not None
    file, export = tmp_path / "log.dsjson", LogExport(log, policy.actions, policy.columns)
    export.write_dsjson(file)
    went, came = export.feedback().net(), read_dsjson_log(file)
    assert len(came) == len(went)
    assert [came.actions.ids[a] for a in came.action] == [went.actions.ids[a] for a in went.action]
    assert np.allclose(came.propensity, went.propensity)
    assert np.allclose(came.reward, went.reward)
    assert list(came.customer) == list(went.customer)
    column = "frequency"
    (name,) = [c for c in came.columns if c.endswith(f"|{column}")]
    assert np.allclose(came.features[:, came.columns.index(name)], went.features[:, went.columns.index(column)])
    for a in set(came.actions.ids):
        assert np.array_equal(came.eligible[:, came.actions.index(a)], went.eligible[:, went.actions.index(a)]), (
            f"{a} is eligible elsewhere"
        )


def test_dsjson_is_money_kept_and_nothing_is_subtracted_from_it_again(export: LogExport, tmp_path: Path) -> None:
    """Else whoever learns from the file is taught that the costliest action is the best."""
    export.write_dsjson(tmp_path / "log.dsjson")
    came = read_dsjson_log(tmp_path / "log.dsjson")
    called = np.array([export.actions.ids[a].startswith("store.") for a in export.log.action])
    assert export.actions.cost[export.log.action][called].min() >= 1
    assert np.allclose(came.reward, export.frame()["money"])
    assert np.allclose(came.net().reward, came.reward)
    assert came.reward[called].mean() <= export.feedback().reward[called].mean() - 1


def test_worth_is_net_as_nothing_subtracts_costs_from_it(export: LogExport) -> None:
    feedback = export.feedback()
    same = np.isin(export.log.customer, np.flatnonzero((export.log.worth == export.log.margin).all(axis=1)))
    assert 0 < same.sum() < len(same)
    judged = feedback.with_reward("worth").net()
    assert np.allclose(judged.reward[same], feedback.net().reward[same])


def test_an_imported_log_says_that_it_is_simulated(export: LogExport, tmp_path: Path) -> None:
    replace(export, source="simulated: scenario x").write_dsjson(tmp_path / "log.dsjson")
    assert "log.dsjson of: simulated: scenario x" in read_dsjson_log(tmp_path / "log.dsjson").source


def test_a_log_of_another_core_is_refused(export: LogExport) -> None:
    with pytest.raises(SimulatorError, match=r"eligible have \d+ columns, expected 2"):
        LogExport(export.log, ActionSet.of("hold", "other"), export.columns)
