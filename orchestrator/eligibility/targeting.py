"""Who each action is for: `targeting` of catalog.yaml over the columns of customers.

Names are the features as policies see them (`buy.home`, `email.fatigue`, `recency.purchase`: decayed, on scales around
1), and what is more useful as it is:

- a numeric attribute is the number that was stated, in its own unit: `store_distance < 5`; unknown where it never was;
- `days_since.purchase`, `.visit`, `.store_visit`, `.response`: days since it last happened, infinite if it never did;
- a stated choice is compared with its values: `age == "25-34"`; so are `placement`, `device`, `daypart` and `page` of
  the request: `device == "mobile"`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from orchestrator.config import Retailer
from orchestrator.config.catalogue import Action
from orchestrator.eligibility.expressions import Expression, Names
from orchestrator.profiles import ContextSchema, ProfileSchema
from orchestrator.profiles.schema import AS_OF, LAST
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray, IntArray

DAY = 86400.0


class Targeting:
    """The conditions of one retailer's catalogue.

    Attributes:
        expressions: the E distinct conditions as written, in the order of the actions that first have them.
    """

    def __init__(self, retailer: Retailer, schema: ProfileSchema) -> None:
        names = target_names(retailer)
        self._schema = schema
        columns = schema.columns + ContextSchema.from_retailer(retailer).columns
        self._position = {name: i for i, name in enumerate(columns)}
        self.expressions = distinct_targeting(retailer.catalogue.actions)
        self._parsed = tuple(Expression.parse(text, names=names) for text in self.expressions)

    def holds(
        self,
        *,
        features: Float32Array,
        states: Float64Array,
        now: float | Float64Array,
        rows: IntArray | None = None,
    ) -> BoolArray:
        """Which conditions hold for whom; bool (n, E), in the order of `expressions`.

        Args:
            features: float32 (n, F), the columns of the decision core: customer state, then context.
            states: customer states, float64 (n, S).
            now: seconds since 1970, one or (n,).
            rows: int64 (n,), whose states; then `states` may hold other customers too. None for all.
        """
        n = len(features)
        held = np.empty((len(self.expressions), n), dtype=bool)
        kept: dict[str, FloatArray] = {}

        def column(name: str) -> FloatArray:
            if name not in kept:
                raw = self._raw(name, states, now, rows)
                # Strided through wide rows once, not once per condition.
                kept[name] = np.ascontiguousarray(features[:, self._position[name]]) if raw is None else raw
            return kept[name]

        for expression, of_expression in zip(self._parsed, held, strict=True):
            of_expression[:] = expression(column, n=n)
        return held.T

    def _raw(
        self, name: str, states: Float64Array, now: float | Float64Array, rows: IntArray | None
    ) -> Float64Array | None:
        """What is read from states and not from features; none for a feature."""

        def of_state(position: int) -> Float64Array:
            return states[:, position] if rows is None else states[rows, position]

        first, _, last = name.partition(".")
        if first == "days_since":
            at = of_state(self._schema.slot("last").start + LAST.index(last))
            moment = np.maximum(now, of_state(AS_OF))
            return (moment - at) / DAY
        if name in _numeric(self._schema):
            code = list(self._schema.attributes).index(name)
            stated = of_state(self._schema.slot("attribute_times").start + code) > -np.inf
            return np.where(stated, of_state(self._schema.slot("attribute_values").start + code), np.nan)
        return None


def distinct_targeting(actions: Sequence[Action]) -> tuple[str, ...]:
    """The different conditions of actions, in order."""
    return tuple(dict.fromkeys(action.targeting for action in actions if action.targeting))


def target_names(retailer: Retailer) -> Names:
    """What conditions of a retailer's catalogue may name."""
    schema = ProfileSchema.from_retailer(retailer)
    choices: dict[str, tuple[str, ...]] = {}
    numbers = {f"days_since.{what}" for what in LAST}
    for column in schema.columns + ContextSchema.from_retailer(retailer).columns:
        if chosen := re.fullmatch("([^=]+)=(.*)", column):
            choices[chosen[1]] = (*choices.get(chosen[1], ()), chosen[2])
        else:
            numbers.add(column)
    return Names(numbers=frozenset(numbers), choices=choices)


def _numeric(schema: ProfileSchema) -> frozenset[str]:
    return frozenset(name for name, attribute in schema.attributes.items() if not attribute.values)
