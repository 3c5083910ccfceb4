"""Online learning by replay: on the real e-mail test, and where the truth is known."""

from __future__ import annotations

import numpy as np

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array
from policies.exploration.explorers import Explorer
from policies.feedback import LoggedFeedback
from policies.learning.replay import online_search, replay


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
    means = [replay(mail_test, online_search(mail_test, explorer=Explorer()), seed=seed).mean for seed in range(5)]
    assert np.mean(means) >= 0.175
    assert min(means) >= 0.170


def test_a_seed_decides_everything(mail_test: LoggedFeedback) -> None:
    part = mail_test.take(np.arange(2_000))

    def run(seed: int) -> tuple[bytes, bytes]:
        found = replay(part, online_search(part, explorer=Explorer()), seed=seed)
        return found.reward.tobytes(), found.action.tobytes()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_what_is_kept_is_as_if_the_policy_had_decided() -> None:
    """Actions are kept in the policy's own proportions, and it learns its own propensities."""
    policy = Always([0.6, 0.1, 0.3])
    run = replay(uniform_log(n=20_000), policy, seed=0)
    shares = np.bincount(run.action, minlength=3) / len(run.action)
    np.testing.assert_allclose(shares, policy.p, atol=0.02)
    assert policy.propensities == policy.p[run.action].tolist()
