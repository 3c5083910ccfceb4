"""One pass from a log to a judged policy: learn on one part of the customers, judge on the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from policies.arrays import Float64Array
from policies.errors import FeedbackError
from policies.evaluation.league import LeagueTable, league_table
from policies.exploration.explorers import Explorer
from policies.feedback import LoggedFeedback
from policies.learning.baselines import BusinessRules, FixedPolicy, RandomPolicy, best_fixed
from policies.learning.learning_rate_search import DEFAULT_RATES, LearningRateSearch
from policies.policy import Policy, probabilities_on
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

CURVE_POINTS = 100
LOWER_IS_BETTER = ("unsubscribe", "return", "dismiss")
GREEDY = "journey (greedy)"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train.

    Attributes:
        learning_rates: the rates that compete.
        split: share of customers to learn from; the others judge.
        interactions: VW interactions of the policy.
        explorer: exploration of the policy as served.
        reward: outcome to maximise; empty for the log's own.
        seed: of every interval.
    """

    learning_rates: Sequence[float] = DEFAULT_RATES
    split: float = 0.5
    interactions: tuple[str, ...] = ("UA",)
    explorer: Explorer = field(default_factory=Explorer)
    reward: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Curve:
    """Progressive mean squared loss per learning rate.

    Attributes:
        decisions: int (P,), decisions learned from at each point.
        rates: the R learning rates.
        loss: float64 (P, R), mean progressive loss up to there, in squared reward units.
    """

    decisions: tuple[int, ...]
    rates: tuple[float, ...]
    loss: Float64Array


@dataclass(frozen=True)
class TrainingResult:
    """A trained policy and the evidence about it.

    Attributes:
        policy: the policy of the best rate, with the exploration it will be served with.
        curve: how learning went.
        league: policies judged on customers none of them learned from.
        reference: the best fixed action of the training part, which the others are compared with.
        rows: decisions learned from and judged on.
    """

    policy: VWPolicy
    curve: Curve
    league: LeagueTable
    reference: str
    rows: tuple[int, int]


def train(log: LoggedFeedback, settings: TrainingSettings, *, progress: Callable[[int, int], None]) -> TrainingResult:
    """Learn a policy from `log` and judge it against the baselines.

    Args:
        log: logged feedback with known propensities.
        settings: how.
        progress: called with (decisions learned, decisions in all).

    Raises:
        FeedbackError: the log lacks the reward asked for, or is too small to split.
    """
    log = log.with_reward(settings.reward) if settings.reward else log
    learn, judge = log.split(settings.split)
    ladder, curve = search_learning_rates(learn, settings, progress=progress)
    competitors = baselines(learn)
    policy = ladder.best.with_explorer(ladder.explorer)
    policy.progress = replace(policy.progress, split=settings.split)
    policy.check_parity()
    league = judge_policies(
        judge, {policy.name: policy, GREEDY: policy.with_explorer(Explorer(kind="greedy")), **competitors},
        reference=best_fixed(learn.net()).name, seed=settings.seed,
    )  # fmt: skip
    return TrainingResult(policy, curve, league, league.reference, (len(learn), len(judge)))


def search_learning_rates(
    log: LoggedFeedback, settings: TrainingSettings, *, progress: Callable[[int, int], None]
) -> tuple[LearningRateSearch, Curve]:
    """Learn from the whole log, in its order, with every rate; arguments as `train`."""
    ladder = LearningRateSearch(
        VWSettings(
            space=FeatureSpace.of_customer(log.columns, interactions=settings.interactions),
            explorer=settings.explorer,
            reward_scale=reward_scale(log.reward),
            reward_name=log.reward_name,
        ),
        log.actions,
        rates=settings.learning_rates,
    )
    eligible = log.eligible.sum(axis=1)
    ends = np.unique(np.linspace(0, len(log), CURVE_POINTS + 1).astype(np.int64))
    losses = []
    for start, end in itertools.pairwise(ends.tolist()):
        rows = slice(start, end)
        ladder.learn_rows(
            log.features[rows],
            eligible=eligible[rows],
            action=log.action[rows],
            propensity=log.propensity[rows],
            reward=log.reward[rows],
        )
        losses.append(ladder.loss / end)
        progress(end, len(log))
    scale = ladder.rungs[0].settings.reward_scale ** 2
    points = tuple(ends[1:].tolist())
    return ladder, Curve(points, tuple(settings.learning_rates), np.array(losses) * scale)


def baselines(log: LoggedFeedback) -> dict[str, Policy]:
    """Every fixed action with feedback, random, and business rules where the log has RFM columns; fitted on `log`."""
    log = log.net()
    seen = np.flatnonzero(np.bincount(log.action, minlength=len(log.actions)))
    fixed = [FixedPolicy(log.actions, log.columns, log.actions.ids[a], log.reward_name) for a in seen]
    policies: dict[str, Policy] = {"random": RandomPolicy(log.actions, log.columns, log.reward_name)}
    best = best_fixed(log)
    # With a large catalogue a row per action would drown the table.
    policies |= {p.name: p for p in fixed if len(fixed) <= 5 or p.action_id in ("hold", best.action_id)}
    if {"recency.purchase", "frequency", "spend"} <= set(log.columns):
        rules = BusinessRules.fit(log)
        policies[rules.name] = rules
    return policies


def judge_policies(log: LoggedFeedback, policies: dict[str, Policy], *, reference: str, seed: int) -> LeagueTable:
    """League table of policies on a log none of them has seen: the reward first, then every other outcome.

    Raises:
        FeatureError: a policy has columns the log lacks, or is over other actions.
    """
    log = log.net()
    chosen = {name: probabilities_on(p, log) for name, p in policies.items()}
    outcomes = dict.fromkeys([log.reward_name, *log.outcomes])
    return league_table(
        log,
        chosen,
        outcomes=tuple(outcomes),
        reference=reference,
        seed=seed,
        lower_is_better=[o for o in LOWER_IS_BETTER if o in outcomes],
    )


def reward_scale(reward: Float64Array) -> float:
    """Width of the rewards: the 99th percentile of the non-zero ones' size, so that a rare giant does not set it.

    Raises:
        FeedbackError: every reward is zero.
    """
    size = np.abs(reward[reward != 0])
    if not len(size):
        raise FeedbackError("every reward in the log is zero: there is nothing to learn; check the outcome chosen")
    return float(np.quantile(size, 0.99))
