"""Whatever other systems send: a message is understood or kept, never lost, and never a crash."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from orchestrator.api.app import create_app
from orchestrator.errors import WireError
from orchestrator.ingest.cloudevents import CloudEvents, from_headers
from orchestrator.ingest.segment import KINDS, SegmentReader
from orchestrator.ingest.webhooks import Delivery
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.service import ServiceSettings

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
    found = READER.read(Delivery(messages, sent_at=sent_at), received=1_800_000_000.0)
    assert len(found.events) == len(found.bodies) == len(found.texts)
    assert found.events.timestamp.max(initial=0) <= 1_800_000_000
    kept = [json.loads(raw.payload) for raw in found.raw]
    assert [message for message in messages if message in kept] == kept
    for message in messages:
        alone = READER.read(Delivery([message], sent_at=sent_at), received=1_800_000_000.0)
        is_link_of_itself = isinstance(message, dict) and message.get("type") == "alias" and not alone.links
        assert len(alone.events) or alone.links or alone.raw or is_link_of_itself


# Also ids, times and names with characters that a database may refuse.
ODD = st.text(st.sampled_from("a1 \x00\x1f\x7fé\u2028\U0001f600"), max_size=4)
BETWEEN = st.sampled_from(["_", " ", "\x00", "\x1f", "\u2028"])
TRAITS = st.builds(
    "{}{}{}".format, st.sampled_from(["email", "favorite"]), BETWEEN, st.sampled_from(["subscribed", "store"])
)
ODD_IDENTIFY = {
    "type": st.just("identify"),
    "userId": ODD | st.just("u-1"),
    "traits": st.dictionaries(TRAITS, ODD | ANY),
}
ODD_TRACK = {"type": st.sampled_from(KINDS), "event": ODD, "properties": st.dictionaries(NAMES | ODD, ODD | ANY)}
ODD_IDS = dict.fromkeys(("messageId", "userId", "anonymousId", "previousId", "timestamp"), ODD)
STORED = st.one_of(
    MESSAGES | ANY,
    st.fixed_dictionaries(ODD_IDENTIFY, optional={"messageId": ODD, "anonymousId": ODD}),
    st.fixed_dictionaries(ODD_TRACK, optional=ODD_IDS),
)


@pytest.fixture
def storing(database_url):
    """`storing(messages)` answers them as a running service would."""
    settings = ServiceSettings(
        retailer=replace(RETAIL, serving=RETAIL.serving.model_copy(update={"database": database_url})),
        champion=lambda: None,
        load_policy=lambda _: None,
    )
    app = create_app(settings, dev=True)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        runner.run(stack.enter_async_context(app.router.lifespan_context(app)))
        transport = httpx2.ASGITransport(app=app)
        client = runner.run(
            stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://localhost"))
        )
        yield lambda messages: runner.run(client.post("/v1/batch", json={"batch": messages}))
        runner.run(stack.aclose())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(STORED, min_size=1, max_size=4))
@example(messages=[{"type": "identify", "userId": "u-1", "traits": {"email\x00subscribed": "yes"}}])
@example(messages=[{"type": "track", "userId": "u\x00", "anonymousId": "\x00", "messageId": "\x00", "event": "\x00"}])
def test_every_segment_message_is_stored(storing, messages):
    answer = storing(messages)
    assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text


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
