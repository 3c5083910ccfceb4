from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from policies.evaluation.estimators import SNIPS
from policies.evaluation.intervals import bootstrap_interval
from policies.evaluation.rounds import Rounds
from policies.feedback import LoggedFeedback


def rejection_logs(log: LoggedFeedback, *, rows: int, count: int, outcome: str) -> tuple[list[Rounds], float]:
    """Logs of a policy that prefers women's mail for women's buyers, drawn from a randomised one; and the men's mail's
    true value. Drawing rounds in proportion to the biased policy is rejection sampling, in one step."""
    n = len(log)
    logging = np.full((n, 3), 0.7 / 3)
    logging[np.arange(n), np.where(log.features[:, log.columns.index("womens")] == 1, 2, 1)] += 0.3
    propensity = logging[np.arange(n), log.action]
    cumulative = np.cumsum(propensity) / propensity.sum()
    reward = log.with_reward(outcome).reward
    generator = np.random.default_rng(11)
    pi = np.tile([0.0, 1.0, 0.0], (rows, 1))
    logs = []
    for _ in range(count):
        drawn = np.searchsorted(cumulative, generator.random(rows))
        logs.append(Rounds(reward=reward[drawn], propensity=propensity[drawn], action=log.action[drawn], pi=pi))
    return logs, float(reward[log.action == 1].mean())


@pytest.mark.data
def test_intervals_of_visits_cover_the_truth_under_biased_logging(hillstrom: LoggedFeedback) -> None:
    logs, truth = rejection_logs(hillstrom, rows=12_500, count=500, outcome="visit")
    estimates = [SNIPS().estimate(rounds, seed=i) for i, rounds in enumerate(logs)]
    coverage = np.mean([e.lower <= truth <= e.upper for e in estimates])
    assert 0.93 <= coverage <= 0.97
    assert all(e.reliable for e in estimates)


@pytest.mark.data
def test_rare_and_heavy_rewards_are_covered_better_than_by_the_normal_interval_and_warned_of(
    hillstrom: LoggedFeedback,
) -> None:
    logs, truth = rejection_logs(hillstrom, rows=1_200, count=120, outcome="spend")
    estimates = [SNIPS().estimate(rounds, seed=i) for i, rounds in enumerate(logs)]
    ours = np.mean([e.lower <= truth <= e.upper for e in estimates])
    normal = np.mean([abs(e.value - truth) <= 1.96 * e.standard_error for e in estimates])
    assert ours >= normal
    assert ours >= 0.75
    assert not any(e.reliable for e in estimates)
    assert all(any("rewarded rounds" in warning for warning in e.warnings) for e in estimates)


def test_well_behaved_rewards_get_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 10_000)
    lower, upper, error = bootstrap_interval(values, seed=0)
    half = NormalDist().inv_cdf(0.975) * values.std(ddof=1) / 100
    assert error == pytest.approx(values.std(ddof=1) / 100)
    assert (lower, upper) == pytest.approx((values.mean() - half, values.mean() + half))


def test_rare_rewards_get_the_interval_of_the_plain_bootstrap() -> None:
    generator = np.random.default_rng(1)
    values = np.where(generator.random(3_000) < 0.02, generator.lognormal(4.0, 1.0, 3_000), 0.0)
    plain = np.quantile([values[generator.integers(0, 3_000, 3_000)].mean() for _ in range(4_000)], [0.025, 0.975])
    interval = bootstrap_interval(values, seed=0)
    assert np.abs(np.array(interval[:2]) - plain).max() < 0.15 * interval.standard_error
    assert interval.upper - values.mean() > values.mean() - interval.lower


def test_rounds_of_one_customer_count_once() -> None:
    values = np.random.default_rng(2).normal(0.0, 1.0, 2_000)
    alone = bootstrap_interval(values, seed=0)
    repeated = bootstrap_interval(np.repeat(values, 9), seed=0, cluster=np.repeat(np.arange(2_000), 9))
    careless = bootstrap_interval(np.repeat(values, 9), seed=0)
    assert repeated == pytest.approx(alone)
    assert careless.standard_error == pytest.approx(alone.standard_error / 3, rel=1e-3)


def test_rounds_know_which_belong_to_one_customer() -> None:
    ids = np.array(["b", "a", "b", "c"], dtype=object)
    arguments = {"reward": np.arange(4.0), "propensity": np.ones(4), "action": np.zeros(4, np.int64)}
    rounds = Rounds(**arguments, pi=np.ones((4, 1)), customer=ids)
    assert rounds.cluster is not None
    assert rounds.cluster.tolist() == [0, 1, 0, 2]
    assert Rounds(**arguments, pi=np.ones((4, 1)), customer=np.arange(4)).cluster is None


def test_the_seed_decides_everything() -> None:
    values = np.r_[np.zeros(500), np.arange(30.0)]
    assert bootstrap_interval(values, seed=5) == bootstrap_interval(values, seed=5)
    assert bootstrap_interval(values, seed=5) != bootstrap_interval(values, seed=6)


def test_more_confidence_is_wider() -> None:
    values = np.r_[np.zeros(500), np.arange(30.0)]
    usual, sure = bootstrap_interval(values, seed=5), bootstrap_interval(values, seed=5, confidence=0.995)
    assert sure.lower < usual.lower < usual.upper < sure.upper


@given(st.floats(-1e6, 1e6), st.integers(1, 50))
def test_constant_contributions_have_no_error(value: float, n: int) -> None:
    interval = bootstrap_interval(np.full(n, value), seed=0)
    assert interval.standard_error == 0.0
    assert interval.lower == interval.upper == pytest.approx(value)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000), st.floats(0.01, 100), st.floats(-50, 50))
def test_intervals_follow_a_change_of_unit(seed: int, scale: float, shift: float) -> None:
    values = np.random.default_rng(seed).exponential(1.0, 40) ** 2
    before = bootstrap_interval(values, seed=1)
    after = bootstrap_interval(values * scale + shift, seed=1)
    assert after.lower == pytest.approx(before.lower * scale + shift, abs=1e-6)
    assert after.upper == pytest.approx(before.upper * scale + shift, abs=1e-6)
