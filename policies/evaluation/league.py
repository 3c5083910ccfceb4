"""League table: several policies on one log, by outcome, each against one reference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from policies.arrays import Float64Array, IntArray
from policies.errors import EvaluationError
from policies.evaluation.estimators import ESTIMATORS, SNIPS, Estimate
from policies.evaluation.intervals import Interval, bootstrap_interval
from policies.evaluation.reward_model import cross_fit
from policies.evaluation.rounds import Rounds, customer_codes
from policies.evaluation.support import Support, diagnose
from policies.feedback import LoggedFeedback
from policies.whole_files import whole_file

CONFIDENCE = 0.95

Verdict = Literal["reference", "better", "worse", "no significant difference", "not enough data"]


@dataclass(frozen=True)
class Standing:
    """One policy on one outcome.

    Attributes:
        policy: its name.
        outcome: the outcome's name.
        snips: the estimate the verdict rests on: it needs no model, and of a fixed action it is that action's mean.
        ips: for comparison; noisier.
        dm: for comparison; trusts the reward model.
        dr: for comparison; where it and SNIPS disagree by more than their intervals, look at the support.
        difference: SNIPS minus the reference's, with its simultaneous interval; None for the reference.
        verdict: in plain words, at 95 % over all comparisons of the table together.
        warnings: sentences about the log's support for this policy, and for the difference.
    """

    policy: str
    outcome: str
    snips: Estimate
    ips: Estimate
    dm: Estimate
    dr: Estimate
    difference: Difference | None
    verdict: Verdict
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Paired difference to the reference, with its simultaneous interval."""

    value: float
    lower: float
    upper: float
    standard_error: float


