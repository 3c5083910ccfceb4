"""Several learning rates learn side by side; the one that predicts best decides.

No single VW learning rate suits both crisp feedback (a right answer is right every time) and noisy
feedback (one visit in seven): high rates chase noise, low rates learn crisp problems too slowly. The
ladder measures each rate's progressive squared loss, the error of every prediction made just before
the reward was learned, importance-weighted as the learner is. Progressive loss is an honest estimate
of future loss (Blum, Kalai & Langford 1999), and regression loss is what SquareCB's guarantee rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray, IntArray
from policies.errors import PolicyError
from policies.vw_policy import VWPolicy, VWSettings

DEFAULT_RATES = (0.02, 0.1, 0.5, 2.0, 8.0)


class RateLadder:
    """A policy whose learning rate is chosen by progressive squared loss while it learns.

    Attributes:
        rungs: one policy per learning rate.
        loss: float64 (R,), summed importance-weighted progressive squared loss, in units of
            `reward_scale` squared.

    Raises:
        PolicyError: no rates, or one is not positive.
    """

    name = "journey"

    def __init__(self, settings: VWSettings, actions: ActionSet, *, rates: Sequence[float] = DEFAULT_RATES) -> None:
        if not rates or min(rates) <= 0:
            raise PolicyError(f"learning rates must be positive and at least one, got {list(rates)}")
        self.rungs = [VWPolicy(replace(settings, learning_rate=rate), actions) for rate in rates]
        self.loss = np.zeros(len(rates))
        self._range = (0.0, 0.0)

    @property
    def best(self) -> VWPolicy:
        """The rung with the lowest progressive loss."""
        return self.rungs[int(np.argmin(self.loss))]

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
        return self.best.distribution(scores, eligible)

    def learn_rows(
        self,
        features: Float32Array,
        *,
        eligible: IntArray,
        action: IntArray,
        propensity: Float64Array,
        reward: Float64Array,
    ) -> Float64Array:
        """Every rung learns; arguments and return value as `VWPolicy.learn_rows`, from the best rung so far."""
        best = int(np.argmin(self.loss))
        weight = 1.0 / (propensity * eligible)
        predictions = []
        for r, rung in enumerate(self.rungs):
            predicted = rung.learn_rows(
                features, eligible=eligible, action=action, propensity=propensity, reward=reward
            )
            # A prediction outside everything ever seen is as wrong as the end of that range, no more.
            error = (np.clip(predicted, *self._range) - reward) / rung.settings.reward_scale
            self.loss[r] += float(np.sum(weight * error**2))
            predictions.append(predicted)
        self._range = (min(self._range[0], float(reward.min())), max(self._range[1], float(reward.max())))
        return predictions[best]
