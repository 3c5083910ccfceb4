"""The feature space of a policy, and its compilation into one matrix per catalogue.

A Vowpal Wabbit contextual bandit with first-order features and customer x action interactions is, for
a fixed action, linear in the customer's features. Every VW weight index that can matter for action a
and column u is therefore known beforehand: `compile_plan` lists them once, `LinearPlan.matrix`
gathers the weights into `M (F, A)` and `b (A,)`, and scoring is `X @ M + b`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from policies.actions import ActionSet
from policies.arrays import Float32Array, Float64Array, IntArray, UInt32Array
from policies.errors import FeatureError
from policies.hashing import CONSTANT_INDEX, hash_feature, interact

CUSTOMER = "U"


class NotCompilableError(FeatureError):
    """The configuration is not linear in the customer's features; score with Vowpal Wabbit itself."""


class Column(NamedTuple):
    """One column of X: its VW namespace and feature name."""

    namespace: str
    name: str


@dataclass(frozen=True)
class FeatureSpace:
    """How columns, action features and pair look-ups become VW features.

    Attributes:
        columns: the F columns of X.
        interactions: pairs of namespace letters, VW's `-q`; by default customer x action. Longer ones work, but
            VW itself scores them.
        ignore_linear: letters whose first-order terms are left out, VW's `--ignore_linear`. The
            customer's own terms shift all actions alike, so they cannot change a choice; leaving them
            out keeps one action's feedback from moving the others' scores.
        constant: whether VW's constant feature is used (VW's `--noconstant` if not).
        bits: size of the weight table, VW's `-b`.
    """

    columns: tuple[Column, ...]
    interactions: tuple[str, ...] = (f"{CUSTOMER}A",)
    ignore_linear: str = CUSTOMER
    constant: bool = True
    bits: int = 18

    def __post_init__(self) -> None:
        same = ["".join(sorted(pair)) for pair in self.interactions]
        if twice := [pair for pair, key in zip(self.interactions, same, strict=True) if same.count(key) > 1]:
            raise FeatureError(f"interactions {', '.join(twice)} are the same; VW uses one of them, so name it once")

    @classmethod
    def of_customer(cls, columns: tuple[str, ...], **settings: Any) -> FeatureSpace:
        """A space whose columns all describe the customer and the moment (namespace `U`)."""
        return cls(columns=tuple(Column(CUSTOMER, c) for c in columns), **settings)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the F columns."""
        return tuple(c.name for c in self.columns)

    def vw_args(self) -> list[str]:
        """The part of VW's command line this space stands for."""
        args = ["-b", str(self.bits)]
        for pair in self.interactions:
            args += ["-q" if len(pair) == 2 else "--interactions", pair]
        for letter in self.ignore_linear:
            args += ["--ignore_linear", letter]
        return args if self.constant else [*args, "--noconstant"]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form, read back by `from_json`."""
        return {
            "columns": [list(c) for c in self.columns],
            "interactions": list(self.interactions),
            "ignore_linear": self.ignore_linear,
            "constant": self.constant,
            "bits": self.bits,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FeatureSpace:
        """Rebuild from `to_json`."""
        return cls(
            columns=tuple(Column(*c) for c in data["columns"]),
            interactions=tuple(data["interactions"]),
            ignore_linear=data["ignore_linear"],
            constant=data["constant"],
            bits=data["bits"],
        )


class TermGroup(NamedTuple):
    """Features of one namespace letter of one action: `value = coefficient * (X[column] or 1 if column < 0)`."""

    indices: UInt32Array
    column: IntArray
    coefficient: Float64Array


@dataclass(frozen=True)
class LinearPlan:
    """Which weight goes where: each entry adds `coefficient * weights[index]` to `M[column, action]`.

    Attributes:
        shape: (F, A).
        index: masked weight index per entry.
        column: row of M per entry; F stands for the intercept b.
        action: column of M per entry.
        coefficient: factor per entry.
    """

    shape: tuple[int, int]
    index: IntArray
    column: IntArray
    action: IntArray
    coefficient: Float64Array

    def matrix(self, weights: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Gather `M` float32 (F, A) and `b` float32 (A,) from VW's weight vector, shape (2**bits,)."""
        rows, actions = self.shape
        cells = self.column * actions + self.action
        values = weights[self.index].astype(np.float64) * self.coefficient
        sums = np.bincount(cells, weights=values, minlength=(rows + 1) * actions)
        table = sums.reshape(rows + 1, actions).astype(np.float32)
        return table[:rows], table[rows]


