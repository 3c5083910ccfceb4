"""Whatever other systems send: a message is understood or kept, never lost, and never a crash."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import load_retailer
from orchestrator.errors import WireError
from orchestrator.profiles import ProfileSchema
from orchestrator.wire.cloudevents import CloudEvents, from_headers
from orchestrator.wire.segment import KINDS, SegmentReader

RETAIL = load_retailer(Path(__file__).parents[3] / "configs" / "retail", environment={})
READER = SegmentReader(RETAIL, ProfileSchema.from_retailer(RETAIL))

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["home", "Order Completed", "Cart Viewed", "65+", "Europe/Berlin", "12.5", "nan", "-inf", "u\x00"]),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-01T00:00:00Z", "2026-11-01"]),
)
NAMES = st.sampled_from(
    [
        "type",
        "event",
        "messageId",
        "userId",
        "anonymousId",
        "previousId",
        "timestamp",
        "sentAt",
        "originalTimestamp",
        "context",
        "traits",
        "properties",
        "products",
        "category",
        "sku",
        "price",
        "quantity",
        "discount",
        "subtotal",
        "total",
        "revenue",
        "shipping",
        "tax",
        "timezone",
        "age",
        "store_distance",
        "email_subscribed",
        "favoriteStore",
        "id",
        "source",
        "subject",
        "time",
        "data",
        "data_base64",
        "specversion",
        "datacontenttype",
    ]
)
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=12
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | ANY, "userId": st.sampled_from(["u-1", None]) | ANY},
    optional={
        "event": st.sampled_from(["Order Completed", "Product Added", "Product Viewed", "Application Opened"]) | ANY,
        "anonymousId": ANY,
        "previousId": ANY,
        "timestamp": ANY,
        "sentAt": ANY,
        "messageId": ANY,
        "context": ANY,
        "traits": ANY,
        "properties": ANY,
    },
)


@settings(max_examples=300)
@given(st.lists(MESSAGES | ANY, max_size=4), ANY)
def test_every_segment_message_is_an_event_a_link_or_kept_raw(messages, sent_at):
    found = READER.read(messages, received=1_800_000_000.0, sent_at=sent_at)
    assert len(found.events) == len(found.bodies) == len(found.texts)
    assert found.events.timestamp.max(initial=0) <= 1_800_000_000
    kept = [json.loads(raw.payload) for raw in found.raw]
    assert [message for message in messages if message in kept] == kept
    for message in messages:
        alone = READER.read([message], received=1_800_000_000.0, sent_at=sent_at)
        is_link_of_itself = isinstance(message, dict) and message.get("type") == "alias" and not alone.links
        assert len(alone.events) or alone.links or alone.raw or is_link_of_itself


@settings(max_examples=200)
@given(st.dictionaries(NAMES, ANY, max_size=8) | ANY, st.sampled_from(["structured", "batch", "binary"]))
def test_every_cloud_event_is_a_record_or_names_its_faults(event, mode):
    events = CloudEvents([event], mode)
    with contextlib.suppress(WireError):
        events.records({})
    for ours in ("event_id", "customer_id", "type", "timestamp", "category", "[0].attributes.age", "body", "[7].type"):
        assert events.field(ours)


@given(
    st.lists(st.tuples(NAMES.map("ce-{}".format), st.text(st.characters(max_codepoint=255), max_size=9))), st.binary()
)
def test_every_header_and_body_is_read_or_refused_by_name(headers, body):
    with contextlib.suppress(WireError):
        assert isinstance(from_headers(headers, body), dict)
