"""Baselines every learned policy must beat: random, one fixed action, business rules on RFM segments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray, IntArray
from policies.errors import FeatureError, FeedbackError
from policies.exploration.explorers import greedy, uniform
from policies.feedback import LoggedFeedback

_NEVER_SEEN = -1e30  # worse than any reward, and still a number
_MIN_ANSWERED = 30  # fewer answers than this say little about an action


@dataclass(frozen=True)
class RandomPolicy:
    """Every eligible action with equal probability, or mostly the first one, `hold`.

    Attributes:
        hold: probability of the first action before the rest is spread; with 0 all are alike. First data
            should be gathered with a high share: contacting everybody every day wears customers out.
    """

    actions: ActionSet
    columns: tuple[str, ...]
    reward_name: str = "reward"
    name: str = "random"
    hold: float = 0.0

    def scores(self, features: Float32Array) -> Float32Array:
        """All zero, (n, A): no opinion."""
        return np.zeros((len(features), len(self.actions)), dtype=np.float32)

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:  # noqa: ARG002
        """Uniform over eligible but for the share held, (n, A)."""
        p = uniform(eligible) * (1.0 - self.hold)
        p[:, 0] += self.hold * eligible[:, 0]
        p /= p.sum(axis=1, keepdims=True)
        return p


@dataclass(frozen=True)
class FixedPolicy:
    """Always the same action; where it is not eligible, the first eligible one (`hold` comes first)."""

    actions: ActionSet
    columns: tuple[str, ...]
    action_id: str
    reward_name: str = "reward"

    def __post_init__(self) -> None:
        self.actions.index(self.action_id)

    @property
    def name(self) -> str:
        """`fixed: ` and the action."""
        return f"fixed: {self.action_id}"

    def scores(self, features: Float32Array) -> Float32Array:
        """One for the fixed action, zero for the others, (n, A)."""
        scores = np.zeros((len(features), len(self.actions)), dtype=np.float32)
        scores[:, self.actions.index(self.action_id)] = 1.0
        return scores

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        """All probability on the fixed action, (n, A)."""
        return greedy(scores, eligible)


def best_fixed(log: LoggedFeedback) -> FixedPolicy:
    """The action with the highest mean reward in `log`, importance-weighted (SNIPS); judge it on another log.

    Of a large catalogue the luckiest rare action would win; so only actions with 30 answers or more compete,
    besides the first, `hold`, which is never answered.
    """
    means = _action_means(log, np.zeros(len(log), dtype=np.int64), segments=1, prior_weight=0.0)[0]
    answers = np.bincount(log.action[log.answered], minlength=len(log.actions))
    competes = answers >= _MIN_ANSWERED
    competes[0] = True
    means = np.where(competes, means, _NEVER_SEEN)
    return FixedPolicy(log.actions, log.columns, log.actions.ids[int(means.argmax())], log.reward_name)


@dataclass(frozen=True)
class BusinessRules:
    """Segmentation as retailers do it: the best action per RFM segment, estimated on past feedback.

    Customers are cut into terciles of recency, frequency and monetary value. Each of the 27 segments
    gets the action with the highest mean reward there, shrunk towards the action's overall mean.

    Attributes:
        actions: the A actions.
        columns: the F feature columns expected.
        used: positions of the recency, frequency and monetary columns in X.
        edges: float32 (3, 2), tercile edges per RFM column.
        values: float32 (27, A), mean reward per segment and action.
        reward_name: unit of the scores.
    """

    actions: ActionSet
    columns: tuple[str, ...]
    used: tuple[int, int, int]
    edges: Float32Array
    values: Float32Array
    reward_name: str = "reward"
    name: str = "business_rules"

    @classmethod
    def fit(
        cls,
        log: LoggedFeedback,
        *,
        rfm: tuple[str, str, str] = ("recency.purchase", "frequency", "spend"),
        prior_weight: float = 200.0,
    ) -> BusinessRules:
        """Estimate the rules on `log`.

        Args:
            log: past feedback.
            rfm: names of the recency, frequency and monetary columns.
            prior_weight: importance weight of the action's overall mean in every segment's mean.

        Raises:
            FeatureError: a column is missing.
            FeedbackError: the log is empty.
        """
        if not len(log):
            raise FeedbackError("business rules need at least one row of feedback")
        missing = [c for c in rfm if c not in log.columns]
        if missing:
            raise FeatureError(f"business rules need the columns {', '.join(rfm)}; the log lacks {', '.join(missing)}")
        used = (log.columns.index(rfm[0]), log.columns.index(rfm[1]), log.columns.index(rfm[2]))
        edges = np.quantile(log.features[:, list(used)], [1 / 3, 2 / 3], axis=0).T.astype(np.float32)
        segment = _segments(log.features, used, edges)
        values = _action_means(log, segment, segments=27, prior_weight=prior_weight)
        return cls(log.actions, log.columns, used, edges, values.astype(np.float32), log.reward_name)

    def with_actions(self, actions: ActionSet) -> BusinessRules:
        """The same rules over another catalogue; actions they do not know are never their best."""
        place = {action: a for a, action in enumerate(self.actions.ids)}
        values = np.full((len(self.values), len(actions)), _NEVER_SEEN, dtype=np.float32)
        for a, action in enumerate(actions.ids):
            if action in place:
                values[:, a] = self.values[:, place[action]]
        return replace(self, actions=actions, values=values)

    def scores(self, features: Float32Array) -> Float32Array:
        """Mean reward of the customer's segment per action, (n, A)."""
        scores: Float32Array = self.values[_segments(features, self.used, self.edges)]
        return scores

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        """All probability on the segment's best eligible action, (n, A)."""
        return greedy(scores, eligible)


def _segments(features: Float32Array, used: tuple[int, int, int], edges: Float32Array) -> IntArray:
    segment = np.zeros(len(features), dtype=np.int64)
    for column, cuts in zip(used, edges, strict=True):
        segment = 3 * segment + np.searchsorted(cuts, features[:, column], side="left")
    return segment


def _action_means(log: LoggedFeedback, segment: IntArray, *, segments: int, prior_weight: float) -> Float64Array:
    size = len(log.actions)
    weight = 1.0 / log.propensity
    cell = segment * size + log.action
    total = np.bincount(cell, weights=weight, minlength=segments * size).reshape(segments, size)
    reward = np.bincount(cell, weights=weight * log.reward, minlength=segments * size).reshape(segments, size)
    seen = total.sum(axis=0)
    overall = np.divide(reward.sum(axis=0), seen, out=np.zeros(size), where=seen > 0)
    prior = np.where(seen > 0, overall, 0.0) * prior_weight
    means = np.divide(reward + prior, total + prior_weight, out=np.zeros_like(total), where=total + prior_weight > 0)
    return np.where(seen > 0, means, _NEVER_SEEN)
