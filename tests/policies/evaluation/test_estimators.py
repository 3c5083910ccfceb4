from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from policies.errors import EvaluationError
from policies.evaluation.estimators import DM, DR, ESTIMATORS, IPS, SNIPS
from policies.evaluation.reward_model import cross_fit
from policies.evaluation.rounds import Rounds
from policies.feedback import LoggedFeedback

SEEDS = st.integers(0, 10_000)


def made_up(seed: int, *, n: int = 60, A: int = 4) -> dict[str, Any]:
    """Arguments of Rounds for a random log."""
    generator = np.random.default_rng(seed)
    logging = generator.dirichlet(np.ones(A), size=n) * 0.8 + 0.2 / A
    action = np.array([generator.choice(A, p=row) for row in logging])
    return {
        "reward": generator.normal(1.0, 2.0, n),
        "propensity": logging[np.arange(n), action],
        "action": action,
        "pi": generator.dirichlet(np.ones(A), size=n),
        "q_hat": generator.normal(1.0, 1.0, (n, A)),
    }


def constant(log: LoggedFeedback, action: int) -> np.ndarray:
    return np.tile(np.eye(len(log.actions))[action], (len(log), 1))


@given(SEEDS)
def test_values_are_the_textbook_formulas(seed: int) -> None:
    log = made_up(seed)
    n = len(log["reward"])
    ips = snips_top = snips_bottom = dm = dr = 0.0
    for i in range(n):
        a, r = log["action"][i], log["reward"][i]
        w = log["pi"][i, a] / log["propensity"][i]
        model = sum(log["pi"][i, b] * log["q_hat"][i, b] for b in range(4))
        ips += w * r / n
        snips_top += w * r
        snips_bottom += w
        dm += model / n
        dr += (model + w * (r - log["q_hat"][i, a])) / n
    rounds = Rounds(**log)
    assert IPS().value(rounds) == pytest.approx(ips)
    assert SNIPS().value(rounds) == pytest.approx(snips_top / snips_bottom)
    assert DM().value(rounds) == pytest.approx(dm)
    assert DR().value(rounds) == pytest.approx(dr)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_an_estimate_is_the_mean_of_its_round_rewards(seed: int) -> None:
    rounds = Rounds(**made_up(seed))
    for estimator in ESTIMATORS:
        mean = estimator.round_rewards(rounds).mean()
        assert estimator.value(rounds) == pytest.approx(mean)
        estimate = estimator.estimate(rounds, seed=0)
        assert estimate.value == pytest.approx(mean)
        assert estimate.lower < estimate.value < estimate.upper


@given(SEEDS, st.floats(0, 1))
def test_ips_and_dr_are_linear_in_the_policy(seed: int, share: float) -> None:
    log = made_up(seed)
    other = np.random.default_rng(seed + 1).dirichlet(np.ones(4), size=60)
    for estimator in (IPS(), DM(), DR()):
        value = {
            name: estimator.value(Rounds(**(log | {"pi": pi})))
            for name, pi in {"a": log["pi"], "b": other, "mix": share * log["pi"] + (1 - share) * other}.items()
        }
        assert value["mix"] == pytest.approx(share * value["a"] + (1 - share) * value["b"], abs=1e-9)


@given(SEEDS, st.floats(-100, 100), st.floats(0.1, 10))
def test_snips_follows_a_change_of_currency_and_of_zero(seed: int, shift: float, scale: float) -> None:
    log = made_up(seed)
    before = SNIPS().value(Rounds(**log))
    after = SNIPS().value(Rounds(**(log | {"reward": log["reward"] * scale + shift})))
    assert after == pytest.approx(before * scale + shift, abs=1e-8)


@given(SEEDS)
def test_snips_stays_within_the_rewards(seed: int) -> None:
    rounds = Rounds(**made_up(seed))
    assert rounds.reward.min() <= SNIPS().value(rounds) <= rounds.reward.max()


