"""A policy learned by Vowpal Wabbit: VW's workspace is the truth, its compiled matrix makes the decisions."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
from vowpal_wabbit_next import LabelType, Workspace

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray, IntArray
from policies.errors import FeatureError, PolicyFormatError
from policies.exploration.explorers import Explorer
from policies.feedback import LoggedFeedback
from policies.vw.examples import ActionScores, ExamplePool
from policies.vw.feature_space import FeatureSpace, LinearPlan, NotCompilableError, compile_plan

PARITY_TOLERANCE = 1e-4
_NOT_OURS_TO_CHANGE = frozenset(
    ["--cb_adf", "--cb_type", "--cb_explore_adf", "--epsilon", "--squarecb", "--regcb", "--softmax", "--bag", "--cover"]
)
Importance = Literal["propensity", "none"]
_BLOCK = 128  # every matrix product has this many rows, so a row's scores do not depend on its batch
_LEARN_CHUNK = 50_000
_PARITY_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class VWSettings:
    """What a VW policy is made of, apart from what it learned.

    Attributes:
        space: columns and interactions.
        explorer: exploration put on top of the scores.
        learning_rate: VW's `-l`.
        reward_scale: VW learns `-reward / reward_scale`, so that costs are about one unit wide.
        reward_name: unit of the scores.
        importance: `propensity` weighs each decision by 1 / (propensity * actions), as VW's `--cb_type mtr`
            does, which fits every action equally well from any log; `none` counts each decision once, the
            plain online regression that SquareCB asks for, without the variance of rare draws.
        extra_args: further VW options; those that break linearity are scored by VW itself, more slowly.
    """

    space: FeatureSpace
    explorer: Explorer = field(default_factory=Explorer)
    learning_rate: float = 0.5
    reward_scale: float = 1.0
    reward_name: str = "reward"
    importance: Importance = "propensity"
    extra_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if refused := [a for a in self.extra_args if a.split("=")[0] in _NOT_OURS_TO_CHANGE]:
            raise FeatureError(
                f"extra_args {', '.join(refused)} would change what VW predicts or how it weighs decisions; "
                "set exploration with `explorer` and weighting with `importance`"
            )

    def vw_args(self) -> list[str]:
        """VW's whole command line."""
        args = ["--cb_adf", "--cb_type", "mtr", "-l", repr(self.learning_rate), "--quiet"]
        return [*args, *self.space.vw_args(), *self.extra_args]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form, read back by `from_json`."""
        return {
            "space": self.space.to_json(),
            "explorer": self.explorer.to_json(),
            "learning_rate": self.learning_rate,
            "reward_scale": self.reward_scale,
            "reward_name": self.reward_name,
            "importance": self.importance,
            "extra_args": list(self.extra_args),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> VWSettings:
        """Rebuild from `to_json`."""
        return cls(
            space=FeatureSpace.from_json(data["space"]),
            explorer=Explorer(**data["explorer"]),
            learning_rate=data["learning_rate"],
            reward_scale=data["reward_scale"],
            reward_name=data["reward_name"],
            importance=data["importance"],
            extra_args=tuple(data["extra_args"]),
        )


@dataclass(frozen=True)
class Progress:
    """How much a policy has learned from.

    Attributes:
        decisions: decisions learned from.
        eligible: sum over them of the number of eligible actions, which sets VW's importance weights.
        split: share of customers learned from (`LoggedFeedback.split`), so that others can judge; 0 if not known.
    """

    decisions: int = 0
    eligible: int = 0
    split: float = 0.0


class VWPolicy:
    """A Vowpal Wabbit contextual bandit over one catalogue.

    Not thread-safe while learning; `scores` and `distribution` of a policy that is no longer trained
    may be called from any thread; where `compiled` is false, VW itself scores, one call at a time.

    Raises:
        FeatureError: an action looks up a column the space does not have.
        PolicyFormatError: VW refuses the options or the model.
    """

    name = "journey"

    def __init__(
        self,
        settings: VWSettings,
        actions: ActionSet,
        *,
        model: bytes | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.settings = settings
        self.actions = actions
        self.progress = progress or Progress()
        self._columns = settings.space.column_names
        try:
            if model is None:
                self._workspace = Workspace(settings.vw_args())
            else:
                # The model brings the rate it was learned with; what learns on may have another.
                rate = ["-l", repr(settings.learning_rate)]
                self._workspace = Workspace(["--quiet", *rate], model_data=model)
        except Exception as error:  # VW raises several unrelated types
            raise PolicyFormatError(f"Vowpal Wabbit refuses this policy: {error}") from error
        if self._workspace.label_type != LabelType.CB or not self._workspace.multiline:
            raise PolicyFormatError("the model is no contextual bandit over action features (--cb_adf): train again")
        bits = settings.space.bits
        if (found := len(self._workspace.weights())) != 1 << bits:
            raise PolicyFormatError(
                f"the model has {found} weights, the policy's -b {bits} asks for {1 << bits}: train again"
            )
        self._pool = ExamplePool(settings.space, actions)
        self._one_at_a_time = threading.Lock()
        self._plan = self._compile()
        self._matrix: tuple[Float32Array, Float32Array] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The F feature columns expected, in order."""
        return self._columns

    @property
    def reward_name(self) -> str:
        """Unit of the scores."""
        return self.settings.reward_name

    @property
    def compiled(self) -> bool:
        """Whether scores come from the compiled matrix; otherwise VW's own `predict_one` gives them."""
        return self._plan is not None

    @property
    def model(self) -> bytes:
        """The VW model, readable by stock VW."""
        return self._workspace.serialize()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """How a copy is made, in this process or another: from settings, actions and VW's own model bytes."""
        made_of = json.dumps(self.settings.to_json()), json.dumps(self.actions.to_json())
        return _rebuild, (type(self), *made_of, self.model, self.progress)

    def with_actions(self, actions: ActionSet) -> VWPolicy:
        """What was learned, applied to another catalogue; new actions borrow from their relatives."""
        return VWPolicy(self.settings, actions, model=self.model, progress=self.progress)

    def with_explorer(self, explorer: Explorer) -> VWPolicy:
        """What was learned, with other exploration."""
        settings = replace(self.settings, explorer=explorer)
        return VWPolicy(settings, self.actions, model=self.model, progress=self.progress)

    def scores(self, features: Float32Array) -> Float32Array:
        """Expected reward per action, float32 (n, A), from features float32 (n, F).

        Raises:
            FeatureError: wrong number of columns, or a value is not finite.
        """
        self._check(features)
        if self._plan is None:
            return self.vw_scores(features)
        if self._matrix is None:
            weights: Float32Array = self._workspace.weights()[:, 0, 0]
            matrix, intercept = self._plan.matrix(weights)
            # Costs become rewards here, once, instead of in every batch.
            scale = np.float32(-self.settings.reward_scale)
            self._matrix = matrix * scale, intercept * scale
        # BLAS may round differently for another memory order; bits must not depend on the caller's.
        return _blockwise(np.ascontiguousarray(features), *self._matrix)

    def contributions(self, features: Float32Array) -> Float32Array:
        """What each column adds to each action's score, float32 (F, A), from one row of features, float32 (F,).

        With the intercept of each action, which is no customer's, they sum to its score up to rounding.

        Raises:
            FeatureError: wrong number of columns, or a value is not finite; or the policy is not compiled.
        """
        self.scores(features[None])  # checks, and compiles
        if self._matrix is None:
            raise FeatureError("only compiled policies tell what each column contributes")
        return features[:, None] * self._matrix[0]

    def vw_scores(self, features: Float32Array) -> Float32Array:
        """The same by VW's own `predict_one`: the reference, and the path of what cannot be compiled."""
        self._check(features)
        every = np.arange(len(self.actions))
        costs = np.empty((len(features), len(self.actions)), dtype=np.float32)
        with self._one_at_a_time:
            for i, row in enumerate(features):
                prediction = self._workspace.predict_one(self._pool.fill_all(row, every))
                for action, cost in cast(ActionScores, prediction):
                    costs[i, action] = cost
        return costs * np.float32(-self.settings.reward_scale)

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        """Probability per action (n, A) under the policy's exploration."""
        unit = scores / scores.dtype.type(self.settings.reward_scale)
        return self.settings.explorer.distribution(unit, eligible, learned=self.progress.decisions)

    def learn(self, log: LoggedFeedback) -> Float64Array:
        """Learn from logged feedback, in its order; see `learn_rows`.

        Raises:
            FeatureError: the log's columns or actions are not the policy's.
        """
        if log.columns != self.columns:
            raise FeatureError(_column_difference(self.columns, log.columns))
        if log.actions.ids != self.actions.ids:
            raise FeatureError(
                f"the log's actions ({', '.join(log.actions.ids)}) are not the policy's "
                f"({', '.join(self.actions.ids)}); rebind the policy with `with_actions(log.actions)`"
            )
        return self.learn_rows(
            log.features,
            eligible=log.eligible.sum(axis=1),
            action=log.action,
            propensity=log.propensity,
            reward=log.reward,
        )

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
        """Learn the reward of chosen actions.

        With `importance="propensity"` this is VW's `--cb_type mtr`: its update touches the chosen action only,
        with importance weight `1 / (propensity * mean number of actions so far)`; giving VW that action alone
        with that weight yields the weights of training on the whole action list, without building the others.

        Args:
            features: float32 (n, F).
            eligible: int (n,), number of eligible actions.
            action: int (n,), index of the chosen one.
            propensity: float64 (n,), in (0, 1].
            reward: float64 (n,), in the policy's reward unit.
            weight: float64 (n,), how much each row counts, on top of its importance; none for 1.

        Returns:
            float64 (n,): the reward predicted for the chosen action just before learning from it.
        """
        self._check(features)
        decisions = self.progress.decisions + np.arange(1, len(action) + 1)
        actions_seen = self.progress.eligible + np.cumsum(eligible)
        cost = (-reward / self.settings.reward_scale).tolist()
        if self.settings.importance == "propensity":
            times = decisions / actions_seen if weight is None else weight * decisions / actions_seen
            labels = list(zip(cost, propensity.tolist(), times.tolist(), strict=True))
        else:
            counts = np.ones(len(action)) if weight is None else weight
            labels = [(c, 1.0, w) for c, w in zip(cost, counts.tolist(), strict=True)]
        predicted = np.empty(len(action), dtype=np.float64)
        for start in range(0, len(action), _LEARN_CHUNK):
            rows = slice(start, start + _LEARN_CHUNK)
            predicted[rows] = self._pool.learn(self._workspace, features[rows], action[rows], labels[rows])
        if len(action):
            self.progress = replace(self.progress, decisions=int(decisions[-1]), eligible=int(actions_seen[-1]))
            self._matrix = None
        return predicted * -self.settings.reward_scale

    def check_parity(self) -> float:
        """Largest difference between compiled and VW's own scores on random customers.

        In units of `reward_scale`, or relative to the score where that is larger than one unit.

        Raises:
            PolicyFormatError: it exceeds 1e-4.
        """
        if not self.compiled:
            return 0.0
        shape = (_PARITY_ROWS, len(self.columns))
        probe = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        reference = self.vw_scores(probe)
        unit = np.maximum(np.abs(reference), self.settings.reward_scale)
        difference = np.abs(self.scores(probe) - reference) / unit
        worst = float(difference.max(initial=0.0))
        if not worst <= PARITY_TOLERANCE:
            raise PolicyFormatError(
                f"compiled scores differ from Vowpal Wabbit's by {worst:.2g} (limit {PARITY_TOLERANCE}); "
                "the model and policy.json do not belong together: train again"
            )
        return worst

    def _compile(self) -> LinearPlan | None:
        if self.settings.extra_args:
            return None
        try:
            return compile_plan(self.settings.space, self.actions)
        except NotCompilableError:
            return None

    def _check(self, features: Float32Array) -> None:
        if features.ndim != 2 or features.shape[1] != len(self.columns):
            raise FeatureError(f"features have shape {features.shape}, expected (n, {len(self.columns)})")
        # A sum of squares is finite only if everything in it is; whatever makes it infinite is looked at one by one.
        if not np.isfinite(np.vdot(features, features)) and not np.isfinite(features).all():
            row, column = np.argwhere(~np.isfinite(features))[0]
            raise FeatureError(f"feature {self.columns[column]!r} of row {row} is {features[row, column]}, not finite")


