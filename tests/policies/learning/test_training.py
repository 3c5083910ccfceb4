"""Training: what is learned from real and made-up logs, and that the judgement of it is honest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policies.actions import ActionFeature, ActionSet
from policies.errors import FeatureError, FeedbackError
from policies.exploration.explorers import Explorer
from policies.feedback import MONEY, NET_MONEY, LoggedFeedback
from policies.learning.learning_rate_search import LearningRateSearch
from policies.learning.training import (
    GREEDY,
    TrainingResult,
    TrainingSettings,
    baselines,
    judge_policies,
    search_learning_rates,
    train,
)
from policies.policy import choose_probabilities
from policies.registry.store import Store
from policies.review.publish import publish

MakeLog = Callable[..., LoggedFeedback]
OUTCOMES = ("visit", "conversion", "spend")
ARMS = ("hold", "email.mens", "email.womens")
ONE_RATE = TrainingSettings(learning_rates=(0.1,))


def quiet(done: int, total: int) -> None:
    """Nobody watches."""


def some(log: LoggedFeedback, n: int, *, seed: int) -> LoggedFeedback:
    return log.take(np.random.default_rng(seed).permutation(len(log))[:n])


def learned(log: LoggedFeedback, settings: TrainingSettings = ONE_RATE) -> LearningRateSearch:
    return search_learning_rates(log, settings, progress=quiet)[0]


# Real data: a randomised e-mail test where nobody is known to beat "everyone gets the men's mail".


def test_a_fixed_policy_is_worth_exactly_its_arms_mean(mail_test: LoggedFeedback, trained: TrainingResult) -> None:
    _, judged = mail_test.split(0.5)
    for a, arm in enumerate(ARMS):
        for outcome in OUTCOMES:
            mean = judged.outcomes[outcome][judged.action == a].mean()
            assert trained.league.standing(f"fixed: {arm}", outcome).snips.value == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize("policy", ["journey", GREEDY])
def test_what_is_learned_keeps_up_with_the_best_mail_and_claims_no_more(trained: TrainingResult, policy: str) -> None:
    assert trained.reference == "fixed: email.mens"
    standing = trained.league.standing(policy, "visit")
    best = trained.league.standing("fixed: email.mens", "visit").snips.value
    assert standing.snips.value >= best - 0.004
    assert standing.verdict == "no significant difference"


def test_the_league_shows_every_policy_on_every_outcome_with_intervals(trained: TrainingResult) -> None:
    assert trained.league.outcomes == OUTCOMES
    policies = {"journey", GREEDY, "random", "business_rules", *(f"fixed: {arm}" for arm in ARMS)}
    for outcome in OUTCOMES:
        standings = trained.league.of(outcome)
        assert {s.policy for s in standings} == policies
        assert all(s.snips.lower < s.snips.value < s.snips.upper for s in standings)
        assert [s.policy for s in standings if s.difference is None] == [trained.reference]
    assert trained.league.comparisons == 6 * 3


def test_clear_effects_are_found(trained: TrainingResult) -> None:
    for policy in ("random", "fixed: email.womens", "fixed: hold"):
        assert trained.league.standing(policy, "visit").verdict == "worse"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_arms_have_no_effect(mail_test: LoggedFeedback, seed: int) -> None:
    part = some(mail_test, 8_000, seed=seed)
    shuffled = replace(part, action=np.random.default_rng(seed).permutation(part.action))
    league = train(shuffled, TrainingSettings(learning_rates=(0.02, 0.5)), progress=quiet).league
    told = {s.verdict for s in league.standings}
    assert told <= {"reference", "no significant difference", "not enough data"}


def test_swapped_labels_swap_what_is_learned(mail_test: LoggedFeedback) -> None:
    part = some(mail_test, 12_000, seed=0)
    mens, womens = part.actions.index("email.mens"), part.actions.index("email.womens")
    swap = np.array([0, womens, mens])
    shares = []
    for log in (part, replace(part, action=swap[part.action])):
        policy = learned(log, TrainingSettings(learning_rates=(0.02,))).best
        greedy = policy.with_explorer(Explorer(kind="greedy"))
        shares.append(choose_probabilities(greedy, log.features, log.eligible).mean(axis=0))
    assert shares[0][mens] > 0.6
    assert shares[1][womens] > 0.6


# Made-up data: the truth is known.


def test_where_personalisation_pays_it_is_found_and_said(two_kinds: MakeLog) -> None:
    result = train(two_kinds(), TrainingSettings(), progress=quiet)
    standing = result.league.standing("journey", "reward")
    assert result.reference in ("fixed: a", "fixed: b")
    assert standing.verdict == "better"
    # Truth: .4 for everyone with the right action, .25 with either fixed one.
    assert standing.snips.value == pytest.approx(0.4, abs=0.04)
    assert result.league.standing(result.reference, "reward").snips.value == pytest.approx(0.25, abs=0.03)
    one_of_each = np.array([[0, 0.5], [1, 0.5]], dtype=np.float32)
    assert result.policy.scores(one_of_each).argmax(axis=1).tolist() == [0, 1]


def test_crisp_feedback_chooses_a_high_rate_and_noise_a_low_one(two_kinds: MakeLog) -> None:
    crisp = learned(two_kinds(n=1_500, gap=0.9), TrainingSettings())
    noisy = learned(two_kinds(n=1_500, gap=0.05, noise=0.8), TrainingSettings())
    assert crisp.best.settings.learning_rate > noisy.best.settings.learning_rate
    assert noisy.best.settings.learning_rate <= 0.1
    # Crisper feedback is exploited sooner.
    assert crisp.explorer.gamma_scale > noisy.explorer.gamma_scale


def test_the_same_log_and_settings_give_the_same_bytes(two_kinds: MakeLog) -> None:
    log = two_kinds(n=8_000)
    first, again = (train(log, ONE_RATE, progress=quiet) for _ in range(2))
    assert first.policy.model == again.policy.model
    assert first.policy.settings == again.policy.settings
    assert first.league == again.league
    np.testing.assert_array_equal(first.curve.loss, again.curve.loss)


def test_nothing_is_learned_from_the_customers_who_judge(two_kinds: MakeLog) -> None:
    log = two_kinds(n=8_000)
    _, judged = log.split(0.5)
    spoilt = np.where(np.isin(log.customer, judged.customer), 1.0 - log.reward, log.reward)
    honest, other = (train(replace(log, reward=r), ONE_RATE, progress=quiet) for r in (log.reward, spoilt))
    assert honest.policy.model == other.policy.model
    assert honest.reference == other.reference
    assert honest.rows == (len(log) - len(judged), len(judged))
    assert honest.league != other.league


def test_the_unit_of_the_reward_changes_nothing_but_the_unit(two_kinds: MakeLog) -> None:
    log = two_kinds(n=1_000)
    cents = replace(log, reward=log.reward * 100)
    (in_units, curve), (in_cents, curve_in_cents) = (
        search_learning_rates(part, TrainingSettings(), progress=quiet) for part in (log, cents)
    )
    assert in_units.best.settings.learning_rate == in_cents.best.settings.learning_rate
    assert in_units.explorer == in_cents.explorer
    np.testing.assert_allclose(in_cents.scores(log.features), 100 * in_units.scores(log.features), rtol=1e-5)
    np.testing.assert_allclose(curve_in_cents.loss, curve.loss * 100**2)


def test_the_curve_is_the_mean_loss_so_far_and_progress_is_told(two_kinds: MakeLog) -> None:
    told: list[tuple[int, int]] = []
    log = two_kinds(n=1_000)
    ladder, curve = search_learning_rates(
        log, TrainingSettings(), progress=lambda done, total: told.append((done, total))
    )
    assert [done for done, _ in told] == list(curve.decisions)
    assert curve.decisions[-1] == len(log)
    assert {total for _, total in told} == {len(log)}
    np.testing.assert_allclose(curve.loss[-1], ladder.loss / len(log))
    best = curve.rates.index(ladder.best.settings.learning_rate)
    assert curve.loss[-1, best] == curve.loss[-1].min()


def test_an_action_that_costs_more_than_it_brings_is_not_worth_it(two_kinds: MakeLog) -> None:
    random = np.random.default_rng(0)
    n, actions = 4_000, ActionSet.of("hold", "cheap", "dear")
    action = random.integers(0, 3, n)
    gross = np.array([0.0, 1.0, 1.5])[action] + random.normal(0, 0.1, n)
    log = replace(
        two_kinds(n=n),
        actions=replace(actions, costs=(0.0, 0.2, 2.0)),
        action=action,
        reward=gross,
        reward_name=MONEY,
    )
    result = train(log, TrainingSettings(), progress=quiet)
    assert result.reference == "fixed: cheap"
    assert result.league.outcomes[0] == NET_MONEY
    values = {s.policy: s.snips.value for s in result.league.of(NET_MONEY)}
    assert values["fixed: cheap"] == pytest.approx(0.8, abs=0.02)
    assert values["fixed: dear"] == pytest.approx(-0.5, abs=0.02)
    # What is learned stays gross, so that a price can change without learning anew.
    assert result.policy.reward_name == MONEY
    assert result.policy.scores(log.features[:1])[0] == pytest.approx([0, 1, 1.5], abs=0.1)
    assert values[GREEDY] == pytest.approx(0.8, abs=0.02)


def test_a_large_catalogue_shows_only_silence_and_the_best_fixed_action() -> None:
    random = np.random.default_rng(0)
    n, A = 3_000, 9
    action = random.integers(0, A, n)
    log = LoggedFeedback(
        columns=("x",),
        features=np.zeros((n, 1), dtype=np.float32),
        actions=ActionSet.of("hold", *(f"a{i}" for i in range(1, A))),
        eligible=np.ones((n, A), dtype=bool),
        action=action,
        propensity=np.full(n, 1 / A),
        reward=(action == 4) + random.random(n),
        customer=np.array([str(i) for i in range(n)], dtype=object),
    )
    assert set(baselines(log)) == {"random", "fixed: hold", "fixed: a4"}


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        ({"reward": np.zeros(1_000)}, TrainingSettings(), "every reward in the log is zero"),
        ({}, TrainingSettings(reward="vist"), "unknown reward 'vist'; this log has: reward"),
        ({}, TrainingSettings(split=0.0), "between 0 and 1, got 0.0"),
        ({"customer": np.array(["same"] * 1_000, dtype=object)}, TrainingSettings(), "leaves one part empty"),
    ],
)
def test_a_log_that_cannot_teach_is_refused(
    two_kinds: MakeLog, change: dict[str, object], settings: TrainingSettings, says: str
) -> None:
    with pytest.raises(FeedbackError, match=says):
        train(replace(two_kinds(n=1_000), **change), settings, progress=quiet)  # type: ignore[arg-type]


def test_a_policy_is_judged_on_its_own_columns_wherever_they_stand(two_kinds: MakeLog) -> None:
    log = two_kinds(n=8_000)
    policy = learned(log).best
    turned = replace(log, columns=log.columns[::-1], features=log.features[:, ::-1].copy())
    values = [
        judge_policies(part, {"journey": policy}, reference="journey", seed=0).standing("journey", "reward").snips
        for part in (log, turned)
    ]
    assert values[0] == values[1]


def test_a_policy_with_columns_the_log_lacks_is_not_judged(two_kinds: MakeLog) -> None:
    log = two_kinds(n=1_000)
    policy = learned(log).best
    with pytest.raises(FeatureError, match="'journey' expects 1 columns this log does not have \\(kind\\)"):
        judge_policies(replace(log, columns=("other", "irrelevant")), {"journey": policy}, reference="journey", seed=0)


def test_a_policy_over_other_actions_is_not_judged(two_kinds: MakeLog) -> None:
    log = two_kinds(n=1_000)
    policy = learned(log).best
    renamed = replace(
        log, actions=replace(log.actions, ids=("x", "y", "z"), features=((ActionFeature("A", "f", 1.0),),) * 3)
    )
    with pytest.raises(FeatureError, match="over other actions than the log"):
        judge_policies(renamed, {"journey": policy}, reference="journey", seed=0)


def test_a_log_without_the_actions_the_policy_prefers_is_judged_all_the_same(
    two_kinds: Callable[..., LoggedFeedback], tmp_path: Path
) -> None:
    """The best action was tried a few times, with customers learned from: nothing can be said of it on the others."""
    log = two_kinds(n=2_000)
    learned_from = np.isin(log.customer, log.split(0.5)[0].customer)
    tried = np.flatnonzero(learned_from & (log.action == 2))[-25:]
    reward = np.where(log.action == 2, 1.0, 0.1 * log.reward)
    rows = np.union1d(np.flatnonzero(log.action != 2), tried)
    part = replace(log, reward=reward, outcomes={}).take(rows)
    settings = TrainingSettings(learning_rates=(0.5,))
    result = train(part, settings, progress=lambda *_: None)
    assert result.reference != "fixed: c"
    greedy = result.league.standing(GREEDY, "reward")
    assert greedy.verdict == "not enough data"
    assert np.isnan(greedy.snips.value)
    assert np.isfinite(result.league.standing("random", "reward").snips.value)
    published = publish(result, part, settings, store=Store(tmp_path / "mlruns"), model="m", name="unseen")
    assert published.policy.version == 1