@given(SEEDS)
def test_dr_is_dm_plus_the_weighted_residual_and_ips_where_the_model_says_nothing(seed: int) -> None:
    log = made_up(seed)
    rounds = Rounds(**log)
    residual = rounds.weight * (log["reward"] - log["q_hat"][np.arange(60), log["action"]])
    assert DR().value(rounds) == pytest.approx(DM().value(rounds) + residual.mean())
    silent = Rounds(**(log | {"q_hat": np.zeros((60, 4))}))
    assert DR().value(silent) == pytest.approx(IPS().value(silent))


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_row_order_does_not_matter(seed: int) -> None:
    log = made_up(seed)
    order = np.random.default_rng(seed).permutation(60)
    shuffled = Rounds(**{name: values[order] for name, values in log.items()})
    for estimator in ESTIMATORS:
        one, other = estimator.estimate(Rounds(**log), seed=3), estimator.estimate(shuffled, seed=3)
        assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper))


def test_the_logging_policy_itself_is_worth_its_mean_reward() -> None:
    generator = np.random.default_rng(0)
    pi = generator.dirichlet(np.ones(3), size=500)
    action = np.array([generator.choice(3, p=row) for row in pi])
    reward = generator.normal(5.0, 1.0, 500)
    rounds = Rounds(reward=reward, propensity=pi[np.arange(500), action], action=action, pi=pi)
    assert IPS().value(rounds) == pytest.approx(reward.mean())
    assert SNIPS().estimate(rounds, seed=0).standard_error == pytest.approx(reward.std() / np.sqrt(499))


@pytest.mark.parametrize(("corrupt", "unbiased"), [("q_hat", True), ("propensity", True), ("both", False)])
def test_dr_survives_a_wrong_model_or_wrong_propensities_but_not_both(corrupt: str, unbiased: bool) -> None:
    generator = np.random.default_rng(1)
    n = 200_000
    context = generator.integers(0, 2, n)
    logging = np.array([[0.8, 0.2], [0.3, 0.7]])[context]
    action = (generator.random(n) > logging[:, 0]).astype(np.int64)
    q = np.array([[1.0, 2.0], [4.0, 3.0]])[context]
    pi = np.array([[0.1, 0.9], [0.9, 0.1]])[context]
    truth = (pi * q).sum(axis=1).mean()
    wrong_q, wrong_p = q + np.array([2.0, -1.0]), np.full((n, 2), 0.5)
    q_hat = wrong_q if corrupt in ("q_hat", "both") else q
    propensity = (wrong_p if corrupt in ("propensity", "both") else logging)[np.arange(n), action]
    rounds = Rounds(
        reward=q[np.arange(n), action] + generator.normal(0, 0.1, n),
        propensity=propensity,
        action=action,
        pi=pi,
        q_hat=q_hat,
    )
    assert (abs(DR().value(rounds) - truth) < 0.03) == unbiased


@pytest.mark.data
def test_a_fixed_mail_is_worth_its_arms_mean(hillstrom: LoggedFeedback) -> None:
    visits = []
    for arm in range(3):
        rounds = Rounds.of(hillstrom, constant(hillstrom, arm))
        mean = hillstrom.reward[hillstrom.action == arm].mean()
        assert SNIPS().value(rounds) == pytest.approx(mean, abs=1e-9)
        assert IPS().value(rounds) == pytest.approx(
            3 * hillstrom.reward[hillstrom.action == arm].sum() / len(hillstrom)
        )
        visits.append(round(SNIPS().value(rounds), 5))
    assert visits == [0.10749, 0.18456, 0.15274]


@pytest.mark.data
def test_shuffled_mails_show_no_effect(hillstrom: LoggedFeedback) -> None:
    shuffled = np.random.default_rng(4).permutation(hillstrom.action)
    pair = []
    for arm in (0, 1):
        rounds = Rounds(
            reward=hillstrom.reward, propensity=hillstrom.propensity, action=shuffled, pi=constant(hillstrom, arm)
        )
        pair.append(SNIPS().estimate(rounds, seed=0))
    none, mens = pair
    assert abs(mens.value - none.value) < 3 * np.hypot(mens.standard_error, none.standard_error)
    assert abs(mens.value - none.value) < 0.01  # the real effect is .077


