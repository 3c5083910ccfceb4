"""Vowpal Wabbit examples built from arrays, without text, in a small pool that is refilled.

An `Example` is tens of kilobytes, so one is kept per action: its fixed features stay in it, and only
the customer's features are pushed per decision. Zeros are left out, as they are in logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from vowpal_wabbit_next import CBLabel, Example, Workspace

from policies.actions import ActionSet
from policies.arrays import Float32Array, Float64Array, IntArray, UInt64Array
from policies.vw.feature_space import FeatureSpace, TermGroup, action_terms


class _Rows(NamedTuple):
    """Non-zero features of many rows in one namespace, in compressed rows."""

    start: list[int]
    indices: UInt64Array
    values: Float32Array


class _FeatureGroup(Protocol):
    """VW's feature group; its shipped annotations name scalar types where arrays are meant."""

    def push_many_features(self, indices: UInt64Array, values: Float32Array) -> None: ...

    def truncate_to(self, i: int) -> None: ...


Label = tuple[float, float, float]  # cost, probability, weight
ActionScores = list[tuple[int, float]]


class ExamplePool:
    """One reusable VW example per action of a catalogue."""

    def __init__(self, space: FeatureSpace, actions: ActionSet) -> None:
        self._dynamic: list[dict[str, TermGroup]] = []
        self._groups: list[list[tuple[_FeatureGroup, int, str]]] = []
        self.examples: list[Example] = []
        for terms in action_terms(space, actions):
            example = Example()
            dynamic, groups = {}, []
            for letter, term in terms.items():
                fixed = term.column < 0
                group = cast(_FeatureGroup, example[letter])
                group.push_many_features(
                    term.indices[fixed].astype(np.uint64), term.coefficient[fixed].astype(np.float32)
                )
                if not fixed.all():
                    dynamic[letter] = TermGroup(term.indices[~fixed], term.column[~fixed], term.coefficient[~fixed])
                    groups.append((group, int(fixed.sum()), letter))
            example.set_label(CBLabel())
            self.examples.append(example)
            self._dynamic.append(dynamic)
            self._groups.append(groups)
        self._letters = sorted({letter for dynamic in self._dynamic for letter in dynamic})
        self._labels: list[Label | None] = [None] * len(actions)

    def fill(self, features: Float32Array, action: IntArray) -> Iterator[int]:
        """Refill, row by row, the example of that row's action, and yield the action; float32 (n, F) and int64 (n,).

        The example keeps the row's features until its action comes up again.
        """
        rows = {letter: self._compress(letter, features, action) for letter in self._letters}
        for i, a in enumerate(action.tolist()):
            for group, fixed, letter in self._groups[a]:
                starts, indices, values = rows[letter]
                start, end = starts[i], starts[i + 1]
                group.truncate_to(fixed)
                group.push_many_features(indices[start:end], values[start:end])
            yield a

    def learn(
        self, workspace: Workspace[Any], features: Float32Array, action: IntArray, labels: Sequence[Label]
    ) -> Float64Array:
        """Learn row by row from the example of that row's action; the costs predicted just before, float64 (n,).

        Calls VW's core directly: the public wrappers check types on every call, which takes longer than learning.
        """
        learn = workspace._workspace.predict_then_learn_multi_ex_one
        cores = [example._example for example in self.examples]
        shared = CBLabel()
        predicted = []
        for a, label in zip(self.fill(features, action), labels, strict=True):
            core = cores[a]
            # Setting a label takes twice as long as learning, and most rows repeat the label of the row before.
            if label != self._labels[a]:
                cost, probability, shared.weight = label
                shared.label = (cost, probability)
                core._set_label(shared)
                self._labels[a] = label
            predicted.append(cast(ActionScores, learn([core]))[0][1])
        return np.array(predicted, dtype=np.float64)

    def fill_all(self, features: Float32Array, action: IntArray) -> list[Example]:
        """One decision: the examples of the actions given, filled with the customer `features` (F,)."""
        repeated = np.broadcast_to(features, (len(action), len(features)))
        return [self.examples[a] for a in self.fill(repeated, action)]

    def _compress(self, letter: str, features: Float32Array, action: IntArray) -> _Rows:
        parts = []
        for a in np.unique(action).tolist():
            if letter not in self._dynamic[a]:
                continue
            term = self._dynamic[a][letter]
            of_action = np.flatnonzero(action == a)
            values = features[of_action[:, None], term.column[None, :]]
            row, column = np.nonzero(values)
            parts.append((of_action[row], term.indices[column], values[row, column]))
        if not parts:
            return _Rows([0] * (len(action) + 1), np.empty(0, np.uint64), np.empty(0, np.float32))
        row, indices, values = (np.concatenate(p) for p in zip(*parts, strict=True))
        order = np.argsort(row, kind="stable")
        start = np.zeros(len(action) + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=len(action)), out=start[1:])
        return _Rows(start.tolist(), indices[order].astype(np.uint64), values[order].astype(np.float32))
