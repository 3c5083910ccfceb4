"""Twin lives differ in one contact, and tell what it did."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from orchestrator.decision.core import DecisionCore, Decisions
from policies.arrays import IntArray
from policies.learning.baselines import FixedPolicy, RandomPolicy
from policies.policy import Policy
from simulator.errors import RunError
from simulator.rollout.counterfactual_pairs import BRANCH_EVERY, WHOLE, CounterfactualPairs, live_pairs
from simulator.rollout.rollout import Block, Setting

CUSTOMERS = 60
THANK = "email.thank"


def block(setting: Setting, *, seed: int = 0, days: int = WHOLE) -> Block:
    return Block(setting, seed=seed, block=0, customers=CUSTOMERS, days=days)


def fixed(setting: Setting, action: str = "hold") -> FixedPolicy:
    return FixedPolicy(setting.core.actions, setting.core.columns, action)


def assert_same(one: CounterfactualPairs, other: CounterfactualPairs) -> None:
    for f in fields(CounterfactualPairs):
        np.testing.assert_array_equal(getattr(one, f.name), getattr(other, f.name), err_msg=f.name)


class HalfUnreachable(DecisionCore):
    """Every second customer can be sent one e-mail only, the others nothing."""

    def decide(self, policy: Policy, *, rows: IntArray | None = None, **arguments: Any) -> Decisions:
        made = super().decide(policy, rows=rows, **arguments)
        assert rows is not None
        eligible = np.zeros_like(made.eligible)
        eligible[:, 0] = True
        eligible[rows % 2 == 0, self.actions.index(THANK)] = True
        return replace(made, eligible=eligible)


@pytest.fixture(scope="module")
def silent(baseline: Setting) -> CounterfactualPairs:
    """Of a policy that never contacts anybody."""
    return live_pairs(block(baseline), fixed(baseline))


def test_each_pair_is_an_eligible_contact_never_hold(silent: CounterfactualPairs) -> None:
    assert 10 < len(silent) <= CUSTOMERS  # one change per customer and branch at most
    assert (silent.action > 0).all()
    assert silent.eligible[np.arange(len(silent)), silent.action].all()


def test_drafts_are_never_tried(baseline: Setting, silent: CounterfactualPairs) -> None:
    draft = baseline.core.actions.index("email.winter.home")
    assert not silent.eligible[:, draft].any()
    assert draft not in silent.action


def test_pairs_are_the_same_whatever_was_lived_before(baseline: Setting, silent: CounterfactualPairs) -> None:
    lived = block(baseline)
    lived.live(RandomPolicy(baseline.core.actions, baseline.core.columns))
    assert_same(live_pairs(lived, fixed(baseline)), silent)


def test_another_seed_gives_other_pairs(baseline: Setting, silent: CounterfactualPairs) -> None:
    other = live_pairs(block(baseline, seed=1), fixed(baseline))
    assert other.soon.sum() != silent.soon.sum()


def test_a_contact_that_changes_nothing_is_worth_nothing_whatever_it_costs(
    baseline: Setting, silent: CounterfactualPairs
) -> None:
    cost = baseline.core.actions.cost[silent.action].astype(np.float64)
    costly = (cost > 0) & (silent.clicks == 0)
    assert costly.sum() > 5
    nothing = np.abs(silent.soon) < 1e-5
    assert nothing[costly].mean() > 0.5  # its own cost is not counted
    assert not np.isclose(silent.soon[costly], -cost[costly], atol=1e-5).any()


def test_customers_without_an_eligible_contact_make_no_pair(baseline: Setting) -> None:
    half = replace(baseline, core=HalfUnreachable(baseline.scenario.retailer, baseline.schema))
    found = live_pairs(block(half), fixed(half))
    thank = half.core.actions.index(THANK)
    assert 0 < len(found) <= CUSTOMERS / 2
    assert set(found.action) == {thank}
    assert (found.eligible.sum(axis=1) == 2).all()


def test_contacts_the_policy_would_make_are_held_back_instead(baseline: Setting) -> None:
    found = live_pairs(block(baseline), fixed(baseline, THANK))
    thank = baseline.core.actions.index(THANK)
    mailed = found.eligible[:, thank]
    assert mailed.sum() > 5
    assert (found.action[mailed] == thank).all()
    # Seen the same way round: most e-mails do nothing, and then nothing is left, the cost neither.
    assert np.median(np.abs(found.soon[mailed])) < 1e-5


def test_an_alert_nobody_had_time_for_makes_no_pair(no_minutes: Setting, silent: CounterfactualPairs) -> None:
    by_store = [action.startswith("store.") for action in no_minutes.core.actions.ids]
    tried = live_pairs(block(no_minutes), fixed(no_minutes))
    assert np.array(by_store)[silent.action].sum() > 3
    assert len(tried)
    assert not np.array(by_store)[tried.action].any()


def test_held_back_alerts_nobody_had_time_for_make_no_pair_either(no_minutes: Setting) -> None:
    calls = fixed(no_minutes, "store.service")
    found = live_pairs(block(no_minutes), calls)
    assert not np.isin(found.action, no_minutes.core.actions.index("store.service")).any()


def test_a_policy_without_an_opinion_favours_no_contact(baseline: Setting) -> None:
    found = live_pairs(Block(baseline, seed=4, block=0, customers=600, days=WHOLE), fixed(baseline))
    mailed = [i for i, action in enumerate(baseline.core.actions.ids) if action.startswith("email.inspire")]
    counts = np.bincount(found.action, minlength=len(baseline.core.actions))[mailed]
    assert counts.min() > 0
    assert counts.max() < 4 * counts.mean()


def test_a_horizon_too_short_for_a_twin_is_refused(baseline: Setting) -> None:
    with pytest.raises(RunError, match=f"days = {WHOLE - 1}: a twin lives {WHOLE} days"):
        live_pairs(block(baseline, days=WHOLE - 1), fixed(baseline))


def test_branches_add_pairs_and_end_with_the_horizon(baseline: Setting, silent: CounterfactualPairs) -> None:
    longer = live_pairs(block(baseline, days=WHOLE + BRANCH_EVERY), fixed(baseline))
    assert len(silent) < len(longer) <= 2 * CUSTOMERS
    one_day_short = live_pairs(block(baseline, days=WHOLE + BRANCH_EVERY - 1), fixed(baseline))
    assert len(one_day_short) <= CUSTOMERS


def test_pairs_are_put_one_after_the_other(silent: CounterfactualPairs) -> None:
    both = CounterfactualPairs.concat([silent, silent])
    assert len(both) == 2 * len(silent)
    np.testing.assert_array_equal(both.soon[len(silent) :], silent.soon)
