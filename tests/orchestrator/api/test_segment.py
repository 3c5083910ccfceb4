"""What Segment's SDKs send: /v1/batch and the single messages."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from orchestrator.config import event_names
from orchestrator.log.facts import count_raw_events
from orchestrator.storage.database import open_database

JSON = {"content-type": "application/json"}
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()


def track(name, identity="m-1", user="c-1", **more):
    return {"type": "track", "messageId": identity, "userId": user, "anonymousId": None, "event": name, **more}


def identify(traits, identity="i-1", user="c-1", **more):
    return {"type": "identify", "messageId": identity, "userId": user, "traits": traits, **more}


async def send(served, *messages, **more):
    answer = await served.client.post("/v1/batch", json={"batch": list(messages), **more})
    assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text


async def features(served, customer="c-1"):
    made = await served.decide(customer)
    return (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()["features"]


def told(served, *columns):
    """The events kept, by columns of the log or fields of the body."""
    rows = [{**json.loads(row["body"]), **row} for row in served.rows("events")]
    return [tuple(row.get(column) for column in columns) for row in rows]


def raw(served):
    return [(row["name"], row["reason"]) for row in served.rows("raw_events")]


def test_an_identify_and_a_track_are_in_the_next_decision(ask):
    async def test(served):
        viewed = track("Product Viewed", properties={"category": "Clothing", "sku": "A-1", "price": 19})
        await send(served, identify({"age": "25-34", "email": "a@example.org"}), viewed)
        known = await features(served)
        assert known["view.apparel"] > 0
        assert known["age=25-34"] == 1
        # What has no use here is not kept.
        assert "example.org" not in str(served.rows("events"))
        assert raw(served) == []

    ask(test)


def test_a_message_counts_once_however_often_it_is_sent(ask):
    async def test(served):
        order = track(
            "Order Completed", properties={"products": [{"category": c, "price": 1} for c in ("home", "wine")]}
        )
        odd = track("Song Played", "m-2")
        for _ in range(2):
            await send(served, order, odd, odd)
        assert told(served, "event_id", "category") == [("m-1/0", "home"), ("m-1/1", None)]
        assert raw(served) == [("Song Played", "no such name in events.yaml")]

    ask(test)


ORDER = {  # the example of Segment's own page, in categories of ours
    "total": 27.5,
    "subtotal": 22.5,
    "revenue": 25,
    "shipping": 3,
    "tax": 2,
    "discount": 2.5,
    "products": [
        {"sku": "45790-32", "price": 19, "quantity": 1, "category": "home"},
        {"sku": "46493-32", "price": "3", "quantity": 2, "category": "Beauty"},
    ],
}
THREE = [
    {"price": 40, "quantity": 1, "discount": 10, "category": "Home/Lamps"},
    {"price": 10, "quantity": 3, "category": "Home > Towels"},
    {"price": 40, "category": "unheard of"},
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("Order Completed", ORDER, [("home", 17.1, 1, 1.9), ("beauty", 5.4, 2, 0.6)]),
        ("Order Completed", ORDER | {"subtotal": None}, [("home", 17.1, 1, 1.9), ("beauty", 5.4, 2, 0.6)]),
        ("Completed Order", {"revenue": 30}, [(None, 30, 1, 0)]),
        ("order completed", {"products": THREE}, [("home", 60, 4, 10), (None, 40, 1, 0)]),
        ("Order Completed", {"products": THREE, "discount": 20}, [("home", 54, 4, 16), (None, 36, 1, 4)]),
        ("Order Refunded", {"total": -30, "products": [{"sku": "x"}]}, [(None, 30, 1, 0)]),
        ("Order Completed", {"total": 9, "products": [{"category": "home"}, {"category": "beauty"}]}, None),
    ],
)
def test_an_order_is_one_event_per_category_with_what_was_paid(ask, name, properties, expected):
    if expected is None:  # no prices: in equal parts
        expected = [("home", 4.5, 1, 0), ("beauty", 4.5, 1, 0)]

    async def test(served):
        await send(served, track(name, properties=properties))
        kept = told(served, "category", "value", "quantity", "discount")
        assert [row[0] for row in kept] == [row[0] for row in expected]
        assert [row[1:] for row in kept] == [pytest.approx(row[1:]) for row in expected]
        assert raw(served) == []

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("Product List Viewed", {"category": "home"}, [("view", "home", None)]),
        (
            "Product List Viewed",
            {"products": [{"category": "home"}, {"category": "Furniture"}]},
            [("view", "home", None)],
        ),
        ("Product List Viewed", {"products": [{"category": "home"}, {"category": "beauty"}]}, [("view", None, None)]),
        ("Products Searched", {"query": "blue roses"}, [("view", None, None)]),
        ("Product Added", {"category": "home", "quantity": 2}, [("cart_add", "home", None)]),
        ("Cart Viewed", {"products": THREE[:2]}, [("cart_add", "home", None)]),
        ("Product Added to Wishlist", {"category": "apparel"}, [("want", "apparel", None)]),
        ("Email Link Clicked", {"link_id": "1"}, [("click", None, "email")]),
        ("Unsubscribed", {}, [("unsubscribe", None, "email")]),
        ("Promotion Clicked", {}, [("click", None, "site")]),
        ("Application Opened", {}, [("visit", None, None)]),
    ],
)
def test_names_of_the_spec_mean_our_types(ask, name, properties, expected):
    async def test(served):
        await send(served, track(name, properties=properties))
        assert told(served, "type", "category", "channel") == expected
        assert raw(served) == []

    ask(test)


@pytest.mark.parametrize(
    ("message", "name", "reason"),
    [
        (track("Song Played"), "Song Played", "events.yaml"),
        (track(None), "", "events.yaml"),
        (track("Product Added", properties={"category": "Toys"}), "Product Added", "category is missing"),
        (track("Order Completed", properties={"order_id": "1"}), "Order Completed", "value is missing"),
        (track("Order Completed", properties={"total": "cheap"}), "Order Completed", "total = 'cheap'"),
        (track("Order Completed", properties={"products": [{}] * 501, "total": 1}), "Order Completed", "more than 500"),
        (track("Product Viewed", properties=[1]), "Product Viewed", "properties is no JSON object"),
        (track("Product Viewed", user=None), "Product Viewed", "neither userId nor anonymousId"),
        (track("Product Viewed", user="x" * 300), "Product Viewed", "userId"),
        (track("Product Viewed", user="a\u0000b"), "Product Viewed", "userId"),
        (track("Product Viewed", user={"id": 1}), "Product Viewed", "userId"),
        (track("Product Viewed", timestamp="yesterday"), "Product Viewed", "timestamp = 'yesterday'"),
        (track("Product Viewed", timestamp="1950-01-01T00:00:00Z"), "Product Viewed", "before 1970"),
        ({"type": "group", "userId": "c-1", "groupId": "g"}, "group", "no use"),
        ({"type": "screem", "userId": "c-1"}, "screem", "none of identify, track"),
        ({}, "", "none of"),
        (7, "", "no JSON object"),
        ([], "", "no JSON object"),
        (None, "", "no JSON object"),
        (identify({"age": "26"}), "identify", "traits.age"),
        (identify({"email_subscribed": "yes"}), "identify", "true or false"),
        (identify({"timezone": "Mars/Base"}), "identify", "no such time zone"),
        (identify([]), "identify", "traits is no JSON object"),
        (identify({"email\u0000subscribed": "yes"}), "identify", "traits.email subscribed"),
        (track("Song\u0000Played"), "Song Played", "events.yaml"),
        (track("Product Viewed", "m\u0000", user="\u0000"), "Product Viewed", "userId"),
        (track("Order Completed", properties={"total": "\u0000"}), "Order Completed", "total ="),
        (track("Product Added", properties={"category": "\u0000"}), "Product Added", "category is missing"),
        (identify({"favoriteStore": "\u0000", "timezone": "\u0000"}), "identify", "printable text"),
        ({"type": "\u0000", "userId": "c-1"}, " ", "none of"),
    ],
)
def test_an_odd_message_is_kept_raw_and_the_rest_of_its_batch_counts(ask, message, name, reason):
    async def test(served):
        await send(served, track("Product Viewed", "m-0"), message, track("Product Viewed", "m-9"))
        ids = [row["event_id"] for row in served.rows("events")]
        assert [i for i in ids if i != "i-1"] == ["m-0", "m-9"]
        (kept,) = served.rows("raw_events")
        assert (kept["name"], kept["source"], json.loads(kept["payload"])) == (name, "segment", message)
        assert reason in kept["reason"]

    ask(test)


def test_of_a_message_only_the_odd_part_is_left_out(ask):
    async def test(served):
        cart = {"products": [{"category": "home"}, {"category": "Toys"}]}
        await send(served, track("Cart Viewed", properties=cart), identify({"age": "26", "email_subscribed": True}))
        assert told(served, "type", "category") == [("cart_add", "home"), ("profile", None), ("subscribe", None)]
        assert [name for name, _ in raw(served)] == ["Cart Viewed", "identify"]

    ask(test)


def test_messages_not_understood_are_counted_by_name(ask, retailer):
    async def test(served):
        for turn in range(2):
            await send(served, *(track(name, f"{name}-{i}") for name, i in [("B", 0), ("A", turn), ("C", turn)]))

    ask(test)
    engine = open_database(retailer.serving.database)
    with engine.connect() as connection:
        counts = count_raw_events(connection)
    engine.dispose()
    assert [(c.source, c.name, c.messages) for c in counts] == [
        ("segment", "A", 2),
        ("segment", "C", 2),
        ("segment", "B", 1),
    ]


def test_traits_say_attributes_texts_and_consent(serving, retailer):
    profiles = retailer.profiles.model_copy(update={"content_fields": ("first_name",)})

    async def test():
        async with serving(of=replace(retailer, profiles=profiles)) as served:
            traits = {"firstName": "Ada", "age": "65+", "favoriteStore": "riverside", "emailSubscribed": True}
            context = {"timezone": "Europe/Berlin"}
            await send(served, identify(traits, context=context))
            stated = {row["name"]: row["value"] for row in served.rows("stated")}
            assert stated == {"first_name": "Ada", "home_store": "riverside", "timezone": "Europe/Berlin"}
            assert (await features(served))["email.consent"] == 1
            await send(served, identify({"email_subscribed": False}, "i-2"))
            assert (await features(served))["email.consent"] == 0
            assert raw(served) == []

    asyncio.run(test())


def test_a_customer_without_a_name_is_known_by_the_anonymous_id_and_numbers_are_texts(ask):
    async def test(served):
        await send(
            served, track("Product Viewed", user=None, anonymousId="an-1"), track("Product Viewed", "m-2", user=1042)
        )
        assert told(served, "customer_id") == [("an-1",), ("1042",)]

    ask(test)


def test_pages_within_half_an_hour_are_one_visit(ask):
    def page(minute, kind="page"):
        at = datetime.fromtimestamp(NOON + 60 * minute, UTC).isoformat()
        return {"type": kind, "userId": "c-1", "messageId": f"p-{minute}", "timestamp": at}

    async def test(served):
        await send(served, page(29), page(1), page(5, "screen"), page(31))
        await send(served, page(2))
        assert sorted(told(served, "type", "timestamp")) == [("visit", NOON), ("visit", NOON + 1800)]

    ask(test)


def test_each_user_of_a_device_visits_and_a_customer_visits_once_with_and_without_it(ask):
    def page(identity, user, device, kind="page"):
        at = datetime.fromtimestamp(NOON + 60, UTC).isoformat()
        return {"type": kind, "userId": user, "anonymousId": device, "messageId": identity, "timestamp": at}

    async def test(served):
        await send(served, page("1", "p1", "dev-9"), page("2", "p2", "dev-9"))
        await send(served, page("3", "p1", None), page("4", 7, "dev-9"), page("5", "7", None, "screen"))
        assert sorted(told(served, "type", "customer_id")) == [("visit", "7"), ("visit", "p1"), ("visit", "p2")]
        await features(served, "p2")
        await send(served, page("6", None, "dev-10"), page("7", None, "dev-10"))
        assert len(served.rows("events")) == 4

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("times", "sent_at", "happened"),
    [
        ({}, None, 0),
        ({"timestamp": -60}, None, -60),
        ({"timestamp": -60}, 0, -60),
        # A clock an hour behind, and one an hour ahead.
        ({"timestamp": -3660}, -3600, -60),
        ({"timestamp": 3540}, 3600, -60),
        ({"timestamp": 3540, "sentAt": 3600}, -9000, -60),
        # Nothing happens after it was received.
        ({"timestamp": 7200}, None, 0),
        ({"timestamp": 60}, 0, 0),
        # Corrected by Segment already.
        ({"timestamp": -60, "originalTimestamp": -3660, "sentAt": -3600}, None, -60),
    ],
)
def test_a_wrong_clock_is_corrected_by_when_it_says_the_message_was_sent(serving, times, sent_at, happened):
    def iso(seconds):
        return datetime.fromtimestamp(NOON + seconds, UTC).isoformat().replace("+00:00", "Z")

    async def test():
        async with serving(clock=lambda: NOON) as served:
            message = track("Product Viewed", **{name: iso(at) for name, at in times.items()})
            await send(served, message, sentAt=None if sent_at is None else iso(sent_at))
            assert told(served, "timestamp") == [(pytest.approx(NOON + happened, abs=1e-3),)]

    asyncio.run(test())


@pytest.mark.parametrize("kind", ["identify", "track", "page", "screen", "group", "alias"])
def test_each_kind_has_an_address_of_its_own(ask, kind):
    async def test(served):
        body = {"messageId": "m", "userId": "c-1", "event": "Product Viewed", "previousId": "c-0"}
        answer = await served.client.post(f"/v1/{kind}", json=body)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        kept = [row["type"] for row in served.rows("events")]
        assert kept == {"identify": ["profile"], "track": ["view"], "page": ["visit"], "screen": ["visit"]}.get(
            kind, []
        )

    ask(test)


LINKED = ("5e8f7a1c-4a51-4c4e-9a5b-2f6d1f0c7b3a", "c-1042")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "types", "links"),
    [
        ("identify", ["profile", "subscribe"], [LINKED]),
        ("track", ["view"], []),
        ("page", ["visit"], []),
        ("screen", ["visit"], []),
        ("group", [], []),
        ("alias", [], [LINKED]),
    ],
)
def test_the_documented_example_of_each_kind_does_what_the_kind_is_for(ask, kind, types, links):
    async def test(served):
        document = (await served.client.get("/openapi.json")).json()
        body = document["paths"][f"/v1/{kind}"]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert body["type"] == kind
        answer = await served.client.post(f"/v1/{kind}", json=body)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert [row["type"] for row in served.rows("events")] == types
        assert [(row["alias_id"], row["customer_id"]) for row in served.rows("identities")] == links
        assert [name for name, _ in raw(served)] == (["group"] if kind == "group" else [])

    ask(test)


def test_import_is_a_batch(ask):
    async def test(served):
        body = {"batch": [track("Product Viewed", timestamp="2020-01-01T00:00:00Z")]}
        assert (await served.client.post("/v1/import", json=body)).json() == {"success": True}
        assert len(served.rows("events")) == 1

    ask(test)


HEADERS = [
    {"content-type": "application/json", "authorization": "Basic a2V5Og=="},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "text/plain;charset=UTF-8"},
    {"content-type": ""},
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("headers", HEADERS)
def test_json_is_read_whatever_its_media_type_also_packed(ask, headers, packed):
    async def test(served):
        body = json.dumps({"batch": [track("Product Viewed")], "writeKey": "key"}).encode()
        if packed:
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body[:20]) + gzip.compress(body[20:])
        answer = await served.client.post("/v1/batch", content=body, headers=headers)
        headers.pop("content-encoding", None)
        assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text
        assert len(served.rows("events")) == 1

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b'{"batch": [NaN]}', {}, 400),
        (b"[]", {}, 422),
        (b"{}", {}, 422),
        (b'{"batch": {}}', {}, 422),
        (b'{"batch": [' + b"0," * 5001 + b"0]}", {}, 413),
        (b" " * 1_100_000, {}, 413),
        (gzip.compress(b" " * 20_000_000, 9, mtime=0), {"content-encoding": "gzip"}, 413),
        (gzip.compress(b" " * 600_000, mtime=0) * 2, {"content-encoding": "gzip"}, 413),
        (b"not packed", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-9], {"content-encoding": "gzip"}, 400),
        (b"{}", {"content-encoding": "br"}, 415),
    ],
    ids=range(13),
)
def test_a_body_that_cannot_be_read_is_refused_as_a_problem(ask, content, headers, status):
    async def test(served):
        answer = await served.client.post("/v1/batch", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert served.rows("events") == served.rows("raw_events") == []

    ask(test)


def test_the_names_shown_in_the_shipped_configuration_are_those_built_in(retailer):
    assert retailer.events.tracks == event_names.DEFAULT_TRACKS
    text = (retailer.directory / "events.yaml").read_text()
    assert set(yaml.safe_load(text)) == set(event_names.EventNames.model_fields)


def test_a_retailer_adds_changes_and_forgets_names(serving, retailer):
    tracks = {"Lookbook Opened": {"type": "view"}, "Promotion Clicked": None, "Unsubscribed": None}
    names = event_names.EventNames.model_validate({"tracks": tracks, "skus": {"G-*": "home"}})

    async def test():
        async with serving(of=replace(retailer, events=names)) as served:
            look = track("lookbook opened", properties={"sku": "G-7", "category": "Other"})
            await send(served, look, track("Promotion Clicked", "m-2"), track("Product Viewed", "m-3"))
            assert told(served, "type", "category") == [("view", "home"), ("view", None)]
            assert [name for name, _ in raw(served)] == ["Promotion Clicked"]

    asyncio.run(test())


def test_a_large_request_is_kept_piece_by_piece_and_odd_messages_leave_the_rest(ask):
    count = 1000
    goods = [{"category": name, "price": 2.0} for name in ("home", "pantry")]
    messages = [track("Order Completed", f"m-{i}", f"c-{i % 7}", properties={"products": goods}) for i in range(count)]
    for i in range(0, count, 100):
        messages[i] = track("Product Added", f"m-{i}", properties={"category": "Toys"})

    async def test(served):
        submitted, submit = [], served.app.state.service.record

        async def record(job, **more):
            submitted.append(len(job.events))
            return await submit(job, **more)

        served.app.state.service.record = record
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await send(served, *messages)
        ticking.cancel()
        # Others had their turns, and no transaction holds more than some of it.
        assert ticks > 100
        assert max(submitted) <= 2 * 100
        kept = served.rows("events")
        purchases = {f"m-{i}/{j}" for i in range(count) if i % 100 for j in range(2)}
        assert purchases <= {row["event_id"] for row in kept}
        assert {row["message_id"] for row in served.rows("raw_events")} == {f"m-{i}" for i in range(0, count, 100)}
        assert served.app.state.service.metrics.queue().bytes == 0

    ask(test)


def test_of_links_in_a_large_request_each_holds_for_what_follows_it(ask):
    views = [
        track("Product Viewed", f"v-{i}", None, anonymousId="an-1", properties={"category": "home"}) for i in range(150)
    ]
    alias = {"type": "alias", "messageId": "a", "previousId": "an-1", "userId": "c-1"}

    async def test(served):
        await send(
            served,
            *views,
            alias,
            track("Product Viewed", "last", None, anonymousId="an-1", properties={"category": "home"}),
        )
        assert {row["customer_id"] for row in served.rows("events")} == {"c-1"}
        assert len(served.rows("events")) == 151

    ask(test)