@pytest.mark.data
def test_dr_agrees_with_the_randomised_arms_and_is_no_noisier(hillstrom: LoggedFeedback) -> None:
    rounds = Rounds.of(hillstrom, constant(hillstrom, 1), q_hat=cross_fit(hillstrom))
    dr, ips = DR().estimate(rounds, seed=0), IPS().estimate(rounds, seed=0)
    assert dr.value == pytest.approx(0.18456, abs=0.003)
    assert dr.standard_error < ips.standard_error


BAD = {
    "reward shape": ({"reward": np.ones(3)}, r"reward has shape \(3,\), expected \(60,\)"),
    "pi shape": ({"pi": np.ones(60)}, r"pi has shape \(60,\)"),
    "q_hat shape": ({"q_hat": np.ones((60, 2))}, r"q_hat has shape \(60, 2\), expected \(60, 4\)"),
    "customer shape": ({"customer": np.arange(3)}, "customer has shape"),
    "action range": ({"action": np.full(60, 4)}, "action must be an index below 4, found 4 to 4"),
    "propensity zero": ({"propensity": np.zeros(60)}, r"propensity must be in \(0, 1\], found .*0"),
    "propensity nan": ({"propensity": np.full(60, np.nan)}, r"propensity must be in \(0, 1\]"),
    "propensity above one": ({"propensity": np.full(60, 1.1)}, r"propensity must be in \(0, 1\], found .*1\.1"),
    "reward nan": ({"reward": np.where(np.arange(60) == 7, np.nan, 1.0)}, "reward must be finite, found .* in row 7"),
    "q_hat inf": ({"q_hat": np.full((60, 4), np.inf)}, "q_hat must be finite"),
    "pi negative": ({"pi": np.tile([1.5, -0.5, 0, 0], (60, 1))}, "pi must be probabilities, found .*-0.5"),
    "pi nan": ({"pi": np.full((60, 4), np.nan)}, "pi must be probabilities"),
    "pi sum": ({"pi": np.full((60, 4), 0.2)}, "rows of pi must sum to 1; row 0 sums to .*0.8"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_a_log_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        Rounds(**(made_up(0) | change))


def test_distributions_in_single_precision_are_accepted_and_weights_are_double() -> None:
    log = made_up(0)
    single = Rounds(**(log | {"pi": log["pi"].astype(np.float32)}))
    assert single.weight.dtype == np.float64
    assert IPS().value(single) == pytest.approx(IPS().value(Rounds(**log)), rel=1e-5)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no rounds"):
        Rounds(reward=np.ones(0), propensity=np.ones(0), action=np.zeros(0, np.int64), pi=np.ones((0, 2)))


def test_a_bad_row_far_down_is_named() -> None:
    n = 20_000
    pi = np.full((n, 2), 0.5)
    pi[17_000] = 0.4
    with pytest.raises(EvaluationError, match=r"row 17000 sums to .*0\.8"):
        Rounds(reward=np.ones(n), propensity=np.ones(n), action=np.zeros(n, np.int64), pi=pi)


def test_a_policy_that_never_takes_a_logged_action_has_no_snips() -> None:
    log = made_up(0) | {"action": np.zeros(60, np.int64), "pi": np.tile([0.0, 1, 0, 0], (60, 1))}
    with pytest.raises(EvaluationError, match="every importance weight is 0"):
        SNIPS().estimate(Rounds(**log), seed=0)


@pytest.mark.parametrize("estimator", [DM(), DR()])
def test_model_based_estimators_say_when_the_model_is_missing(estimator: DM | DR) -> None:
    with pytest.raises(EvaluationError, match=f"{estimator.name} needs q_hat"):
        estimator.value(Rounds(**(made_up(0) | {"q_hat": None})))
