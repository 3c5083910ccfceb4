from __future__ import annotations

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.errors import EvaluationError
from policies.evaluation.reward_model import cross_fit, fit_predict, ridge
from policies.feedback import LoggedFeedback


def log_of(reward: np.ndarray, *, customer: np.ndarray, action: np.ndarray, features: np.ndarray) -> LoggedFeedback:
    n = len(reward)
    return LoggedFeedback(
        columns=tuple(f"x{i}" for i in range(features.shape[1])),
        features=features.astype(np.float32),
        actions=ActionSet.of("a", "b"),
        eligible=np.ones((n, 2), dtype=bool),
        action=action,
        propensity=np.full(n, 0.5),
        reward=reward,
        customer=customer.astype(str).astype(object),
    )


@pytest.mark.parametrize("penalty", [0.01, 1.0, 25.0])
def test_ridge_minimises_its_loss_for_every_penalty(penalty: float) -> None:
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(80, 5)), generator.normal(size=80)
    solution = ridge(X, y, penalty=penalty)
    # The same problem as least squares with sqrt(penalty) rows appended.
    stacked = np.vstack([X, np.sqrt(penalty) * np.eye(5)])
    expected = np.linalg.lstsq(stacked, np.r_[y, np.zeros(5)])[0]
    assert solution == pytest.approx(expected)


def test_ridge_forgets_as_the_penalty_grows() -> None:
    X, y = np.ones((10, 1)), np.full(10, 4.0)
    assert ridge(X, y, penalty=10.0) == pytest.approx([2.0])


def test_a_customers_own_rewards_never_reach_its_prediction() -> None:
    generator = np.random.default_rng(1)
    customer = np.repeat(np.arange(60), 5)
    action = generator.integers(0, 2, 300)
    features = generator.normal(size=(300, 3))
    reward = generator.normal(size=300)
    before = cross_fit(log_of(reward, customer=customer, action=action, features=features))
    changed = np.where(customer == 7, 1e6, reward)
    after = cross_fit(log_of(changed, customer=customer, action=action, features=features))
    own = customer == 7
    assert (before[own] == after[own]).all()
    assert not np.allclose(before[~own], after[~own])


def test_the_model_finds_which_action_suits_whom() -> None:
    generator = np.random.default_rng(2)
    n = 5_000
    features = generator.normal(size=(n, 2))
    action = generator.integers(0, 2, n)
    truth = np.column_stack([1.0 + features[:, 0], 1.0 - features[:, 0]])
    reward = truth[np.arange(n), action] + generator.normal(0, 0.5, n)
    q_hat = cross_fit(log_of(reward, customer=np.arange(n), action=action, features=features))
    assert np.abs(q_hat - truth).mean() < 0.1


def test_an_action_without_rounds_gets_the_shared_prediction() -> None:
    generator = np.random.default_rng(3)
    features = generator.normal(size=(400, 1))
    reward = 2.0 + features[:, 0]
    q_hat = fit_predict(features, action=np.zeros(400, np.int64), reward=reward, actions=2, predict=np.array([[1.0]]))
    assert q_hat[0] == pytest.approx([3.0, 3.0], abs=0.2)


def test_rare_rewards_keep_their_mean() -> None:
    generator = np.random.default_rng(4)
    n = 4_000
    reward = (generator.random(n) < 0.004).astype(float)
    log = log_of(
        reward,
        customer=np.arange(n),
        action=generator.integers(0, 2, n),
        features=generator.integers(0, 2, (n, 20)).astype(float),
    )
    assert cross_fit(log).mean() == pytest.approx(reward.mean(), rel=0.1)


def test_columns_that_never_vary_change_nothing() -> None:
    generator = np.random.default_rng(5)
    features, action = generator.normal(size=(100, 2)), generator.integers(0, 2, 100)
    reward = generator.normal(size=100)
    padded = np.column_stack([features, np.full(100, 3.0)])
    arguments = {"action": action, "reward": reward, "actions": 2}
    plain = fit_predict(features, **arguments, predict=features)
    assert fit_predict(padded, **arguments, predict=padded) == pytest.approx(plain)


def test_one_customer_is_not_enough() -> None:
    with pytest.raises(EvaluationError, match="several customers"):
        cross_fit(log_of(np.ones(9), customer=np.zeros(9), action=np.zeros(9, np.int64), features=np.ones((9, 1))))
