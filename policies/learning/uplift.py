"""What a contact adds, estimated from everything seen so far: a hierarchical ridge regression on shared features.

The effect of one contact is small against its noise, and a catalogue offers dozens; whoever takes the best of dozens of
noisy estimates takes noise. So an action's effect is built from parts it shares with its relatives, each drawn towards
zero the more, the more special it is (a normal prior per level; Gelman & Hill 2007, chapter 13):

    effect(x, a) = channel + intent in channel + subject + action
                 + (channel + intent in channel) * (what this customer did with the action's category and channel)

Sums over rows are all that is kept, so that any number of batches can be added. What remains uncertain is the prior's
part and the residuals', whatever the weights (White 1980, "A heteroskedasticity-consistent covariance matrix
estimator"): the noise of money grows with what a customer spends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policies.actions import ActionSet
from policies.arrays import Float32Array, Float64Array, IntArray
from policies.errors import FeatureError

# Standard deviation believed of each level's effects, in the reward's unit at `scale` 1.
_CHANNEL, _INTENT, _SUBJECT, _ACTION, _SLOPE, _INTENT_SLOPE = 0.3, 0.15, 0.05, 0.03, 0.15, 0.05
_BLOCK = 50_000
Label = tuple[str, ...]


class UpliftModel:
    """Effects of the A actions of a catalogue, hold excepted: its effect is zero.

    Args:
        actions: the A actions.
        columns: names of the F feature columns.
        scale: how large effects are, relative to a tenth of a unit of money.
    """

    def __init__(self, actions: ActionSet, columns: tuple[str, ...], *, scale: float = 1.0) -> None:
        self.actions, self.columns = actions, columns
        parts = [_parts(features) for features in actions.features]
        self._fixed, fixed_sd = _indicators(parts, {"channel": _CHANNEL, "intent": _INTENT, "subject": _SUBJECT})
        contacts = np.array([bool(p) for p in parts])
        self._fixed = np.hstack([self._fixed, np.eye(len(actions)) * contacts])
        self._slopes, slope_sd = _indicators(parts, {"channel": _SLOPE, "intent": _INTENT_SLOPE})
        names = sorted({pair.name for pairs in actions.pairs for pair in pairs})
        position = {column: i for i, column in enumerate(columns)}
        # One column more, always zero, for what an action does not look up.
        self._looked_up = np.full((len(actions), len(names)), len(columns))
        for a, pairs in enumerate(actions.pairs):
            for pair in pairs:
                if pair.column not in position:
                    raise FeatureError(f"action {actions.ids[a]!r} looks up column {pair.column!r}, which is missing")
                self._looked_up[a, names.index(pair.name)] = position[pair.column]
        sd = np.concatenate([fixed_sd, np.full(len(actions), _ACTION), np.repeat(slope_sd, len(names))]) * scale
        self._precision = 1 / sd**2
        self._gram = np.zeros((len(sd), len(sd)))
        self._moment = np.zeros(len(sd))
        self._scatter = np.zeros((len(sd), len(sd)))
        self._noise, self._rows = 0.0, 0.0
        self.weights: Float64Array = np.zeros(len(sd))
        self._covariance: Float64Array = np.diag(sd**2)

    def add(self, features: Float32Array, action: IntArray, effect: Float64Array, weight: Float64Array) -> None:
        """Add rows and estimate anew.

        Args:
            features: float32 (n, F).
            action: int64 (n,), the contact.
            effect: float64 (n,), what it added.
            weight: float64 (n,), how much each row counts; best inverse variances.
        """
        if not len(action):
            return
        for rows in _blocks(len(action)):
            design = self._design(features[rows], action[rows])
            weighted = design * weight[rows, None]
            self._gram += weighted.T @ design
            self._moment += weighted.T @ effect[rows]
        self._noise += float(np.sum(weight * effect**2))
        self._rows += len(action)
        variance = max(self._noise / self._rows, 1e-12)
        inverse = np.linalg.inv(self._gram / variance + np.diag(self._precision))
        self.weights = np.asarray(inverse @ (self._moment / variance), dtype=np.float64)
        for rows in _blocks(len(action)):
            design = self._design(features[rows], action[rows])
            scores = design * (weight[rows] * (effect[rows] - design @ self.weights))[:, None]
            self._scatter += scores.T @ scores
        middle = self._scatter / variance**2 + np.diag(self._precision)
        self._covariance = np.asarray(inverse @ middle @ inverse, dtype=np.float64)

    def effect(self, features: Float32Array, action: IntArray) -> Float64Array:
        """Expected effect of actions (n,) on customers (n, F); float64 (n,)."""
        parts = [self._design(features[rows], action[rows]) @ self.weights for rows in _blocks(len(action))]
        return np.concatenate([np.empty(0), *parts])

    def deviation(self, features: Float32Array, action: IntArray) -> Float64Array:
        """Standard errors of `effect`, what is believed before any data included; float64 (n,)."""
        variance = np.empty(len(action))
        for rows in _blocks(len(action)):
            design = self._design(features[rows], action[rows])
            variance[rows] = np.einsum("ij,ij->i", design @ self._covariance, design)
        return np.asarray(np.sqrt(np.maximum(variance, 0)), dtype=np.float64)

    def _design(self, features: Float32Array, action: IntArray) -> Float64Array:
        padded = np.hstack([features, np.zeros((len(features), 1), dtype=features.dtype)])
        seen = np.take_along_axis(padded, self._looked_up[action], axis=1).astype(np.float64)
        slopes = (self._slopes[action][:, :, None] * seen[:, None, :]).reshape(len(action), -1)
        return np.hstack([self._fixed[action], slopes])


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, n, _BLOCK)]


def _parts(features: Sequence[tuple[str, str, float]]) -> dict[str, Label]:
    named = dict(name.split("=", 1) for _, name, _ in features if "=" in name)
    if "channel" not in named:
        return {}
    channel = named["channel"]
    return {
        "channel": (channel,),
        "intent": (channel, named.get("intent", "")),
        "subject": (named.get("subject", ""),),
    }


def _indicators(parts: list[dict[str, Label]], levels: dict[str, float]) -> tuple[Float64Array, Float64Array]:
    """Indicators (A, K) of every label of some levels, and the standard deviation of each, (K,)."""
    columns, deviations = [], []
    for level, sd in levels.items():
        for label in sorted({p[level] for p in parts if level in p}):
            columns.append([float(p.get(level) == label) for p in parts])
            deviations.append(sd)
    return np.array(columns).reshape(len(columns), len(parts)).T, np.array(deviations)
