"""The rate ladder by itself: what it measures and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.exploration.explorers import Explorer
from policies.learning.learning_rate_search import LearningRateSearch
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import Importance, VWPolicy, VWSettings

N, A = 400, 3


def settings(*, importance: Importance = "propensity", scale: float = 1.0) -> VWSettings:
    return VWSettings(space=FeatureSpace.of_customer(("x", "y")), importance=importance, reward_scale=scale)


def rows(*, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    features = random.random((N, 2)).astype(np.float32)
    action = random.integers(0, A, N)
    return {
        "features": features,
        "eligible": np.full(N, A),
        "action": action,
        "propensity": random.uniform(0.2, 1.0, N),
        "reward": features[:, 0] * (action == 1) + 0.1 * random.normal(size=N),
    }


def feed(learner: LearningRateSearch | VWPolicy, data: dict[str, np.ndarray], *, batch: int) -> np.ndarray:
    predicted = []
    for start in range(0, N, batch):
        part = {name: values[start : start + batch] for name, values in data.items()}
        predicted.append(learner.learn_rows(part.pop("features"), **part))
    return np.concatenate(predicted)


@pytest.mark.parametrize("importance", ["propensity", "none"])
def test_its_loss_is_the_weighted_squared_error_of_predictions_made_before_learning(importance: Importance) -> None:
    data, rates = rows(), (0.05, 1.0)
    ladder = LearningRateSearch(settings(importance=importance, scale=2.0), ActionSet.of("a", "b", "c"), rates=rates)
    feed(ladder, data, batch=1)
    weight = 1 / (data["propensity"] * A) if importance == "propensity" else np.ones(N)
    # Every reward seen so far bounds what a prediction may count as, zero included.
    top = np.maximum(np.maximum.accumulate(np.concatenate([[0.0], data["reward"][:-1]])), 0)
    low = np.minimum(np.minimum.accumulate(np.concatenate([[0.0], data["reward"][:-1]])), 0)
    for r, rung in enumerate(ladder.rungs):
        alone = VWPolicy(rung.settings, ladder.actions)
        error = (np.clip(feed(alone, data, batch=1), low, top) - data["reward"]) / 2.0
        assert ladder.loss[r] == pytest.approx(np.sum(weight * error**2))
        assert alone.model == rung.model
    assert ladder.best is ladder.rungs[int(np.argmin(ladder.loss))]


def test_gamma_is_as_asked_at_an_error_of_an_eighth_and_inverse_to_it() -> None:
    explorer = Explorer(gamma_scale=8.0)
    made = VWSettings(space=FeatureSpace.of_customer(("x",)), explorer=explorer, importance="none")
    fair_coin, sure = (LearningRateSearch(made, ActionSet.of("a", "b"), rates=(1e-6,)) for _ in range(2))
    one = {"eligible": np.array([2] * 2000), "action": np.zeros(2000, int), "propensity": np.ones(2000)}
    # With a rate of nothing every prediction is 0, so the squared error is the squared reward.
    fair_coin.learn_rows(np.ones((2000, 1), np.float32), **one, reward=np.tile([0.0, 0.5], 1000))
    assert fair_coin.explorer.gamma_scale == pytest.approx(8.0, rel=1e-3)
    sure.learn_rows(np.ones((2000, 1), np.float32), **one, reward=np.zeros(2000))
    assert sure.explorer.gamma_scale == pytest.approx(8.0 * 0.125 / 0.01)
