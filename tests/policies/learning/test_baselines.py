"""Baselines: random, fixed, best fixed, business rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.errors import FeatureError, FeedbackError
from policies.feedback import LoggedFeedback
from policies.learning.baselines import BusinessRules, FixedPolicy, RandomPolicy, best_fixed
from policies.policy import choose_probabilities

COLUMNS = ("recency.purchase", "frequency", "spend", "noise")
ACTIONS = ActionSet.of("hold", "mail", "offer")


def make_log(rows: int = 9000, *, seed: int = 0) -> LoggedFeedback:
    """`mail` pays for big spenders, `offer` for the others, `hold` a little for everybody."""
    random = np.random.default_rng(seed)
    features = random.random((rows, 4)).astype(np.float32)
    propensities = np.array([0.2, 0.7, 0.1])
    action = random.choice(3, size=rows, p=propensities)
    rich = features[:, 2] > 2 / 3
    reward = np.select([action == 1, action == 2], [1.0 * rich, 0.8 * ~rich], 0.1) + 0.1 * random.standard_normal(rows)
    return LoggedFeedback(
        columns=COLUMNS,
        features=features,
        actions=ACTIONS,
        eligible=np.ones((rows, 3), dtype=bool),
        action=action,
        propensity=propensities[action],
        reward=reward,
        customer=np.arange(rows).astype(str).astype(object),
    )


def test_random_is_uniform_over_the_eligible() -> None:
    policy = RandomPolicy(ACTIONS, COLUMNS)
    eligible = np.array([[True, True, False], [True, False, False]])
    p = choose_probabilities(policy, np.zeros((2, 4), np.float32), eligible)
    np.testing.assert_array_equal(p, [[0.5, 0.5, 0], [1, 0, 0]])


def test_a_fixed_action_gives_way_to_the_first_eligible() -> None:
    policy = FixedPolicy(ACTIONS, COLUMNS, "mail")
    eligible = np.array([[True, True, True], [True, False, True], [False, False, True]])
    p = choose_probabilities(policy, np.zeros((3, 4), np.float32), eligible)
    np.testing.assert_array_equal(p.argmax(axis=1), [1, 0, 2])
    assert policy.name == "fixed: mail"
    with pytest.raises(FeatureError, match="unknown action 'e-mail'; known: hold, mail, offer"):
        FixedPolicy(ACTIONS, COLUMNS, "e-mail")


def test_the_best_fixed_action_is_weighted_by_propensity() -> None:
    log = make_log()
    assert best_fixed(log).action_id == "offer"
    # Unweighted, a log that shows `mail` mostly to those it pays for makes it look best.
    rich = log.features[:, 2] > 2 / 3
    keep = (log.action != 1) | rich | (np.arange(len(log)) % 20 == 0)
    kept = log.take(keep)
    corrected = np.where((kept.action == 1) & ~rich[keep], 0.7 / 20, kept.propensity)
    biased = replace(kept, propensity=corrected)
    assert np.mean(biased.reward[biased.action == 1]) > np.mean(biased.reward[biased.action == 2])
    assert best_fixed(biased).action_id == "offer"


def test_the_best_fixed_action_is_one_that_was_tried() -> None:
    log = make_log()
    untried = log.take(log.action == 0)
    losing = replace(untried, reward=-np.abs(untried.reward))
    assert best_fixed(losing).action_id == "hold"


def test_business_rules_find_the_segments() -> None:
    rules = BusinessRules.fit(make_log())
    probe = make_log(500, seed=1)
    rich = probe.features[:, 2] > 0.7
    poor = probe.features[:, 2] < 0.6
    p = choose_probabilities(rules, probe.features, probe.eligible)
    assert p[rich].argmax(axis=1).tolist() == [1] * int(rich.sum())
    assert p[poor].argmax(axis=1).tolist() == [2] * int(poor.sum())
    assert rules.values.shape == (27, 3)


def test_thin_segments_are_shrunk_towards_the_action_mean() -> None:
    log = make_log(60)
    timid = BusinessRules.fit(log, prior_weight=1e9)
    assert np.ptp(timid.values, axis=0).max() < 1e-3
    bold = BusinessRules.fit(log, prior_weight=1e-9)
    assert np.ptp(bold.values, axis=0).max() > 0.1


def test_an_action_never_tried_is_never_chosen() -> None:
    log = make_log()
    log = log.take(log.action != 2)
    rules = BusinessRules.fit(log)
    p = choose_probabilities(rules, log.features, log.eligible)
    assert (p[:, 2] == 0).all()


def test_business_rules_refuse_logs_they_cannot_use() -> None:
    log = make_log(10)
    with pytest.raises(FeedbackError, match="at least one row"):
        BusinessRules.fit(log.take(np.array([], dtype=np.int64)))
    with pytest.raises(FeatureError, match="the log lacks frequency"):
        BusinessRules.fit(replace(log, columns=("recency.purchase", "f", "spend", "noise")))


@pytest.mark.parametrize(("answers", "best"), [(29, "hold"), (30, "offer")])
def test_a_lucky_rare_action_does_not_compete(answers: int, best: str) -> None:
    log = make_log(2_000)
    reward = np.where(log.action == 0, 0.1, -1.0)
    reward[log.action == 2] = 0.0
    reward[np.flatnonzero(log.action == 2)[:answers]] = 100.0
    assert best_fixed(replace(log, reward=reward)).action_id == best
