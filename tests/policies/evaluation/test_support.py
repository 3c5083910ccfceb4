from __future__ import annotations

import numpy as np
import pytest

from policies.evaluation.estimators import ESTIMATORS
from policies.evaluation.rounds import Rounds
from policies.evaluation.support import diagnose, diagnose_weights


def rewards(n: int, rewarded: int) -> np.ndarray:
    return (np.arange(n) < rewarded).astype(float)


def test_an_on_policy_log_has_nothing_to_say() -> None:
    support = diagnose_weights(np.ones(1_000), answered=rewards(1_000, 100) != 0)
    assert support.reliable
    assert support.sentences == ()
    assert support.effective_sample_size == pytest.approx(1_000)


def test_one_overwhelming_weight_is_refused() -> None:
    # As in the campaign of the Open Bandit Dataset with largest weight 21,739 and effective sample 2.
    weight = np.random.default_rng(0).exponential(0.4, 10_000)
    weight[17] = 21_739
    support = diagnose_weights(weight, answered=rewards(10_000, 500) != 0)
    assert support.effective_sample_size < 3
    assert not support.reliable
    assert any("One round carries" in problem and "21,739" in problem for problem in support.problems)
    assert any("worth 1." in problem or "worth 2." in problem for problem in support.problems)


def test_a_thin_log_gets_a_caution_only() -> None:
    weight = np.r_[np.full(300, 30.0), np.full(9_700, 0.1)]
    support = diagnose_weights(weight, answered=rewards(10_000, 200) != 0)
    assert 100 < support.effective_sample_size < 1_000
    assert support.reliable
    assert "worth only" in " ".join(support.cautions)


@pytest.mark.parametrize(("rewarded", "reliable"), [(29, False), (30, True)])
def test_fewer_than_thirty_rewarded_rounds_allow_no_conclusion(rewarded: int, reliable: bool) -> None:
    support = diagnose_weights(np.ones(5_000), answered=rewards(5_000, rewarded) != 0)
    assert support.reliable == reliable
    assert support.rewarded == rewarded


def test_rewards_outside_the_support_do_not_count() -> None:
    weight = np.r_[np.zeros(500), np.full(500, 2.0)]
    support = diagnose_weights(weight, answered=rewards(1_000, 520) != 0)
    assert support.rewarded == 20
    assert not support.reliable


@pytest.mark.parametrize(("factor", "reliable"), [(1.0, True), (0.95, True), (0.5, False), (2.0, False)])
def test_propensities_of_another_policy_show_in_the_mean_weight(factor: float, reliable: bool) -> None:
    weight = factor * np.random.default_rng(1).gamma(4.0, 0.25, 5_000)
    support = diagnose_weights(weight, answered=rewards(5_000, 500) != 0)
    assert support.reliable == reliable
    assert any("mean weight" in sentence for sentence in support.sentences) != reliable


def question(pi_row: list[float], *, eligible: np.ndarray | None = None) -> Rounds:
    n = 600
    action = np.arange(n) % 2
    return Rounds(
        reward=np.ones(n),
        propensity=np.full(n, 0.5),
        action=action,
        pi=np.tile(pi_row, (n, 1)),
        eligible=eligible,
        q_hat=np.ones((n, 3)),
    )


def test_mass_on_an_action_never_logged_is_found() -> None:
    assert diagnose(question([0.5, 0.5, 0.0])).reliable
    a_little = diagnose(question([0.5, 0.48, 0.02]))
    assert a_little.reliable
    assert a_little.unsupported == pytest.approx(0.02)
    assert "cannot show" in " ".join(a_little.cautions)
    assert not diagnose(question([0.4, 0.4, 0.2])).reliable


def test_mass_where_the_log_was_not_allowed_to_choose_is_found() -> None:
    eligible = np.ones((600, 3), dtype=bool)
    eligible[:300, 1] = np.arange(300) % 2 == 1  # action 1 was chosen there, so it stays
    support = diagnose(question([0.5, 0.5, 0.0], eligible=eligible))
    assert support.unsupported == pytest.approx(150 * 0.5 / 600)
    assert not support.reliable


def test_every_estimate_carries_the_verdict() -> None:
    rounds = question([0.4, 0.4, 0.2])
    for estimator in ESTIMATORS:
        estimate = estimator.estimate(rounds, seed=0)
        assert not estimate.reliable
        assert any("cannot show" in warning for warning in estimate.warnings)
    assert any("trusts the reward model" in w for w in ESTIMATORS[2].estimate(rounds, seed=0).warnings)
