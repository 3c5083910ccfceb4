"""Equal policies have equal fingerprints, and any difference shows."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.exploration.explorers import Explorer
from policies.fingerprint import fingerprint
from policies.learning.baselines import FixedPolicy, RandomPolicy
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

ACTIONS = ActionSet.of("hold", "mail")
COLUMNS = ("recency", "spend")


def learned(reward: float = 1.0, **settings: Any) -> VWPolicy:
    policy = VWPolicy(VWSettings(space=FeatureSpace.of_customer(COLUMNS), **settings), ACTIONS)
    policy.learn_rows(
        np.ones((20, 2), np.float32),
        eligible=np.full(20, 2),
        action=np.arange(20) % 2,
        propensity=np.full(20, 0.5),
        reward=np.full(20, reward),
    )
    return policy


def test_a_copy_and_a_policy_made_again_have_the_same_fingerprint() -> None:
    policy = learned()
    first = fingerprint(policy)
    assert fingerprint(policy) == first  # caches filled by asking do not matter
    assert fingerprint(learned()) == first
    assert fingerprint(pickle.loads(pickle.dumps(policy))) == first  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "other",
    [
        learned(reward=1.01),
        learned(explorer=Explorer(epsilon=0.01)),
        learned().with_actions(replace(ACTIONS, costs=(0.0, 0.1))),
        FixedPolicy(ACTIONS, COLUMNS, "hold"),
        RandomPolicy(ACTIONS, COLUMNS),
    ],
    ids=["learned otherwise", "explores", "costs", "fixed", "random"],
)
def test_another_policy_has_another_fingerprint(other: Any) -> None:
    assert fingerprint(other) != fingerprint(learned())


def test_settings_of_baselines_show() -> None:
    assert fingerprint(RandomPolicy(ACTIONS, COLUMNS, hold=0.1)) != fingerprint(RandomPolicy(ACTIONS, COLUMNS))
    assert fingerprint(FixedPolicy(ACTIONS, COLUMNS, "mail")) != fingerprint(FixedPolicy(ACTIONS, COLUMNS, "hold"))


@dataclass(frozen=True)
class Root(RandomPolicy):
    """Takes roots, which only features as customers have them allow."""

    def scores(self, features: np.ndarray) -> np.ndarray:
        return super().scores(np.sqrt(features) + np.sqrt(3 - features))


def test_policies_are_asked_about_features_customers_can_have() -> None:
    """Impossible ones would warn here, and warnings are errors."""
    assert fingerprint(Root(ACTIONS, COLUMNS)) != fingerprint(RandomPolicy(ACTIONS, COLUMNS))
