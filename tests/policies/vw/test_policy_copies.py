"""A copy of a policy in another process decides the same."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.exploration.explorers import Explorer
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

COLUMNS = ("recency", "spend", "visits")
PROBE = np.random.default_rng(1).standard_normal((300, 3)).astype(np.float32)


def trained(*, extra_args: tuple[str, ...] = (), rows: int = 400) -> VWPolicy:
    random = np.random.default_rng(0)
    settings = VWSettings(
        space=FeatureSpace.of_customer(COLUMNS),
        explorer=Explorer(epsilon=0.05),
        reward_scale=3.0,
        extra_args=extra_args,
    )
    policy = VWPolicy(settings, replace(ActionSet.of("hold", "mail", "call"), costs=(0.0, 0.1, 2.5)))
    learn(policy, random, rows)
    return policy


def sent(policy: VWPolicy) -> VWPolicy:
    """As another process gets it."""
    copy: VWPolicy = pickle.loads(pickle.dumps(policy))  # noqa: S301 - our own bytes
    return copy


def learn(policy: VWPolicy, random: np.random.Generator, rows: int) -> None:
    policy.learn_rows(
        random.standard_normal((rows, 3)).astype(np.float32),
        eligible=np.full(rows, 3),
        action=random.integers(3, size=rows),
        propensity=np.full(rows, 1 / 3),
        reward=random.standard_normal(rows),
    )


@pytest.mark.parametrize(
    ("rows", "extra_args"), [(0, ()), (400, ()), (400, ("--l2", "0.0001"))], ids=["new", "compiled", "scored by VW"]
)
def test_a_copy_decides_the_same_to_the_last_bit(rows: int, extra_args: tuple[str, ...]) -> None:
    policy = trained(extra_args=extra_args, rows=rows)
    copy = sent(policy)
    assert (copy.settings, copy.actions, copy.progress) == (policy.settings, policy.actions, policy.progress)
    assert copy.compiled == policy.compiled
    scores = policy.scores(PROBE)
    np.testing.assert_array_equal(copy.scores(PROBE), scores)
    eligible = np.random.default_rng(2).random(scores.shape) < 0.7
    eligible[:, 0] = True
    np.testing.assert_array_equal(copy.distribution(scores, eligible), policy.distribution(scores, eligible))


def test_a_copy_goes_on_learning_the_same() -> None:
    policy = trained()
    copy = sent(policy)
    for each in (policy, copy):
        learn(each, np.random.default_rng(3), 200)
    np.testing.assert_array_equal(copy.scores(PROBE), policy.scores(PROBE))


def test_a_copy_is_of_the_same_class() -> None:
    policy = trained()
    subclass = Stubborn(policy.settings, policy.actions, model=policy.model, progress=policy.progress)
    assert type(sent(subclass)) is Stubborn


class Stubborn(VWPolicy):
    name = "stubborn"
