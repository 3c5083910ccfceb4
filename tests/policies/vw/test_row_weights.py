"""How much a row counts is told by `weight`, on top of its importance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.learning.learning_rate_search import LearningRateSearch
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import Importance, VWPolicy, VWSettings

N, A = 60, 3
Make = Callable[[Importance], VWPolicy | LearningRateSearch]


def settings(importance: Importance) -> VWSettings:
    return VWSettings(space=FeatureSpace.of_customer(("x", "y")), importance=importance)


def policy(importance: Importance) -> VWPolicy:
    return VWPolicy(settings(importance), ActionSet.of("a", "b", "c"))


def ladder(importance: Importance) -> LearningRateSearch:
    return LearningRateSearch(settings(importance), ActionSet.of("a", "b", "c"), rates=(0.05, 0.5))


def models(learner: VWPolicy | LearningRateSearch) -> list[bytes]:
    return [rung.model for rung in learner.rungs] if isinstance(learner, LearningRateSearch) else [learner.model]


def learn(learner: VWPolicy | LearningRateSearch, weight: np.ndarray | None) -> np.ndarray:
    random = np.random.default_rng(0)
    features = random.random((N, 2)).astype(np.float32)
    return learner.learn_rows(
        features,
        eligible=np.full(N, A),
        action=random.integers(0, A, N),
        propensity=random.uniform(0.2, 1.0, N),
        reward=features[:, 0] + 0.1 * random.normal(size=N),
        weight=weight,
    )


@pytest.mark.parametrize("importance", ["none", "propensity"])
@pytest.mark.parametrize("make", [policy, ladder])
def test_no_weight_is_a_weight_of_one_to_the_last_bit(make: Make, importance: Importance) -> None:
    without, ones = make(importance), make(importance)
    np.testing.assert_array_equal(learn(without, None), learn(ones, np.ones(N)))
    assert models(without) == models(ones)
    if isinstance(without, LearningRateSearch) and isinstance(ones, LearningRateSearch):
        np.testing.assert_array_equal(without.loss, ones.loss)


@pytest.mark.parametrize("importance", ["none", "propensity"])
@pytest.mark.parametrize("make", [policy, ladder])
def test_a_row_of_weight_two_teaches_otherwise(make: Make, importance: Importance) -> None:
    weight = np.ones(N)
    weight[10] = 2.0
    plain, heavier = make(importance), make(importance)
    before, after = learn(plain, None), learn(heavier, weight)
    np.testing.assert_array_equal(before[:11], after[:11])  # predicted before learning the row
    assert (before[11:] != after[11:]).any()
    assert all(one != other for one, other in zip(models(plain), models(heavier), strict=True))


@pytest.mark.parametrize("importance", ["none", "propensity"])
def test_losses_of_the_ladder_are_weighted_alike(importance: Importance) -> None:
    first = np.zeros(N)
    first[0] = 1.0
    one, three = ladder(importance), ladder(importance)
    learn(one, first)
    learn(three, 3 * first)
    # Only the first row counts, and nothing was learned before it.
    np.testing.assert_allclose(three.loss, 3 * one.loss)
    assert (one.loss > 0).all()
