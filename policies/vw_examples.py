"""Vowpal Wabbit examples built from arrays, without text, in a small pool that is refilled.

An `Example` is tens of kilobytes, so one is kept per action: its fixed features stay in it, and only
the customer's features are pushed per decision. Zeros are left out, as they are in logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from vowpal_wabbit_next import CBLabel, Example

from policies.actions import ActionSet
from policies.arrays import Float32Array, IntArray, UInt64Array
from policies.features import FeatureSpace, TermGroup, action_terms


@dataclass(frozen=True)
class _Rows:
    """Non-zero features of many rows in one namespace, in compressed rows."""

    start: list[int]
    indices: UInt64Array
    values: Float32Array


class _FeatureGroup(Protocol):
    """VW's feature group; its shipped annotations name scalar types where arrays are meant."""

    def push_many_features(self, indices: UInt64Array, values: Float32Array) -> None: ...

    def truncate_to(self, i: int) -> None: ...


class ExamplePool:
    """One reusable VW example per action of a catalogue."""

    def __init__(self, space: FeatureSpace, actions: ActionSet) -> None:
        self._dynamic: list[dict[str, TermGroup]] = []
        self._groups = []
        self.examples: list[Example] = []
        for terms in action_terms(space, actions):
            example = Example()
            dynamic, groups = {}, {}
            for letter, term in terms.items():
                fixed = term.column < 0
                group = cast(_FeatureGroup, example[letter])
                group.push_many_features(
                    term.indices[fixed].astype(np.uint64), term.coefficient[fixed].astype(np.float32)
                )
                if not fixed.all():
                    dynamic[letter] = TermGroup(term.indices[~fixed], term.column[~fixed], term.coefficient[~fixed])
                    groups[letter] = (group, int(fixed.sum()))
            example.set_label(CBLabel())
            self.examples.append(example)
            self._dynamic.append(dynamic)
            self._groups.append(groups)
        self._letters = sorted({letter for dynamic in self._dynamic for letter in dynamic})

    def fill(self, features: Float32Array, action: IntArray) -> Iterator[Example]:
        """Refill and yield, row by row, the example of that row's action; float32 (n, F) and int64 (n,).

        The example yielded is valid until the next one is asked for.
        """
        rows = {letter: self._compress(letter, features, action) for letter in self._letters}
        for i, a in enumerate(action.tolist()):
            for letter, (group, fixed) in self._groups[a].items():
                row = rows[letter]
                start, end = row.start[i], row.start[i + 1]
                group.truncate_to(fixed)
                group.push_many_features(row.indices[start:end], row.values[start:end])
            yield self.examples[a]

    def fill_all(self, features: Float32Array, action: IntArray) -> list[Example]:
        """One decision: the examples of the actions given, filled with the customer `features` (F,)."""
        repeated = np.broadcast_to(features, (len(action), len(features)))
        return list(self.fill(repeated, action))

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
