"""What twins say a contact did, held against lives in which what contacts do is known to the cent and to the day."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pytest

from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray, IntArray
from policies.learning.baselines import FixedPolicy, RandomPolicy
from policies.policy import Policy
from simulator.rollout.counterfactual_pairs import BEST_SHARE, LATER, SOON, WHOLE, live_pairs
from simulator.rollout.rollout import Block, Setting
from simulator.rollout.trajectory import OUTBOUND, DecisionPoint, Trajectory
from simulator.world.day import MORNING

CUSTOMERS, DAYS = 60, WHOLE + 20
THANK = "email.thank"
# Days after a contact on which it earns: the first and the last of soon, the first and the last of later, too late.
PAYDAYS = {0: 1.0, SOON - 1: 2.0, SOON: -16.0, LATER - 1: 4.0, LATER: 64.0}
CLICK_DAYS = {0: 1.0, SOON - 1: 2.0, SOON: 8.0}
SOON_PAYS, LATER_PAYS, CLICKS = 1.0 + 2.0, -16.0 + 4.0, 1.0 + 2.0
BY_CUSTOMER = 0.25 * (1 + np.arange(CUSTOMERS) % 4)  # what contacts earn, relative to `PAYDAYS`
MORE_BY_ACTION = 0.5  # of it, per place in the catalogue


def pays(rows: IntArray, action: IntArray) -> Float64Array:
    """How much of `PAYDAYS` contacts of customers earn; exact in single precision."""
    return np.where(action > 0, BY_CUSTOMER[rows] * (1 + MORE_BY_ACTION * action), 0.0)


class KnownLife(Trajectory):
    """E-mails and calls do what `PAYDAYS` says and cost what they cost; customers buy the same whatever is done."""

    def day(self, day: int, *, every: int, turn: IntArray) -> Generator[DecisionPoint, IntArray, None]:
        rows = np.flatnonzero(turn == day % every)
        action = yield DecisionPoint(OUTBOUND, day, MORNING, rows)
        margin, clicks = self.tally.margin, self.tally.clicks
        margin[:, day] += day % 7
        margin[rows, day] -= self.scene.table.cost[action]
        self.undone[day, OUTBOUND] = rows[:0]
        for days, added in ((PAYDAYS, margin), (CLICK_DAYS, clicks)):
            for delay, amount in days.items():
                if day + delay < self.days:
                    added[rows, day + delay] += amount * pays(rows, action)


class KnownBlock(Block):
    def life(self) -> Trajectory:
        setting = self.setting
        return KnownLife(self.scene, self.states, scenario=setting.scenario, schema=setting.schema, days=self.days)


@dataclass(frozen=True)
class Opinionated(FixedPolicy):
    """Holds for ever, but knows what it would say if it had to."""

    favourite: str = THANK

    def scores(self, features: Float32Array) -> Float32Array:
        scores = np.zeros((len(features), len(self.actions)), dtype=np.float32)
        scores[:, 0] = 9.0
        scores[:, self.actions.index(self.favourite)] = 1.0
        return scores

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        assert eligible[:, 0].all()
        return np.eye(scores.shape[1])[np.zeros(len(scores), dtype=np.int64)]


@pytest.fixture(scope="module")
def known(baseline: Setting) -> KnownBlock:
    return KnownBlock(baseline, seed=3, block=0, customers=CUSTOMERS, days=DAYS)


@pytest.mark.parametrize("policy", ["hold", THANK, "random"])
def test_added_and_held_back_contacts_are_worth_what_they_do_and_when(
    known: KnownBlock, baseline: Setting, policy: str
) -> None:
    """Silence has contacts added, a policy that always mails has them held back, a random one both."""
    core = baseline.core
    deciding: Policy = (
        RandomPolicy(core.actions, core.columns, hold=0.5)
        if policy == "random"
        else FixedPolicy(core.actions, core.columns, policy)
    )
    found = live_pairs(known, deciding)
    assert len(found) > 50
    # What they earn names the customer's share, a quarter to one, and the action.
    shares = found.soon / SOON_PAYS / (1 + MORE_BY_ACTION * found.action)
    assert set(shares.round(4)) == {0.25, 0.5, 0.75, 1.0}
    assert np.allclose(found.later, found.soon / SOON_PAYS * LATER_PAYS, atol=1e-4)
    assert np.allclose(found.clicks, found.soon / SOON_PAYS * CLICKS, atol=1e-4)
    if policy == THANK:
        mailed = found.eligible[:, core.actions.index(THANK)]
        assert mailed.sum() > 30
        assert (found.action[mailed] == core.actions.index(THANK)).all()
    else:  # what contacts cost by themselves is not in what they earn, and some cost money
        assert (core.actions.cost[found.action] >= 1).sum() > 5


@pytest.mark.parametrize("favourite", ["email.offer.drinks", "email.inspire.apparel", "store.thank"])
def test_half_of_the_contacts_tried_are_the_policys_own_best(
    known: KnownBlock, baseline: Setting, favourite: str
) -> None:
    core = baseline.core
    opinionated = Opinionated(core.actions, core.columns, "hold", favourite=favourite)
    found, own = live_pairs(known, opinionated), core.actions.index(favourite)
    possible = found.eligible[:, own]
    assert possible.sum() > 50
    tried = (found.action[possible] == own).mean()
    # The others are drawn uniformly from a dozen or more.
    assert tried == pytest.approx(BEST_SHARE, abs=0.2)
    others = found.action[possible & (found.action != own)]
    assert len(np.unique(others)) > 8
    assert np.bincount(others).max() < 0.2 * possible.sum()


def test_what_a_policy_likes_best_is_not_tried_where_it_is_not_eligible(known: KnownBlock, baseline: Setting) -> None:
    core = baseline.core
    draft = Opinionated(core.actions, core.columns, "hold", favourite="email.winter.home")
    found = live_pairs(known, draft)
    assert len(found) > 80
    assert not (found.action == core.actions.index("email.winter.home")).any()