def _rebuild(kind: type[VWPolicy], settings: str, actions: str, model: bytes, progress: Progress) -> VWPolicy:
    return kind(
        VWSettings.from_json(json.loads(settings)),
        ActionSet.from_json(json.loads(actions)),
        model=model,
        progress=progress,
    )


def _blockwise(features: Float32Array, matrix: Float32Array, intercept: Float32Array) -> Float32Array:
    n = len(features)
    out = np.empty((n + -n % _BLOCK, matrix.shape[1]), dtype=np.float32)
    whole = n - n % _BLOCK
    for start in range(0, whole, _BLOCK):
        np.matmul(features[start : start + _BLOCK], matrix, out=out[start : start + _BLOCK])
    if whole < n:
        last = np.zeros((_BLOCK, features.shape[1]), dtype=np.float32)
        last[: n - whole] = features[whole:]
        np.matmul(last, matrix, out=out[whole:])
    out += intercept
    return out[:n]


def _column_difference(expected: Sequence[str], found: Sequence[str]) -> str:
    missing = [c for c in expected if c not in set(found)]
    extra = [c for c in found if c not in set(expected)]
    if not missing and not extra:
        return "the log has the policy's columns in another order; import the data again with the same configuration"
    parts = [f"missing {', '.join(missing[:5])}"] * bool(missing) + [f"unknown {', '.join(extra[:5])}"] * bool(extra)
    return f"the log's columns are not the policy's: {'; '.join(parts)} ({len(expected)} expected, {len(found)} found)"
