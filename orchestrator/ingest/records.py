"""Reading plain event records into columns, naming the record and field of anything wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from orchestrator.config.fact_types import EVENT_TYPES, NEEDS
from orchestrator.config.models import Attribute
from orchestrator.errors import EventError, Fault, suggestion
from orchestrator.ingest.vocabulary import NONE, EventVocabulary

FIELDS = (
    "event_id",
    "customer_id",
    "type",
    "timestamp",
    "channel",
    "category",
    "value",
    "quantity",
    "discount",
    "attributes",
)
CLOCK_TOLERANCE = 86400.0
MAX_ID = 200
LARGEST_AMOUNT = 1e12
AMOUNT_RULE = "a number from 0 to 1e12"


def read_records(
    schema: EventVocabulary, records: Sequence[Mapping[str, Any]], *, now: float | None
) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of `Events`, with `customer_id` in place of row numbers.

    Raises:
        EventError: names the record, the field, the value and the fix.
    """
    latest = math.inf if now is None else now + CLOCK_TOLERANCE
    names = {
        "type": EVENT_TYPES,
        "channel": schema.channels,
        "category": schema.categories,
    }
    codes = {kind: {name: i for i, name in enumerate(known)} for kind, known in names.items()}
    columns: dict[str, list[Any]] = {name: [] for name in FIELDS[:-1]}
    stated: list[tuple[int, int, float]] = []
    for i, record in enumerate(records):
        reader = _Record(i, record)
        for name in ("event_id", "customer_id"):
            columns[name].append(reader.identifier(name))
        columns["timestamp"].append(reader.timestamp(latest))
        for name, known in codes.items():
            columns[name].append(reader.code(name, known))
        for name in ("value", "quantity", "discount"):
            columns[name].append(reader.amount(name))
        stated += ((i, code, value) for code, value in reader.attributes(schema))
    arrays: dict[str, np.ndarray[Any, Any]] = {
        name: np.array(values, dtype=_dtype(name)) for name, values in columns.items()
    }
    arrays["attribute_event"] = np.array([event for event, _, _ in stated], dtype=np.int64)
    arrays["attribute"] = np.array([code for _, code, _ in stated], dtype=np.int64)
    arrays["attribute_value"] = np.array([value for _, _, value in stated], dtype=np.float64)
    return arrays


def attribute_code(schema: EventVocabulary, name: str, value: Any, *, row: int | None = None) -> tuple[int, float]:
    """Code of an attribute, and its value as a number: the index of a named value, or itself.

    Raises:
        EventError: no such attribute or value.
    """
    if name not in schema.attributes:
        raise EventError(Fault(f"attributes.{name}", "is not known", suggestion(name, schema.attributes), row=row))
    attribute, code = schema.attributes[name], list(schema.attributes).index(name)
    if attribute.values:
        if value not in attribute.values:
            hint = suggestion(value, attribute.values)
            raise EventError(Fault(f"attributes.{name}", "not known", hint, repr(value), row))
        return code, float(attribute.values.index(value))
    if not _is_amount(value):
        raise EventError(Fault(f"attributes.{name}", f"must be {AMOUNT_RULE}", value=repr(value), row=row))
    return code, float(value)


def is_known(attribute: Attribute, value: Any) -> bool:
    """Whether the attribute can have the value."""
    return value in attribute.values if attribute.values else _is_amount(value)


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST_AMOUNT


def _dtype(name: str) -> type:
    if name in ("event_id", "customer_id"):
        return object
    return np.int64 if name in ("type", "channel", "category") else np.float64


class _Record:
    """One record being read; every refusal names it."""

    def __init__(self, index: int, record: Mapping[str, Any]) -> None:
        self._index = index
        if not isinstance(record, Mapping):
            raise EventError(f"record {index}: is a {type(record).__name__}; give an object with {', '.join(FIELDS)}")
        for name in record:
            if name not in FIELDS:
                raise self._error(str(name), "is not a field", suggestion(name, FIELDS))
        self._record = record

    def _error(self, name: str, problem: str, fix: str = "", *, value: Any = None) -> EventError:
        return EventError(Fault(name, problem, fix, "" if value is None else repr(value), self._index))

    def _required(self, name: str) -> Any:
        if (value := self._record.get(name)) is None:
            raise self._error(name, "is missing", "every event needs it")
        return value

    def identifier(self, name: str) -> str:
        value = self._required(name)
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_ID:
            raise self._error(name, f"must be a text of 1 to {MAX_ID} characters", value=value)
        return value

    def timestamp(self, latest: float) -> float:
        value = self._required("timestamp")
        fix = "must be ISO 8601 with a zone, such as '2026-11-22T09:30:00+01:00'"
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise self._error("timestamp", fix, value=value) from None
        if moment.tzinfo is None:
            raise self._error("timestamp", "has no zone", f"it {fix}", value=value)
        if moment.timestamp() < 0:
            raise self._error("timestamp", "lies before 1970", "check the sender's clock", value=value)
        if moment.timestamp() > latest:
            raise self._error("timestamp", "lies more than a day ahead", "check the sender's clock", value=value)
        return moment.timestamp()

    def code(self, name: str, known: Mapping[str, int]) -> int:
        value = self._required(name) if name == "type" else self._record.get(name)
        if value is None:
            kind = self._record["type"]
            if kind in NEEDS[name]:
                raise self._error(name, "is missing", f"a {kind!r} event needs it ({suggestion('', known)})")
            return NONE
        if not isinstance(value, str) or value not in known:
            raise self._error(name, "not known", suggestion(value, known), value=value)
        return known[value]

    def amount(self, name: str) -> float:
        value = self._record.get(name)
        if value is None:
            kind = self._record["type"]
            if name == "value" and kind in NEEDS["value"]:
                raise self._error(name, "is missing", f"a {kind!r} event needs the money it moved")
            return 0.0
        if not _is_amount(value):
            raise self._error(name, f"must be {AMOUNT_RULE}", value=value)
        return float(value)

    def attributes(self, schema: EventVocabulary) -> list[tuple[int, float]]:
        given = self._record.get("attributes")
        if given is None:
            return []
        if not isinstance(given, Mapping):
            raise self._error("attributes", "must map names to values", value=given)
        return [attribute_code(schema, name, value, row=self._index) for name, value in given.items()]
