"""Several learning rates learn side by side; the one that predicts best decides.

No single VW learning rate suits both crisp feedback (a right answer is right every time) and noisy
feedback (one visit in seven): high rates chase noise, low rates learn crisp problems too slowly. The
ladder measures each rate's progressive squared loss, the error of every prediction made just before
the reward was learned, importance-weighted as the learner is. Progressive loss is an honest estimate
of future loss (Blum, Kalai & Langford 1999), and regression loss is what SquareCB's guarantee rests on.

The same measurement scales SquareCB's gamma. Its best value is proportional to sqrt(K T / R), R being the
regression regret (Foster & Rakhlin 2020, Theorem 1), and R grows with the noise; so the crisper the
feedback, the sooner it is exploited. Gamma is what was asked for at a recent mean squared error of 1/8 and
inversely proportional to that error elsewhere. The inverse, and the rates, were chosen by measurement on
the very UCI problems and e-mail test the README reports (`benchmarks/uci_progressive.py`, `journey replay`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray, IntArray
from policies.errors import PolicyError
from policies.exploration.explorers import Explorer
from policies.vw.policy import VWPolicy, VWSettings

DEFAULT_RATES = (0.002, 0.02, 0.1, 0.5, 2.0, 8.0)
_WINDOW = 1000  # decisions the recent error is an exponential mean of
_REFERENCE_ERROR = 0.125  # half the variance of a fair coin, the noisiest reward one unit wide
_CRISPEST = 0.01  # below this error gamma does not rise any more


class LearningRateSearch:
    """A policy whose learning rate is chosen by progressive squared loss while it learns.

    Attributes:
        rungs: one policy per learning rate.
        loss: float64 (R,), summed progressive squared loss, weighted as learning is, in units of
            `reward_scale` squared.

    Raises:
        PolicyError: no rates, or one is not positive, or the model to start from is over other features.
    """

    name = "journey"

    def __init__(
        self,
        settings: VWSettings,
        actions: ActionSet,
        *,
        rates: Sequence[float] = DEFAULT_RATES,
        start: VWPolicy | None = None,
    ) -> None:
        if not rates or min(rates) <= 0:
            raise PolicyError(f"learning rates must be positive and at least one, got {list(rates)}")
        if start is not None:
            _check_same_features(start.settings, settings)
        model = start.model if start else None
        self.rungs = [VWPolicy(replace(settings, learning_rate=rate), actions, model=model) for rate in rates]
        self.loss = np.zeros(len(rates))
        self._distance = np.abs(np.log(np.array(rates) / 0.5))
        self._recent = np.full(len(rates), 2 * _REFERENCE_ERROR)
        self._learned = 0
        self._range = (0.0, 0.0)

    @property
    def best(self) -> VWPolicy:
        """The rung with the lowest progressive loss; of equals, before anything is known, the one nearest VW's 0.5."""
        return self.rungs[self._leader]

    @property
    def _leader(self) -> int:
        return int(np.lexsort((self._distance, self.loss))[0])

    @property
    def explorer(self) -> Explorer:
        """The exploration asked for, with gamma scaled to the best rung's recent error."""
        asked = self.rungs[0].settings.explorer
        error = float(self._recent[self._leader])
        return replace(asked, gamma_scale=asked.gamma_scale * _REFERENCE_ERROR / max(error, _CRISPEST))

    @property
    def actions(self) -> ActionSet:
        """The A actions."""
        return self.rungs[0].actions

    @property
    def columns(self) -> tuple[str, ...]:
        """The F feature columns expected."""
        return self.rungs[0].columns

    @property
    def reward_name(self) -> str:
        """Unit of the scores."""
        return self.rungs[0].reward_name

    def scores(self, features: Float32Array) -> Float32Array:
        """Scores of the best rung, float32 (n, A)."""
        return self.best.scores(features)

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        """Distribution of the best rung, float64 (n, A)."""
        best = self.best
        unit = scores / scores.dtype.type(best.settings.reward_scale)
        return self.explorer.distribution(unit, eligible, learned=best.progress.decisions)

    def learn_rows(
        self,
        features: Float32Array,
        *,
        eligible: IntArray,
        action: IntArray,
        propensity: Float64Array,
        reward: Float64Array,
        weight: Float64Array | None = None,
    ) -> Float64Array:
        """Every rung learns; arguments and return value as `VWPolicy.learn_rows`, from the best rung so far."""
        if not len(action):
            return np.empty(0)
        leader = self._leader
        self._learned += len(action)
        share = min(1.0, len(action) / min(self._learned, _WINDOW))
        weighted = self.rungs[0].settings.importance == "propensity"
        counts = 1.0 / (propensity * eligible) if weighted else np.ones(len(action))
        if weight is not None:
            counts = counts * weight
        lowest = np.minimum.accumulate(np.concatenate([[self._range[0]], reward]))
        highest = np.maximum.accumulate(np.concatenate([[self._range[1]], reward]))
        predictions = []
        for r, rung in enumerate(self.rungs):
            predicted = rung.learn_rows(
                features, eligible=eligible, action=action, propensity=propensity, reward=reward, weight=weight
            )
            # A prediction outside everything seen before is as wrong as the end of that range, no more.
            error = (np.clip(predicted, lowest[:-1], highest[:-1]) - reward) / rung.settings.reward_scale
            self.loss[r] += float(np.sum(counts * error**2))
            self._recent[r] += share * (float(np.mean(error**2)) - self._recent[r])
            predictions.append(predicted)
        self._range = (float(lowest[-1]), float(highest[-1]))
        return predictions[leader]


def _check_same_features(start: VWSettings, settings: VWSettings) -> None:
    """Weights have a meaning only where features are hashed alike and the reward has the same unit.

    Raises:
        PolicyError: with what differs.
    """
    mine, theirs = settings.to_json(), start.to_json()
    mine, theirs = {**mine.pop("space"), **mine}, {**theirs.pop("space"), **theirs}
    names = ("columns", "interactions", "ignore_linear", "constant", "bits", "reward_name", "reward_scale")
    if different := [name for name in names if mine[name] != theirs[name]]:
        name = different[0]
        told = f"{theirs[name]} there, {mine[name]} here"
        if name == "columns":
            told = f"{len(theirs[name])} there, {len(mine[name])} here, not all alike"
        raise PolicyError(
            f"the policy to start from is over other features or another reward ({name}: {told}); start from a policy "
            "learned with the same configuration, or from nothing"
        )