def action_terms(space: FeatureSpace, actions: ActionSet) -> list[dict[str, TermGroup]]:
    """Per action, its features grouped by namespace letter, shared columns included.

    Raises:
        FeatureError: a pair look-up names a column the space does not have, or a namespace has no ASCII letter
            to stand for it.
    """
    position = {name: i for i, name in enumerate(space.column_names)}
    shared: dict[str, list[tuple[int, int, float]]] = {}
    for i, column in enumerate(space.columns):
        shared.setdefault(namespace_letter(column.namespace), []).append((hash_feature(*column), i, 1.0))
    result = []
    for action_id, features, pairs in zip(actions.ids, actions.features, actions.pairs, strict=True):
        terms = {letter: list(entries) for letter, entries in shared.items()}
        for namespace, name, value in features:
            terms.setdefault(namespace_letter(namespace), []).append((hash_feature(namespace, name), -1, value))
        for namespace, name, source in pairs:
            if source not in position:
                raise FeatureError(
                    f"action {action_id!r}: pair feature {name!r} looks up column {source!r}, which the policy's "
                    "feature space does not have; train a policy with this catalogue's columns"
                )
            letter = namespace_letter(namespace)
            terms.setdefault(letter, []).append((hash_feature(namespace, name), position[source], 1.0))
        result.append({letter: _group(entries) for letter, entries in terms.items()})
    return result


def namespace_letter(namespace: str) -> str:
    """The first letter of a namespace, which stands for it in VW's interactions.

    Raises:
        FeatureError: it is no printable ASCII character; VW crashes on some of the others.
    """
    letter = namespace[:1]
    if not (letter.isascii() and letter.isprintable() and letter):
        raise FeatureError(f"namespace {namespace!r} must start with an ASCII letter or sign; rename it")
    return letter


def compile_plan(space: FeatureSpace, actions: ActionSet) -> LinearPlan:
    """List every weight that can matter for these actions.

    Raises:
        NotCompilableError: an interaction of two customer features, of a namespace with itself, of all
            namespaces (`::`) or of more than two makes the score non-linear in X.
    """
    for pair in space.interactions:
        if len(pair) != 2 or ":" in pair or pair[0] == pair[1]:
            raise NotCompilableError(f"interaction {pair!r} cannot be compiled")
    parts: list[tuple[UInt32Array, IntArray, IntArray, Float64Array]] = []
    intercept = len(space.columns)

    def add(index: UInt32Array, column: IntArray, action: int, coefficient: Float64Array) -> None:
        parts.append((index, np.where(column < 0, intercept, column), np.full(len(index), action), coefficient))

    for a, terms in enumerate(action_terms(space, actions)):
        if space.constant:
            add(np.array([CONSTANT_INDEX], np.uint32), np.array([-1]), a, np.ones(1))
        for letter, group in terms.items():
            if letter not in space.ignore_linear:
                add(group.indices, group.column, a, group.coefficient)
        for pair in space.interactions:
            first, second = pair[0], pair[1]
            if first in terms and second in terms:
                crossed = _cross(terms[first], terms[second], pair=pair)
                add(crossed.indices, crossed.column, a, crossed.coefficient)
    index, column, action, coefficient = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return LinearPlan(
        shape=(len(space.columns), len(actions)),
        index=(index & np.uint32((1 << space.bits) - 1)).astype(np.int64),
        column=column.astype(np.int64),
        action=action.astype(np.int64),
        coefficient=coefficient,
    )


def _cross(first: TermGroup, second: TermGroup, *, pair: str) -> TermGroup:
    if (first.column >= 0).any() and (second.column >= 0).any():
        raise NotCompilableError(f"interaction {pair!r} multiplies two customer features")
    return TermGroup(
        indices=interact(first.indices[:, None], second.indices[None, :]).ravel(),
        column=np.maximum(first.column[:, None], second.column[None, :]).ravel(),
        coefficient=(first.coefficient[:, None] * second.coefficient[None, :]).ravel(),
    )


def _group(entries: list[tuple[int, int, float]]) -> TermGroup:
    index, column, coefficient = zip(*entries, strict=True)
    return TermGroup(
        indices=np.array(index, dtype=np.uint32),
        column=np.array(column, dtype=np.int64),
        coefficient=np.array(coefficient, dtype=np.float64),
    )
