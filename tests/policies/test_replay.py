"""Online learning by replay: on the real e-mail test, and where the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array
from policies.errors import EvaluationError
from policies.exploration import Explorer
from policies.feedback import LoggedFeedback
from policies.replay import online_ladder, replay


class Always:
    """Chooses by a fixed distribution and remembers what it was told."""

    def __init__(self, p: list[float]) -> None:
        self.p = np.array(p)
        self.propensities: list[float] = []

    def scores(self, features: Float32Array) -> Float32Array:
        return np.zeros((len(features), len(self.p)), dtype=np.float32)

    def distribution(self, scores: Float32Array, eligible: BoolArray) -> Float64Array:  # noqa: ARG002
        return np.tile(self.p, (len(scores), 1))

    def learn_rows(self, features: Float32Array, **told: Float64Array) -> Float64Array:
        self.propensities += told["propensity"].tolist()
        return np.zeros(len(features))


def uniform_log(*, n: int = 3_000, seed: int = 0) -> LoggedFeedback:
    random = np.random.default_rng(seed)
    action = random.integers(0, 3, n)
    return LoggedFeedback(
        columns=("x",),
        features=random.random((n, 1)).astype(np.float32),
        actions=ActionSet.of("a", "b", "c"),
        eligible=np.ones((n, 3), dtype=bool),
        action=action,
        propensity=np.full(n, 1 / 3),
        reward=(random.random(n) < np.array([0.1, 0.5, 0.3])[action]).astype(np.float64),
        customer=np.array([str(i) for i in range(n)], dtype=object),
    )


def test_on_the_real_test_learning_online_earns_nearly_what_the_best_mail_does(mail_test: LoggedFeedback) -> None:
    means = [replay(mail_test, online_ladder(mail_test, explorer=Explorer()), seed=seed).mean for seed in range(5)]
    assert np.mean(means) >= 0.175
    assert min(means) >= 0.170


def test_a_seed_decides_everything(mail_test: LoggedFeedback) -> None:
    part = mail_test.take(np.arange(2_000))

    def run(seed: int) -> tuple[bytes, bytes]:
        found = replay(part, online_ladder(part, explorer=Explorer()), seed=seed)
        return found.reward.tobytes(), found.action.tobytes()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_policy_that_always_does_the_same_earns_that_arms_mean() -> None:
    log = uniform_log()
    run = replay(log, Always([0, 1, 0]), seed=0)
    assert len(run.reward) == (log.action == 1).sum()
    assert run.mean == pytest.approx(log.reward[log.action == 1].mean())
    assert set(run.action.tolist()) == {1}


def test_what_is_kept_is_as_if_the_policy_had_decided() -> None:
    """Actions are kept in the policy's own proportions, and it learns its own propensities."""
    policy = Always([0.6, 0.1, 0.3])
    run = replay(uniform_log(n=20_000), policy, seed=0)
    shares = np.bincount(run.action, minlength=3) / len(run.action)
    np.testing.assert_allclose(shares, policy.p, atol=0.02)
    assert policy.propensities == policy.p[run.action].tolist()


def test_the_online_learner_finds_the_best_action() -> None:
    log = uniform_log()
    run = replay(log, online_ladder(log, explorer=Explorer()), seed=0)
    late = run.action[len(run.action) // 2 :]
    assert (late == 1).mean() > 0.7
    assert run.mean > 0.4


def test_a_log_that_was_not_uniform_is_refused() -> None:
    log = uniform_log(n=100)
    for propensity in (np.full(100, 0.5), np.where(np.arange(100) == 7, 0.34, 1 / 3)):
        with pytest.raises(EvaluationError, match="uniform over the eligible actions; use `journey evaluate`"):
            replay(replace(log, propensity=propensity), Always([0, 1, 0]), seed=0)


def test_a_log_without_a_single_match_is_refused() -> None:
    log = uniform_log(n=50)
    never = log.take(log.action != 1)
    with pytest.raises(EvaluationError, match=f"none of the {len(never)} logged actions"):
        replay(never, Always([0, 1, 0]), seed=0)
