from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.ingest.records import FIELDS
from orchestrator.load import load_retailer
from orchestrator.profiles import EVENT_TYPES, EventError, Events, ProfileSchema, apply

CONFIGS = Path(__file__).parents[3] / "configs"
SCHEMA = ProfileSchema.from_retailer(load_retailer(CONFIGS / "retail", environment={}))
NOW = 1_795_341_600.0  # 2026-11-22T10:00:00Z


def record(**fields: Any) -> dict[str, Any]:
    """A purchase that is right, with some fields changed; none removes a field."""
    right = {
        "event_id": "e1",
        "customer_id": "ann",
        "type": "purchase",
        "timestamp": "2026-11-22T11:00:00+01:00",
        "channel": "store",
        "category": "home",
        "value": 80,
    }
    return {name: value for name, value in (right | fields).items() if value is not None}


def test_records_become_columns() -> None:
    sent = record(
        event_id="e2",
        customer_id="bob",
        type="sent",
        channel="email",
        category=None,
        value=None,
        timestamp="2026-11-22T10:00:00Z",
    )
    stated = record(event_id="e3", type="profile", attributes={"age": "65+", "store_distance": 4}, value=None)
    events = Events.from_records(SCHEMA, [record(), sent, stated], now=NOW)
    assert events.customers.tolist() == ["ann", "bob"]
    assert events.customer.tolist() == [0, 1, 0]
    assert events.timestamp.tolist() == [NOW] * 3
    assert [EVENT_TYPES[code] for code in events.type] == ["purchase", "sent", "profile"]
    assert [SCHEMA.channels[code] for code in events.channel[:2]] == ["store", "email"]
    assert events.category[1] == -1
    assert events.value.tolist() == [80.0, 0.0, 0.0]
    assert events.attribute_event.tolist() == [2, 2]
    assert events.attribute_value.tolist() == [5.0, 4.0]


def test_no_records_are_no_events() -> None:
    assert len(Events.from_records(SCHEMA, [])) == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"event_id": None}, "event_id is missing"),
        ({"event_id": ""}, "event_id = '': must be a text"),
        ({"customer_id": 7}, "customer_id = 7: must be a text"),
        ({"customer_id": "x" * 201}, "1 to 200 characters"),
        ({"type": "purchas"}, "type = 'purchas': not known; did you mean 'purchase'"),
        ({"type": ["purchase"]}, r"type = \['purchase'\]: not known"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "yesterday"}, "timestamp = 'yesterday': must be ISO 8601 with a zone"),
        ({"timestamp": 1795341600}, "timestamp = 1795341600: must be ISO 8601"),
        ({"timestamp": "2026-11-22T10:00:00"}, "has no zone"),
        ({"timestamp": "2026-11-24T10:00:00Z"}, "more than a day ahead; check the sender's clock"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp = '0001-01-01.*lies before 1970"),
        ({"channel": "emial"}, "channel = 'emial': not known; did you mean 'email'"),
        ({"category": "hme"}, "category = 'hme': not known; did you mean 'home'"),
        ({"type": "sent", "channel": None}, "channel is missing; a 'sent' event needs it"),
        ({"type": "want", "category": None}, "category is missing; a 'want' event needs it"),
        ({"value": None}, "value is missing; a 'purchase' event needs the money it moved"),
        ({"value": -1}, "value = -1: must be a number from 0 to 1e12"),
        ({"value": 10**400}, "must be a number from 0 to 1e12"),
        ({"value": True}, "value = True: must be"),
        ({"value": float("nan")}, "value = nan: must be"),
        ({"discount": "10"}, "discount = '10': must be"),
        ({"quantity": float("inf")}, "quantity = inf: must be"),
        ({"valeu": 3}, "valeu is not a field; did you mean 'value'"),
        ({"attributes": "old"}, "attributes = 'old': must map names to values"),
        ({"attributes": {"aeg": "65+"}}, "attributes.aeg is not known; did you mean 'age'"),
        ({"attributes": {"age": "65"}}, r"attributes.age = '65': not known; did you mean '65\+'"),
        ({"attributes": {"age": ["65+"]}}, r"attributes.age = \['65\+'\]: not known"),
        ({"attributes": {"store_distance": "far"}}, "attributes.store_distance = 'far': must be a number"),
    ],
)
def test_a_bad_record_is_refused_by_number_field_and_fix(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(EventError, match=f"^record 1: .*{message}"):
        Events.from_records(SCHEMA, [record(), record(**fields)], now=NOW)


def test_a_record_must_be_an_object() -> None:
    with pytest.raises(EventError, match="record 0: is a str"):
        Events.from_records(SCHEMA, ["purchase"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("timestamp", np.array([np.nan]), "timestamp must be a finite"),
        ("value", np.array([-1.0]), "value must be finite and not negative; wrong in 1 rows, first in row 0: .*-1"),
        ("type", np.array([99]), "type must be an index into EVENT_TYPES"),
        ("category", np.array([1, 2]), r"category has shape \(2,\), expected \(1,\)"),
        ("customer", np.array([-1]), "customer must be a row"),
    ],
)
def test_columns_that_do_not_fit_are_refused(column: str, value: Any, message: str) -> None:
    events = Events.from_records(SCHEMA, [record()])
    with pytest.raises(EventError, match=message):
        replace(events, **{column: value})


def test_whole_columns_name_an_unknown_type_or_attribute() -> None:
    ids, time = np.array(["a"], dtype=object), np.zeros(1)
    with pytest.raises(EventError, match=r"unknown event type 'viewed'; did you mean 'view'"):
        Events.from_columns(customer_id=ids, event_id=ids, timestamp=time, type="viewed")
    with pytest.raises(EventError, match=r"attributes\.age = '12'"):
        Events.from_columns(
            customer_id=ids, event_id=ids, timestamp=time, type="profile", attributes={"age": ["12"]}, schema=SCHEMA
        )


def test_taking_and_joining_keep_attributes_with_their_events() -> None:
    records = [
        record(event_id=f"e{i}", customer_id=f"c{i}", type="profile", attributes={"store_distance": i})
        for i in range(4)
    ]
    events = Events.from_records(SCHEMA, records)
    part = events.take(np.array([3, 1, 1]))
    assert part.event_id[part.attribute_event].tolist() == ["e3", "e1", "e1"]
    assert part.attribute_value.tolist() == [3.0, 1.0, 1.0]
    joined = Events.concat([events.take(np.array([True, False, False, True])), part])
    assert joined.event_id.tolist() == ["e0", "e3", "e3", "e1", "e1"]
    assert joined.attribute_value[joined.attribute_event == 1].tolist() == [3.0]
    assert joined.customers[joined.customer].tolist() == ["c0", "c3", "c3", "c1", "c1"]


def test_only_events_not_known_are_fresh() -> None:
    events = Events.from_records(SCHEMA, [record(event_id=name) for name in ("a", "b", "a", "c")])
    assert events.fresh({"b"}.__contains__).event_id.tolist() == ["a", "c"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(FIELDS), JSON)
def test_any_json_in_any_field_is_accepted_or_refused_by_name(name: str, value: object) -> None:
    try:
        events = Events.from_records(SCHEMA, [record() | {name: value}], now=NOW)
    except EventError as error:
        assert str(error).startswith("record 0: ")  # noqa: PT017 -- accepting is right too
    else:
        apply(SCHEMA, SCHEMA.empty(1), events)
