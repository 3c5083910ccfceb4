"""Events: what customers did and what was done to them, in columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from orchestrator.config.fact_types import EVENT_TYPES
from orchestrator.errors import EventError, suggestion
from orchestrator.ingest.records import attribute_code, read_records
from orchestrator.ingest.vocabulary import NONE, EventVocabulary
from policies.arrays import BoolArray, Float64Array, IntArray, StrArray


def _no_codes() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class EventRows:
    """A batch of n events about customers who are rows of a table: what `apply` needs, and no ids.

    Attributes:
        customer: int64 (n,), row of each event's customer in the `states` that `apply` changes.
        timestamp: float64 (n,), seconds since 1970-01-01 UTC.
        type: int64 (n,), index into `EVENT_TYPES`.
        channel: int64 (n,), channel code, -1 for none.
        category: int64 (n,), category code, -1 for none.
        value: float64 (n,), money, >= 0 (of a return: what was paid back).
        quantity: float64 (n,), items, >= 0.
        discount: float64 (n,), money, >= 0.
        attribute_event: int64 (m,), which event states each attribute.
        attribute: int64 (m,), attribute code.
        attribute_value: float64 (m,), index of the value, or the number itself.

    Raises:
        EventError: columns that do not fit together, or a value out of range; the first wrong row is named.
    """

    customer: IntArray
    timestamp: Float64Array
    type: IntArray
    channel: IntArray
    category: IntArray
    value: Float64Array
    quantity: Float64Array
    discount: Float64Array
    attribute_event: IntArray = field(default_factory=_no_codes)
    attribute: IntArray = field(default_factory=_no_codes)
    attribute_value: Float64Array = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        n, m = len(self), len(self.attribute)
        for name in ("customer", "timestamp", "type", "channel", "category", "value", "quantity", "discount"):
            if (shape := getattr(self, name).shape) != (n,):
                raise EventError(f"{name} has shape {shape}, expected {(n,)}; give one value per event")
        for name in ("attribute_event", "attribute_value"):
            if (shape := getattr(self, name).shape) != (m,):
                raise EventError(f"{name} has shape {shape}, expected {(m,)}; give one value per attribute")
        _refuse("timestamp", ~np.isfinite(self.timestamp), self.timestamp, "a finite number of seconds")
        _refuse("type", (self.type < 0) | (self.type >= len(EVENT_TYPES)), self.type, "an index into EVENT_TYPES")
        for name in ("value", "quantity", "discount"):
            amounts = getattr(self, name)
            _refuse(name, ~((amounts >= 0) & (amounts < np.inf)), amounts, "finite and not negative")
        _refuse("customer", (self.customer < 0), self.customer, "a row")
        if m:
            _refuse("attribute_value", ~np.isfinite(self.attribute_value), self.attribute_value, "finite")
            stray = (self.attribute < 0) | (self.attribute_event < 0) | (self.attribute_event >= n)
            _refuse("attribute_event", stray, self.attribute_event, "the row of an event")

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True, kw_only=True)
class Events(EventRows):
    """A batch of n events about k customers, all with ids.

    Attributes:
        customers: str (k,), unique customer ids; `customer` is an index into it.
        event_id: str (n,), one per fact; the same fact sent again has the same id.
    """

    customers: StrArray
    event_id: StrArray

    def __post_init__(self) -> None:
        if self.event_id.shape != self.customer.shape:
            raise EventError(
                f"event_id has shape {self.event_id.shape}, expected {self.customer.shape}; give one per event"
            )
        super().__post_init__()

    @classmethod
    def from_columns(
        cls,
        *,
        customer_id: StrArray,
        event_id: StrArray,
        timestamp: Float64Array,
        type: str | IntArray,
        channel: int | IntArray = NONE,
        category: int | IntArray = NONE,
        value: float | Float64Array = 0.0,
        quantity: float | Float64Array = 0.0,
        discount: float | Float64Array = 0.0,
        attributes: Mapping[str, Sequence[str | float | None]] | None = None,
        schema: EventVocabulary | None = None,
    ) -> Events:
        """Events from whole columns; a single type, code or number is repeated for all n.

        `attributes` gives n values per name, none where nothing is stated; they need the `schema`.

        Raises:
            EventError: an unknown type or attribute value, or columns that do not fit together.
        """
        n = len(event_id)
        index: dict[str, int] = {}
        customer = _number(customer_id, index)
        code = type_code(type) if isinstance(type, str) else type

        def codes(given: int | IntArray) -> IntArray:
            return np.broadcast_to(np.asarray(given, dtype=np.int64), (n,))

        def money(given: float | Float64Array) -> Float64Array:
            return np.broadcast_to(np.asarray(given, dtype=np.float64), (n,))

        return cls(
            customers=_ids(index),
            customer=customer,
            event_id=event_id,
            timestamp=np.asarray(timestamp, dtype=np.float64),
            type=codes(code),
            channel=codes(channel),
            category=codes(category),
            value=money(value),
            quantity=money(quantity),
            discount=money(discount),
            **(_stated(attributes, schema) if attributes and schema else {}),
        )

    @classmethod
    def from_records(
        cls, schema: EventVocabulary, records: Sequence[Mapping[str, Any]], *, now: float | None = None
    ) -> Events:
        """Events from plain records, as channels send them.

        Fields: `event_id`, `customer_id`, `type` and `timestamp` (ISO 8601 with zone) always; `channel`,
        `category`, `value`, `quantity`, `discount` and `attributes` (name to value) where they apply.

        Args:
            schema: whose channels, categories and attributes the records name.
            records: one mapping per event.
            now: seconds since 1970; if given, events more than a day after it are refused, since one
                wrong clock would age everything else known about the customer.

        Raises:
            EventError: names the record, the field, the value and the fix.
        """
        columns = read_records(schema, records, now=now)
        index: dict[str, int] = {}
        customer = _number(columns.pop("customer_id"), index)
        return cls(customers=_ids(index), customer=customer, **columns)

    @classmethod
    def concat(cls, batches: Sequence[Events]) -> Events:
        """All events of several batches, in that order."""
        index: dict[str, int] = {}
        customer = np.concatenate([_number(b.customers, index)[b.customer] for b in batches])
        starts = np.cumsum([0, *(len(b) for b in batches)])
        rest = {
            name: np.concatenate([getattr(b, name) for b in batches])
            for name in (*_PER_EVENT, "attribute", "attribute_value")
        }
        attribute_event = np.concatenate([b.attribute_event + s for b, s in zip(batches, starts[:-1], strict=True)])
        return cls(customers=_ids(index), customer=customer, attribute_event=attribute_event, **rest)

    def of(self, customer_ids: Sequence[str]) -> Events:
        """The same events about these customers, one id per event."""
        index: dict[str, int] = {}
        customer = _number(np.array(customer_ids, dtype=object), index)
        return replace(self, customers=_ids(index), customer=customer)

    def take(self, rows: IntArray | BoolArray) -> Events:
        """The events at `rows` (an index or mask array), in that order; `customers` stays as it is."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        order = np.argsort(self.attribute_event, kind="stable")
        stated = np.bincount(self.attribute_event, minlength=len(self))
        first, count = (np.cumsum(stated) - stated)[chosen], stated[chosen]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        kept = order[np.repeat(first, count) + within]
        return replace(
            self,
            customer=self.customer[chosen],
            attribute_event=np.repeat(np.arange(len(chosen)), count),
            attribute=self.attribute[kept],
            attribute_value=self.attribute_value[kept],
            **{name: getattr(self, name)[chosen] for name in _PER_EVENT},
        )

    def fresh(self, is_known: Callable[[str], bool]) -> Events:
        """The events not known yet, each id once (its first in the batch)."""
        first: dict[str, int] = {}
        for i, event_id in enumerate(self.event_id):
            if event_id not in first and not is_known(event_id):
                first[event_id] = i
        if len(first) == len(self):
            return self
        return self.take(np.fromiter(first.values(), dtype=np.int64, count=len(first)))


