"""Online replay, and several learning rates side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.errors import EvaluationError, PolicyError
from policies.exploration.explorers import Explorer
from policies.feedback import LoggedFeedback
from policies.learning.baselines import FixedPolicy
from policies.learning.learning_rate_search import LearningRateSearch
from policies.learning.replay import replay
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWSettings

COLUMNS = ("x", "y")


def make_log(rows: int = 4000, *, noise: float = 0.0) -> LoggedFeedback:
    """Uniform logging; the right action is the sign of x."""
    random = np.random.default_rng(0)
    features = random.standard_normal((rows, 2)).astype(np.float32)
    action = random.integers(2, size=rows)
    right = (action == (features[:, 0] > 0)).astype(float)
    return LoggedFeedback(
        columns=COLUMNS,
        features=features,
        actions=ActionSet.of("left", "right"),
        eligible=np.ones((rows, 2), dtype=bool),
        action=action,
        propensity=np.full(rows, 0.5),
        reward=right + noise * random.standard_normal(rows),
        customer=np.arange(rows).astype(str).astype(object),
    )


def make_ladder(**changes: Any) -> LearningRateSearch:
    settings = VWSettings(space=FeatureSpace.of_customer(COLUMNS), explorer=Explorer(kind="squarecb"))
    return LearningRateSearch(replace(settings, **changes), ActionSet.of("left", "right"), rates=(0.001, 0.5))


class Learnless(FixedPolicy):
    def learn_rows(self, features: Any, **rows: Any) -> Any:  # noqa: ARG002
        return np.zeros(len(features))


def test_replay_of_a_fixed_action_sees_exactly_its_logged_rows() -> None:
    log = make_log()
    run = replay(log, Learnless(log.actions, log.columns, "left"), seed=3)
    assert len(run.reward) == (log.action == 0).sum()
    assert run.mean == pytest.approx(log.reward[log.action == 0].mean())
    assert (run.action == 0).all()


def test_online_learning_finds_the_right_action() -> None:
    run = replay(make_log(), make_ladder(), seed=1)
    assert run.reward[-500:].mean() > 0.85


def test_replay_is_repeatable() -> None:
    one, two = (replay(make_log(600), make_ladder(), seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.reward, two.reward)
    assert len(one.reward) != len(replay(make_log(600), make_ladder(), seed=6).reward)


def test_replay_refuses_logs_that_were_not_uniform() -> None:
    log = make_log(10)
    with pytest.raises(EvaluationError, match="uniform over the eligible actions"):
        replay(replace(log, propensity=np.full(10, 0.4)), make_ladder(), seed=0)


def test_replay_refuses_to_conclude_from_nothing() -> None:
    log = make_log(50)
    with pytest.raises(EvaluationError, match="none of the policy's"):
        replay(log.take(log.action == 1), Learnless(log.actions, log.columns, "left"), seed=0)


def test_the_ladder_takes_the_rate_that_predicts_best() -> None:
    log = make_log(2000)
    ladder = make_ladder()
    ladder.learn_rows(
        log.features, eligible=np.full(2000, 2), action=log.action, propensity=log.propensity, reward=log.reward
    )
    assert ladder.best.settings.learning_rate == 0.5
    np.testing.assert_array_equal(ladder.scores(log.features), ladder.rungs[1].scores(log.features))


def test_the_ladders_choice_does_not_depend_on_how_rows_are_batched() -> None:
    log = make_log(1000, noise=0.5)
    whole, parts = make_ladder(), make_ladder()
    for ladder, size in ((whole, 1000), (parts, 10)):
        for start in range(0, 1000, size):
            rows = slice(start, start + size)
            ladder.learn_rows(
                log.features[rows], eligible=np.full(size, 2), action=log.action[rows],
                propensity=log.propensity[rows], reward=log.reward[rows],
            )  # fmt: skip
    np.testing.assert_allclose(whole.loss, parts.loss)


def test_learning_from_no_rows_changes_nothing() -> None:
    log = make_log(200)
    ladder = make_ladder()
    rows = {"eligible": np.full(200, 2), "action": log.action, "propensity": log.propensity, "reward": log.reward}
    ladder.learn_rows(log.features, **rows)
    loss, gamma = ladder.loss.copy(), ladder.explorer.gamma_scale
    assert ladder.learn_rows(log.features[:0], **{k: v[:0] for k, v in rows.items()}).shape == (0,)
    np.testing.assert_array_equal(ladder.loss, loss)
    assert ladder.explorer.gamma_scale == gamma


@pytest.mark.parametrize("rates", [(), (0.0,), (0.1, -1.0)])
def test_rates_must_be_positive(rates: tuple[float, ...]) -> None:
    with pytest.raises(PolicyError, match="learning rates must be positive"):
        LearningRateSearch(VWSettings(space=FeatureSpace.of_customer(COLUMNS)), ActionSet.of("a"), rates=rates)
