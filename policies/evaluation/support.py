"""Can this log answer for this policy? Support diagnostics with verdicts in plain sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import BoolArray, Float64Array
from policies.evaluation.rounds import Rounds

MIN_REWARDED = 30
MIN_EFFECTIVE = 30
CAUTION_EFFECTIVE = 1_000
CAUTION_EFFECTIVE_SHARE = 0.1
MAX_WEIGHT_SHARE = 0.2
CAUTION_WEIGHT_SHARE = 0.02
CAUTION_WEIGHT_RATIO = 20.0
MEAN_WEIGHT_TOLERANCE = 0.1
MEAN_WEIGHT_DEVIATIONS = 4.0
UNSUPPORTED_MASS = 0.05


@dataclass(frozen=True)
class Support:
    """How well a log supports a target policy.

    Attributes:
        n: rounds in the log.
        effective_sample_size: Kish, `sum(w)**2 / sum(w**2)`; rounds of the target's own log worth as much.
        largest_weight: largest importance weight.
        mean_weight: mean importance weight, 1 in expectation.
        rewarded: rounds with weight > 0 and reward != 0.
        unsupported: mean probability the target gives to actions not eligible in their round or never logged.
        problems: sentences; with any of them no conclusion may be drawn.
        cautions: sentences; the estimate stands, but less firmly than its interval says.

    Source of the effective size: Kish 1965, "Survey Sampling", sec. 8.2.
    """

    n: int
    effective_sample_size: float
    largest_weight: float
    mean_weight: float
    rewarded: int
    unsupported: float
    problems: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def reliable(self) -> bool:
        """Whether a conclusion may be drawn."""
        return not self.problems

    @property
    def sentences(self) -> tuple[str, ...]:
        """Problems, then cautions."""
        return self.problems + self.cautions


def diagnose(rounds: Rounds) -> Support:
    """Support of the target policy in the log it is to be judged on."""
    answered = rounds.reward != 0 if rounds.answered is None else rounds.answered
    return diagnose_weights(rounds.weight, answered=answered, unsupported=_unsupported_mass(rounds))


def diagnose_weights(weight: Float64Array, *, answered: BoolArray, unsupported: float = 0.0) -> Support:
    """The same from importance weights alone.

    Args:
        weight: float64 (n,), >= 0.
        answered: bool (n,), rounds something worth anything followed.
        unsupported: mean target probability of actions the log cannot show.
    """
    n = len(weight)
    total = float(weight.sum())
    squares = float(weight @ weight)
    effective = total * total / squares if squares > 0 else 0.0
    largest = float(weight.max())
    mean = total / n
    rewarded = int(np.count_nonzero((weight > 0) & answered))
    problems: list[str] = []
    cautions: list[str] = []

    if effective < MIN_EFFECTIVE:
        problems.append(
            f"The {n:,} rounds are worth {effective:.1f} rounds of this policy's own log; at least {MIN_EFFECTIVE} are "
            "needed. Explore more widely or judge a policy closer to the logging one."
        )
    elif effective < min(CAUTION_EFFECTIVE, CAUTION_EFFECTIVE_SHARE * n):
        cautions.append(
            f"The {n:,} rounds are worth only {effective:,.0f} rounds of this policy's own log ({effective / n:.1%})."
        )

    share = largest / total if total > 0 else 0.0
    if share > MAX_WEIGHT_SHARE and n > 1:
        problems.append(
            f"One round carries {share:.0%} of the weight (weight {largest:,.1f}); it decides the estimate."
        )
    elif share > CAUTION_WEIGHT_SHARE and largest > CAUTION_WEIGHT_RATIO * mean:
        cautions.append(f"One round of {n:,} carries {share:.1%} of the weight (weight {largest:,.1f}).")

    off = abs(mean - 1.0)
    noise = float(weight.std()) / np.sqrt(n)
    if off > MEAN_WEIGHT_TOLERANCE and off > MEAN_WEIGHT_DEVIATIONS * noise:
        problems.append(
            f"The mean weight is {mean:.3f}, not 1, beyond chance: the log lacks actions this policy takes, or its "
            "propensities are not those of the final decision."
        )
    elif off > MEAN_WEIGHT_TOLERANCE:
        cautions.append(f"The mean weight is {mean:.3f}, not 1, by chance: read SNIPS or DR rather than IPS.")

    if unsupported > UNSUPPORTED_MASS:
        problems.append(f"{unsupported:.1%} of this policy's choices are actions the log cannot show (never logged).")
    elif unsupported > 1e-6:
        cautions.append(f"{unsupported:.2%} of this policy's choices are actions the log cannot show (never logged).")

    if rewarded < MIN_REWARDED:
        problems.append(
            f"Only {rewarded} rewarded rounds support this policy; fewer than {MIN_REWARDED} allow no conclusion, "
            "whatever the interval says."
        )
    return Support(
        n=n,
        effective_sample_size=effective,
        largest_weight=largest,
        mean_weight=mean,
        rewarded=rewarded,
        unsupported=unsupported,
        problems=tuple(problems),
        cautions=tuple(cautions),
    )


def _unsupported_mass(rounds: Rounds) -> float:
    A = rounds.pi.shape[1]
    logged = np.bincount(rounds.action, minlength=A) > 0
    if rounds.eligible is None or rounds.eligible.all():
        return float(rounds.pi.mean(axis=0)[~logged].sum())
    return float((rounds.pi * ~(rounds.eligible & logged)).sum() / len(rounds))