_PER_EVENT = ("event_id", "timestamp", "type", "channel", "category", "value", "quantity", "discount")


def type_code(name: str) -> int:
    """Code of an event type.

    Raises:
        EventError: no such type.
    """
    if name not in EVENT_TYPES:
        raise EventError(f"unknown event type {name!r}; {suggestion(name, EVENT_TYPES)}")
    return EVENT_TYPES.index(name)


def _stated(attributes: Mapping[str, Sequence[str | float | None]], schema: EventVocabulary) -> dict[str, Any]:
    """The attribute columns of `Events`."""
    stated = [
        (event, *attribute_code(schema, name, value))
        for name, values in attributes.items()
        for event, value in enumerate(values)
        if value is not None
    ]
    event, code, value = zip(*stated, strict=True) if stated else ((), (), ())
    return {
        "attribute_event": np.array(event, dtype=np.int64),
        "attribute": np.array(code, dtype=np.int64),
        "attribute_value": np.array(value, dtype=np.float64),
    }


def _number(ids: StrArray, index: dict[str, int]) -> IntArray:
    """The number of each id in `index`, where new ids get the next numbers; int64 (n,)."""
    names = ids.tolist()
    for name in dict.fromkeys(names):
        index.setdefault(name, len(index))
    return np.fromiter(map(index.__getitem__, names), dtype=np.int64, count=len(names))


def _ids(index: dict[str, int]) -> StrArray:
    return np.array(list(index), dtype=object)


def _refuse(name: str, bad: BoolArray, values: Any, rule: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise EventError(f"{name} must be {rule}; wrong in {int(bad.sum())} rows, first in row {row}: {values[row]!r}")