@dataclass(frozen=True)
class LeagueTable:
    """Standings of every policy on every outcome, best first within an outcome.

    Attributes:
        standings: one per outcome and policy.
        reference: name of the policy the others are compared with.
        comparisons: how many comparisons share the 5 % error (Bonferroni).
        lower_is_better: outcomes whose small values are good.
        source: where the log came from.
        rounds: rounds in the log.
    """

    standings: tuple[Standing, ...]
    reference: str
    comparisons: int
    lower_is_better: tuple[str, ...]
    source: str
    rounds: int

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Outcomes in the order asked for."""
        return tuple(dict.fromkeys(standing.outcome for standing in self.standings))

    def of(self, outcome: str) -> tuple[Standing, ...]:
        """Standings of one outcome, best first.

        Raises:
            EvaluationError: no such outcome.
        """
        if outcome not in self.outcomes:
            raise EvaluationError(f"unknown outcome {outcome!r}; the table has: {', '.join(self.outcomes)}")
        return tuple(standing for standing in self.standings if standing.outcome == outcome)

    def standing(self, policy: str, outcome: str) -> Standing:
        """One cell.

        Raises:
            EvaluationError: no such policy or outcome.
        """
        found = {standing.policy: standing for standing in self.of(outcome)}
        if policy not in found:
            raise EvaluationError(f"unknown policy {policy!r}; the table has: {', '.join(found)}")
        return found[policy]

    def to_frame(self) -> pd.DataFrame:
        """One row per outcome and policy, all numbers; `warnings` joined to one text."""
        return pd.DataFrame([_record(standing) for standing in self.standings])

    def write_parquet(self, path: Path) -> None:
        """Write `to_frame` as Parquet, whole or not at all."""
        with whole_file(path) as staging:
            self.to_frame().to_parquet(staging, index=False)


def league_table(
    log: LoggedFeedback,
    policies: Mapping[str, Float64Array],
    *,
    outcomes: Sequence[str],
    reference: str,
    seed: int,
    lower_is_better: Collection[str] = (),
) -> LeagueTable:
    """Judge policies on a log none of them was trained on.

    A policy is "better" or "worse" only if its paired difference to the reference excludes zero at 95 % over *all*
    comparisons of the table together (Bonferroni), and the log supports both; else "no significant difference", or
    "not enough data" where fewer than 30 rewarded rounds or too few effective rounds support either of them.

    Args:
        log: held-out feedback of n rounds.
        policies: name to distribution, float64 (n, A).
        outcomes: reward or outcome names of the log, each compared on its own.
        reference: name of the policy to compare with; normally the best fixed action as chosen on the *training* part,
            because the best of the evaluation part is lucky.
        seed: of the bootstrap.
        lower_is_better: outcomes such as unsubscribes, for which "better" means fewer.

    Raises:
        EvaluationError: unknown reference, no outcome, or a distribution that does not fit the log.
        FeedbackError: an outcome the log lacks.

    Source: simultaneous intervals by Bonferroni, Dunn 1961, doi:10.1080/01621459.1961.10482090.
    """
    _check_names(policies, outcomes, reference, lower_is_better)
    comparisons = max(1, (len(policies) - 1) * len(outcomes))
    codes = customer_codes(log.customer)
    standings: list[Standing] = []
    for outcome in outcomes:
        part = log.with_reward(outcome)
        q_hat = cross_fit(part)
        rounds = {name: _question(part, name, pi, q_hat=q_hat, codes=codes) for name, pi in policies.items()}
        standings += _outcome_standings(
            rounds,
            outcome=outcome,
            reference=reference,
            confidence=1.0 - (1.0 - CONFIDENCE) / comparisons,
            sign=-1.0 if outcome in lower_is_better else 1.0,
            seed=seed,
        )
    return LeagueTable(
        standings=tuple(standings),
        reference=reference,
        comparisons=comparisons,
        lower_is_better=tuple(o for o in outcomes if o in lower_is_better),
        source=log.source,
        rounds=len(log),
    )


def _question(
    log: LoggedFeedback, name: str, pi: Float64Array, *, q_hat: Float64Array, codes: IntArray | None
) -> Rounds:
    try:
        return replace(Rounds.of(log, pi, q_hat=q_hat), customer=codes)
    except EvaluationError as error:
        raise EvaluationError(f"policy {name!r}: {error}") from error


def _outcome_standings(
    rounds: Mapping[str, Rounds], *, outcome: str, reference: str, confidence: float, sign: float, seed: int
) -> list[Standing]:
    snips = SNIPS()
    if not rounds[reference].weight.any():
        raise EvaluationError(f"the reference {reference!r} was never logged here; compare with another policy")
    reference_rewards = snips.round_rewards(rounds[reference])
    reference_reliable = diagnose(rounds[reference]).reliable
    standings = []
    for name, asked in rounds.items():
        support = diagnose(asked)
        if not asked.weight.any():
            standings.append(_never_taken(name, outcome, support))
            continue
        estimates = {e.name: e.estimate(asked, seed=seed, support=support) for e in ESTIMATORS}
        difference: Difference | None = None
        verdict: Verdict = "reference"
        if name != reference:
            paired = snips.round_rewards(asked) - reference_rewards
            interval = bootstrap_interval(paired, seed=seed, cluster=asked.cluster, confidence=confidence)
            difference = Difference(float(paired.mean()), *interval)
            verdict = _verdict(interval, sign=sign, enough=support.reliable and reference_reliable)
        standings.append(
            Standing(
                policy=name,
                outcome=outcome,
                snips=estimates["SNIPS"],
                ips=estimates["IPS"],
                dm=estimates["DM"],
                dr=estimates["DR"],
                difference=difference,
                verdict=verdict,
                warnings=support.sentences,
            )
        )
    return sorted(standings, key=lambda standing: -sign * np.nan_to_num(standing.snips.value, nan=-sign * np.inf))


def _never_taken(policy: str, outcome: str, support: Support) -> Standing:
    """A policy whose actions the log never shows has no value here, and says so."""
    unknown = {
        name: Estimate(
            estimator=name,
            value=np.nan,
            lower=np.nan,
            upper=np.nan,
            standard_error=np.nan,
            effective_sample_size=0.0,
            largest_weight=0.0,
            mean_weight=0.0,
            n=support.n,
            rewarded=0,
            reliable=False,
            warnings=support.sentences,
        )
        for name in ("SNIPS", "IPS", "DM", "DR")
    }
    return Standing(
        policy=policy,
        outcome=outcome,
        snips=unknown["SNIPS"],
        ips=unknown["IPS"],
        dm=unknown["DM"],
        dr=unknown["DR"],
        difference=None,
        verdict="not enough data",
        warnings=support.sentences,
    )


def _verdict(interval: Interval, *, sign: float, enough: bool) -> Verdict:
    if not enough:
        return "not enough data"
    if interval.lower <= 0.0 <= interval.upper:
        return "no significant difference"
    return "better" if sign * interval.lower > 0 else "worse"


def _check_names(
    policies: Mapping[str, Float64Array], outcomes: Sequence[str], reference: str, lower_is_better: Collection[str]
) -> None:
    if reference not in policies:
        raise EvaluationError(f"unknown reference {reference!r}; the policies are: {', '.join(policies) or 'none'}")
    if not outcomes:
        raise EvaluationError("no outcomes asked for; name at least one of the log's")
    if len(set(outcomes)) != len(outcomes):
        raise EvaluationError(f"outcomes named twice: {', '.join(outcomes)}")
    unknown = [name for name in lower_is_better if name not in outcomes]
    if unknown:
        raise EvaluationError(f"lower_is_better names {', '.join(unknown)}, not among: {', '.join(outcomes)}")


def _record(standing: Standing) -> dict[str, object]:
    snips, difference = standing.snips, standing.difference
    record: dict[str, object] = {
        "outcome": standing.outcome,
        "policy": standing.policy,
        "verdict": standing.verdict,
        "value": snips.value,
        "lower": snips.lower,
        "upper": snips.upper,
        "difference": np.nan if difference is None else difference.value,
        "difference_lower": np.nan if difference is None else difference.lower,
        "difference_upper": np.nan if difference is None else difference.upper,
        "n": snips.n,
        "rewarded": snips.rewarded,
        "effective_sample_size": snips.effective_sample_size,
        "largest_weight": snips.largest_weight,
        "mean_weight": snips.mean_weight,
        "reliable": snips.reliable,
        "warnings": " ".join(standing.warnings),
    }
    for estimate in (standing.snips, standing.ips, standing.dm, standing.dr):
        numbers = asdict(estimate)
        prefix = estimate.estimator.lower()
        record |= {f"{prefix}_{key}": numbers[key] for key in ("value", "lower", "upper", "standard_error")}
    return record
