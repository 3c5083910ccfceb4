"""Off-policy estimators: each is one formula, the contribution of every round; the rest follows from it.

Notation: weights `w = pi(a_i | x_i) / p_i`, rewards `r`, model `q(x, a)`, and `q(x, pi) = sum_a pi(a|x) q(x, a)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from policies.arrays import Float64Array
from policies.errors import EvaluationError
from policies.evaluation.intervals import bootstrap_interval
from policies.evaluation.rounds import Rounds
from policies.evaluation.support import Support, diagnose


@dataclass(frozen=True)
class Estimate:
    """An estimated value per round, how sure it is, and whether the log supports it.

    Attributes:
        estimator: "IPS", "SNIPS", "DM" or "DR".
        value: estimated mean reward per round under the target policy.
        lower: lower end of the 95 % interval.
        upper: upper end of the 95 % interval.
        standard_error: of `value`, customers being the sampled unit.
        effective_sample_size: Kish effective sample size of the weights.
        largest_weight: largest importance weight.
        mean_weight: mean importance weight, 1 in expectation.
        n: rounds in the log.
        rewarded: rounds with weight > 0 and reward != 0.
        reliable: false where no conclusion may be drawn; `warnings` says why.
        warnings: sentences for a reader.
    """

    estimator: str
    value: float
    lower: float
    upper: float
    standard_error: float
    effective_sample_size: float
    largest_weight: float
    mean_weight: float
    n: int
    rewarded: int
    reliable: bool
    warnings: tuple[str, ...]


class Estimator(ABC):
    """A value estimate that is a mean of per-round contributions."""

    name: ClassVar[str]
    caution: ClassVar[str | None] = None

    @abstractmethod
    def round_rewards(self, rounds: Rounds) -> Float64Array:
        """Contribution of every round, float64 (n,); their mean is the estimate and their spread its error.

        Raises:
            EvaluationError: the log or the question lacks what the formula needs.
        """

    def value(self, rounds: Rounds) -> float:
        """Estimated mean reward per round under the target policy, without interval or diagnostics.

        Raises:
            EvaluationError: see `round_rewards`.
        """
        return float(self.round_rewards(rounds).mean())

    def estimate(self, rounds: Rounds, *, seed: int, support: Support | None = None) -> Estimate:
        """Value with its 95 % interval and warnings.

        Args:
            rounds: the question.
            seed: of the interval's bootstrap.
            support: `diagnose(rounds)`, if already known.

        Raises:
            EvaluationError: see `round_rewards`.
        """
        contributions = self.round_rewards(rounds)
        support = support or diagnose(rounds)
        interval = bootstrap_interval(contributions, seed=seed, cluster=rounds.cluster)
        return Estimate(
            estimator=self.name,
            value=float(contributions.mean()),
            lower=interval.lower,
            upper=interval.upper,
            standard_error=interval.standard_error,
            effective_sample_size=support.effective_sample_size,
            largest_weight=support.largest_weight,
            mean_weight=support.mean_weight,
            n=support.n,
            rewarded=support.rewarded,
            reliable=support.reliable,
            warnings=support.sentences + (() if self.caution is None else (self.caution,)),
        )


class IPS(Estimator):
    """Inverse propensity scoring, `mean(w r)`: unbiased, and noisy where weights are large.

    Source: Horvitz & Thompson 1952; Strehl et al. 2010 (arXiv:1003.0120).
    """

    name = "IPS"

    def round_rewards(self, rounds: Rounds) -> Float64Array:
        """`w r`, float64 (n,)."""
        return rounds.weight * rounds.reward


class SNIPS(Estimator):
    """Self-normalised IPS, `v = sum(w r) / sum(w)`: a weighted mean of rewards, so within their range.

    The contribution of a round is `v + w (r - v) / mean(w)`: its mean is exactly v and its spread is the error of
    the ratio to first order, which that of `w r / mean(w)` is not (it ignores that the denominator varies too).

    Source: Swaminathan & Joachims 2015, "The Self-Normalized Estimator for Counterfactual Learning"; linearisation as
        in Owen 2013, "Monte Carlo theory, methods and examples", eq. 9.9.
    """

    name = "SNIPS"

    def round_rewards(self, rounds: Rounds) -> Float64Array:
        """`v + w (r - v) / mean(w)`, float64 (n,)."""
        value = self.value(rounds)
        contributions: Float64Array = rounds.weight * (rounds.reward - value)
        contributions /= rounds.weight.mean()
        contributions += value
        return contributions

    def value(self, rounds: Rounds) -> float:
        """`sum(w r) / sum(w)`: what the contributions average to, without computing them."""
        total = float(rounds.weight.sum())
        if total <= 0:
            raise EvaluationError(
                "every importance weight is 0: the target policy never takes a logged action, so this log says "
                "nothing about it"
            )
        return float(rounds.weight @ rounds.reward) / total


class DM(Estimator):
    """Direct method, `mean(q(x, pi))`: as good as the reward model, whose error its interval leaves out.

    Source: Dudik et al. 2014 (arXiv:1503.02834), sec. 2.
    """

    name = "DM"
    caution = "DM trusts the reward model: its interval covers which customers were seen, not the model's error."

    def round_rewards(self, rounds: Rounds) -> Float64Array:
        """`q(x, pi)`, float64 (n,)."""
        return _model_value(rounds, q_hat_of(rounds, self.name))


class DR(Estimator):
    """Doubly robust, `mean(q(x, pi) + w (r - q(x, a)))`: right if either the propensities or the model are.

    Source: Dudik et al. 2014 (arXiv:1503.02834), eq. 3.
    """

    name = "DR"

    def round_rewards(self, rounds: Rounds) -> Float64Array:
        """`q(x, pi) + w (r - q(x, a))`, float64 (n,)."""
        q_hat = q_hat_of(rounds, self.name)
        correction = rounds.weight * (rounds.reward - rounds.of_logged_action(q_hat))
        return _model_value(rounds, q_hat) + correction


ESTIMATORS: tuple[Estimator, ...] = (IPS(), SNIPS(), DM(), DR())


def q_hat_of(rounds: Rounds, name: str) -> Float64Array:
    """The question's reward model.

    Raises:
        EvaluationError: it has none.
    """
    if rounds.q_hat is None:
        raise EvaluationError(f"{name} needs q_hat; fit one with `reward_model.cross_fit(log)` and pass it to Rounds")
    return rounds.q_hat


def _model_value(rounds: Rounds, q_hat: Float64Array) -> Float64Array:
    value: Float64Array = np.einsum("na,na->n", rounds.pi, q_hat)
    return value
