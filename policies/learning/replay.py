"""Online learning measured on a real randomised log, by replay.

The policy meets the log's customers in random order and decides; where its action is the logged one,
the logged reward is what it would have seen, so it is counted and learned; otherwise the row is
skipped. With uniform logging the accepted rows are an unbiased run of the online policy.
Source: Li, Chu, Langford & Wang 2011 (arXiv:1003.5956), Algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray, IntArray
from policies.errors import EvaluationError
from policies.exploration.draws import draw
from policies.exploration.explorers import Explorer
from policies.feedback import LoggedFeedback
from policies.learning.learning_rate_search import LearningRateSearch
from policies.learning.training import reward_scale
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWSettings


class OnlinePolicy(Protocol):
    """A policy that can decide and learn."""

    def scores(self, features: Float32Array) -> Float32Array:
        """Expected reward per action, (n, A)."""

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        """Probability per action, (n, A)."""

    def learn_rows(
        self,
        features: Float32Array,
        *,
        eligible: IntArray,
        action: IntArray,
        propensity: Float64Array,
        reward: Float64Array,
    ) -> Float64Array:
        """Learn and return the predictions made before learning, (n,)."""


@dataclass(frozen=True)
class Replay:
    """An online run.

    Attributes:
        reward: float64 (m,), rewards of the accepted rows, in order.
        action: int64 (m,), their actions.
    """

    reward: Float64Array
    action: IntArray

    @property
    def mean(self) -> float:
        """Mean reward over the run, learning included."""
        return float(self.reward.mean())


def replay(log: LoggedFeedback, policy: OnlinePolicy, *, seed: int, batch: int = 16) -> Replay:
    """Run `policy` online over `log`, learning as it goes.

    Args:
        log: feedback of uniform logging.
        policy: learns in place.
        seed: order of customers and draws.
        batch: customers decided between two updates.

    Raises:
        EvaluationError: logging was not uniform over the eligible actions, or no decision was the logged one.
    """
    if not np.allclose(log.propensity * log.eligible.sum(axis=1), 1.0, rtol=1e-6):
        raise EvaluationError(
            "online replay needs logging that was uniform over the eligible actions; use `journey evaluate` instead"
        )
    random = np.random.default_rng(seed)
    order = random.permutation(len(log))
    u = random.random(len(log))
    rewards, actions = [], []
    for start in range(0, len(log), batch):
        rows = order[start : start + batch]
        features, eligible = log.features[rows], log.eligible[rows]
        distribution = policy.distribution(policy.scores(features), eligible)
        action = draw(distribution, u[start : start + batch])
        accepted = np.flatnonzero(action == log.action[rows])
        if not len(accepted):
            continue
        kept, chosen = rows[accepted], action[accepted]
        policy.learn_rows(
            log.features[kept],
            eligible=log.eligible[kept].sum(axis=1),
            action=chosen,
            propensity=distribution[accepted, chosen],
            reward=log.reward[kept],
        )
        rewards.append(log.reward[kept])
        actions.append(chosen)
    if not rewards:
        raise EvaluationError(
            f"none of the policy's {len(log)} decisions was the logged one; replay needs a longer log"
        )
    return Replay(np.concatenate(rewards), np.concatenate(actions))


def online_search(log: LoggedFeedback, *, explorer: Explorer) -> LearningRateSearch:
    """A fresh online learner for a log's columns and actions, rewards taken as about one unit wide."""
    settings = VWSettings(
        space=FeatureSpace.of_customer(log.columns),
        explorer=explorer,
        reward_scale=reward_scale(log.reward),
        reward_name=log.reward_name,
        importance="none",
    )
    return LearningRateSearch(settings, log.actions)
