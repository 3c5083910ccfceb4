"""The critic: what a contact does to a customer's value beyond the money it brings at once.

The long-run worth of an action is what it brings soon plus the difference it makes to the value of the customer
afterwards, V(after) - V(before). A contact moves a customer's state by a known step (one more contact in its channel),
so that difference is itself a linear function of the state before; the critic is fitted to it directly:

    later(x, a) = theta[intent(a)] + theta[channel(a)] . (pressure, burden, value)

with pressure the recent contacts in the channel, value the recent spend and burden their product: wearing out who
spends much costs more. It is fitted by ridge regression weighted by inverse variance (feasible generalised least
squares; Aitken 1936), since the noise of money grows with what a customer spends; how uncertain the fit is comes from
the prior and from the residuals, whatever the weights (White 1980, "A heteroskedasticity-consistent covariance matrix
estimator").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.actions import ActionSet
from policies.arrays import Float32Array, Float64Array, IntArray
from policies.errors import FeatureError

_SLOPES = ("pressure", "burden", "value")
_RIDGE_SLOPE, _RIDGE_INTENT = 100.0, 2000.0  # in rows: how many it takes to move a coefficient off zero
_SMALLEST = 0.05  # squared money that counts as noise at least


@dataclass(frozen=True)
class Critic:
    """Fitted coefficients over one catalogue.

    Attributes:
        actions: the A actions.
        columns: the F feature columns.
        base: float64 (A,), money of a contact at rest, about a customer without recent spend; 0 for hold.
        slopes: float64 (A, 3), money per unit of pressure, burden and value; equal within a channel.
        covariance: float64 (A, 4, 4), of base and slopes.
    """

    actions: ActionSet
    columns: tuple[str, ...]
    base: Float64Array
    slopes: Float64Array
    covariance: Float64Array

    @classmethod
    def none(cls, actions: ActionSet, columns: tuple[str, ...]) -> Critic:
        """The critic that sees no future: with it, learning is myopic."""
        a, k = len(actions), len(_SLOPES)
        return cls(actions, columns, np.zeros(a), np.zeros((a, k)), np.zeros((a, 1 + k, 1 + k)))

    @classmethod
    def fit(
        cls,
        actions: ActionSet,
        columns: tuple[str, ...],
        *,
        features: Float32Array,
        action: IntArray,
        later: Float64Array,
        weight: Float64Array,
    ) -> Critic:
        """Fit to differences in later money.

        Args:
            actions: the A actions.
            columns: names of the F feature columns.
            features: float32 (n, F), before the contact.
            action: int64 (n,), the contact; never hold.
            later: float64 (n,), money it added later, compared with not contacting.
            weight: float64 (n,), inverse variances, mean 1.
        """
        channels, intents = _labels(actions, "channel="), _labels(actions, "intent=")
        critic = cls.none(actions, columns)
        noise = float(np.mean(weight * later**2)) if len(later) else 0.0
        for channel in sorted(set(channels) - {""}):
            own = np.array([c == channel for c in channels])
            rows = np.flatnonzero(own[action])
            kinds = sorted({i for i, mine in zip(intents, own, strict=True) if mine})
            kind = np.array([kinds.index(i) if i in kinds else 0 for i in intents])
            state = _state(columns, channel, features[rows])
            design = np.column_stack([np.ones(len(rows)), state, np.eye(len(kinds))[kind[action[rows]]]])
            weighted = design * weight[rows, None]
            ridge = np.diag([1.0, *[_RIDGE_SLOPE] * len(_SLOPES), *[_RIDGE_INTENT] * len(kinds)])
            inverse = np.linalg.inv(weighted.T @ design + ridge)
            theta = inverse @ (weighted.T @ later[rows])
            scores = weighted * (later[rows] - design @ theta)[:, None]
            # The second term is the prior's: of what was never seen, nothing is known.
            covariance = inverse @ (scores.T @ scores + noise * ridge) @ inverse
            for a in np.flatnonzero(own):
                to_base = np.zeros((1 + len(_SLOPES), len(theta)))
                to_base[:, : 1 + len(_SLOPES)] = np.eye(1 + len(_SLOPES))
                to_base[0, 1 + len(_SLOPES) + kind[a]] = 1
                of_action = to_base @ theta
                critic.base[a], critic.slopes[a] = of_action[0], of_action[1:]
                critic.covariance[a] = to_base @ covariance @ to_base.T
        return critic

    def later(self, features: Float32Array, action: IntArray) -> Float64Array:
        """Expected later money of contacts (n,) about customers (n, F), compared with not contacting; float64 (n,)."""
        state = self._states(features, action)
        return np.asarray(np.einsum("ij,ij->i", state, np.column_stack([self.base, self.slopes])[action]))

    def deviation(self, features: Float32Array, action: IntArray) -> Float64Array:
        """Standard errors of `later`; float64 (n,)."""
        state = self._states(features, action)
        variance = np.einsum("ij,ijk,ik->i", state, self.covariance[action], state)
        return np.asarray(np.sqrt(np.maximum(variance, 0)), dtype=np.float64)

    def _states(self, features: Float32Array, action: IntArray) -> Float64Array:
        """What base and slopes are multiplied with, float64 (n, 4); zero for hold."""
        states = np.zeros((len(action), 1 + len(_SLOPES)))
        channels = np.array(_labels(self.actions, "channel="))
        for channel in sorted(set(channels) - {""}):
            rows = np.flatnonzero(channels[action] == channel)
            states[rows, 0] = 1
            states[rows, 1:] = _state(self.columns, channel, features[rows])
        return states


def inverse_variance(columns: tuple[str, ...], features: Float32Array, residual: Float64Array) -> Float64Array:
    """Weights by predicted noise, mean 1, float64 (n,): log squared residuals regressed on what customers spend.

    The square root of the inverse variance is taken: between plain and generalised least squares, so that those who
    spend much, about whom there is most to lose, still count.
    """
    if missing := [name for name in ("value", "frequency") if name not in columns]:
        raise FeatureError(f"noise is told by the columns value and frequency; missing: {', '.join(missing)}")
    value, often = (features[:, columns.index(name)].astype(np.float64) for name in ("value", "frequency"))
    design = np.column_stack([np.ones(len(value)), value, value**2, often])
    coefficients = np.linalg.lstsq(design, np.log(residual**2 + _SMALLEST), rcond=None)[0]
    weight = np.exp(-0.5 * design @ coefficients)
    return np.asarray(weight / weight.mean(), dtype=np.float64)


def _labels(actions: ActionSet, prefix: str) -> list[str]:
    """Per action, what follows `prefix` in its features; empty for hold."""
    return [
        next((f.name.removeprefix(prefix) for f in features if f.name.startswith(prefix)), "")
        for features in actions.features
    ]


def _state(columns: tuple[str, ...], channel: str, features: Float32Array) -> Float64Array:
    names = (f"{channel}.pressure", f"{channel}.burden", "value")
    if missing := [name for name in names if name not in columns]:
        raise FeatureError(f"the critic needs the columns {', '.join(names)}; missing: {', '.join(missing)}")
    return features[:, [columns.index(name) for name in names]].astype(np.float64)
