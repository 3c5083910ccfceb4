"""CloudEvents on POST /v1/events, in each content mode."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}
BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "7",
    "ce-source": "/shop",
    "ce-type": "com.example.view",
    "ce-subject": "c-1",
    "content-type": "application/json",
}


def cloud_event(identity="7", **more):
    event = {"specversion": "1.0", "id": identity, "source": "/shop", "type": "com.example.view", "subject": "c-1"}
    return {**event, "data": {"category": "pantry"}, **more}


def sent(served, events, headers):
    return served.client.post("/v1/events", content=json.dumps(events), headers=headers)


def test_what_the_projects_own_package_sends_is_understood_in_both_modes(ask):
    attributes = {"source": "urn:shop:öst", "type": "purchase", "subject": "c 1 %", "specversion": "1.0"}

    async def test(served):
        for i, write in enumerate((http.to_structured_event, http.to_binary_event)):
            event = CloudEvent(
                {**attributes, "id": f"n° {i}", "datacontenttype": "application/json", "traceparent": "00-1-2-01"},
                {"value": 12.5, "category": "home"},
            )
            message = write(event)
            answer = await served.client.post("/v1/events", content=message.body, headers=message.headers)
            assert answer.status_code == 200, answer.text
            assert answer.json()["items"] == [{"id": f"urn:shop:öst n° {i}", "status": "accepted"}]
        kept = served.rows("events")
        assert {(row["customer_id"], row["type"]) for row in kept} == {("c 1 %", "purchase")}
        assert {json.loads(row["body"])["value"] for row in kept} == {12.5}

    ask(test)


def test_all_modes_and_our_own_json_leave_the_same(ask):
    time = "2026-11-01T10:00:00Z"

    async def test(served):
        one = cloud_event(time=time)
        await sent(served, one, STRUCTURED)
        await sent(served, [cloud_event(time=time, subject="c-2", id="8")], BATCH)
        headers = {**BINARY, "ce-time": time, "ce-id": "9", "ce-subject": "c-3"}
        await sent(served, one["data"], headers)
        own = {"event_id": "e", "customer_id": "c-4", "type": "view", "category": "pantry", "timestamp": time}
        await served.client.post("/v1/events", json=own)
        assert len({row["state"] for row in served.rows("customers")}) == 1
        assert [row["customer_id"] for row in served.rows("customers")] == ["c-1", "c-2", "c-3", "c-4"]

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("events", "kind", "fix"),
    [
        (cloud_event(), "a CloudEvent,", "application/cloudevents+json"),
        ([cloud_event(), cloud_event("8")], "a list of CloudEvents,", "application/cloudevents-batch+json"),
    ],
)
def test_cloud_events_sent_as_plain_json_are_told_the_right_media_type(ask, events, kind, fix):
    async def test(served):
        answer = await sent(served, events, {"content-type": "application/json"})
        problem = answer.json()
        assert (answer.status_code, problem["fix"]) == (415, f"send Content-Type: {fix}")
        assert f"looks like {kind}" in problem["detail"]
        # As that, it is taken.
        assert (await sent(served, events, {"content-type": fix})).status_code == 200
        # What is wrong with an event of our own is told field by field, as ever.
        answer = await sent(served, {"event_id": "e", "specversions": "1.0"}, {"content-type": "application/json"})
        assert (answer.status_code, "specversions" in answer.text) == (422, True)

    ask(test)


def test_the_same_source_and_id_is_the_same_fact_also_within_a_batch(ask):
    async def test(served):
        first, other = cloud_event(), cloud_event(source="/store")
        answer = await sent(served, [first, first, other], BATCH)
        assert [item["status"] for item in answer.json()["items"]] == ["accepted", "duplicate", "accepted"]
        assert (await sent(served, first, STRUCTURED)).json()["duplicates"] == 1
        answer = await sent(served, cloud_event("x" * 500), STRUCTURED)
        assert answer.json()["accepted"] == 1
        assert (await sent(served, cloud_event("x" * 500), STRUCTURED)).json()["duplicates"] == 1
        assert (await sent(served, cloud_event("x" * 501), STRUCTURED)).json()["duplicates"] == 0

    ask(test)


def test_data_may_name_the_customer_and_may_be_base64(ask):
    async def test(served):
        event = cloud_event()
        del event["data"]
        data = {"customer_id": "c-9", "category": "home"}
        event["data_base64"] = base64.b64encode(json.dumps(data).encode()).decode()
        assert (await sent(served, event, STRUCTURED)).status_code == 200
        (row,) = served.rows("events")
        assert (row["customer_id"], json.loads(row["body"])["category"]) == ("c-9", "home")

    ask(test)


def test_an_event_without_data_and_an_empty_batch_are_fine(ask):
    async def test(served):
        headers = {**BINARY, "ce-type": "visit"}
        del headers["content-type"]
        answer = await served.client.post("/v1/events", headers=headers)
        assert answer.json()["accepted"] == 1, answer.text
        answer = await sent(served, [], BATCH)
        assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "duplicates": 0, "items": []})

    ask(test)


def test_a_type_of_another_system_is_named_in_the_configuration(serving, retailer):
    import asyncio

    names = retailer.events.model_copy(update={"cloudevents": {"com.shop.order.placed.v2": "purchase"}})

    async def test():
        async with serving(of=replace(retailer, events=names)) as served:
            event = cloud_event(type="com.shop.order.placed.v2", data={"value": 3})
            assert (await sent(served, event, STRUCTURED)).status_code == 200
            assert [row["type"] for row in served.rows("events")] == ["purchase"]

    asyncio.run(test())


WRONG = [
    (STRUCTURED, cloud_event(specversion="0.3"), "specversion", "1.0"),
    (STRUCTURED, cloud_event(id=""), "id", "text"),
    (STRUCTURED, cloud_event(source=None), "source", "add"),
    (STRUCTURED, cloud_event(source="a b"), "source", "spaces"),
    (STRUCTURED, cloud_event(type="com.example.vieww"), "type", "events.yaml"),
    (STRUCTURED, cloud_event(subject=None), "subject", "customer_id"),
    (STRUCTURED, cloud_event(subject="x" * 300), "subject", "shorter"),
    (STRUCTURED, cloud_event(time="yesterday"), "time", "2026-11-20T09:30:00Z"),
    (STRUCTURED, cloud_event(time="2999-01-01T00:00:00Z"), "time", "clock"),
    (STRUCTURED, cloud_event(data={"category": "pantri"}), "data.category", "did you mean 'pantry'"),
    (STRUCTURED, cloud_event(data={"categori": "pantry"}), "data.categori", "remove"),
    (STRUCTURED, cloud_event(data={"event_id": "e"}), "data.event_id", "remove"),
    (STRUCTURED, cloud_event(data={"customer_id": 5}), "data.customer_id", "string"),
    (STRUCTURED, cloud_event(data={"attributes": {"agee": "25-34"}}), "data.attributes.agee", "did you mean 'age'"),
    (STRUCTURED, cloud_event(data="text"), "data", "object"),
    (STRUCTURED, cloud_event(datacontenttype="text/csv"), "datacontenttype", "application/json"),
    (STRUCTURED, cloud_event(data_base64="e30="), "data_base64", "one of the two"),
    (STRUCTURED, {**cloud_event(), "data": None, "data_base64": "%%"}, "data_base64", "RFC 4648"),
    (STRUCTURED, [cloud_event()], "body", "object"),
    (BATCH, cloud_event(), "body", "list"),
    (BATCH, [cloud_event(), 3], "[1]", "object"),
    (BATCH, [cloud_event(), cloud_event("8", data={"category": "pantri"})], "[1].data.category", "did you mean"),
    (BATCH, [cloud_event(), cloud_event(subject="c-2")], "[1].id", "own"),
    (BINARY | {"ce-type": "vieww"}, {"category": "pantry"}, "header ce-type", "events.yaml"),
    (BINARY | {"ce-id": "%C0%A0"}, {"category": "pantry"}, "header ce-id", "UTF-8"),
    (BINARY | {"ce-subject": ""}, {"category": "pantry"}, "header ce-subject", "longer"),
    (BINARY | {"content-type": "text/csv"}, {}, "header Content-Type", "application/json"),
    (BINARY, {"category": "pantri"}, "category", "did you mean"),
    (BINARY, [], "body", "object"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # refused before any database sees it
@pytest.mark.parametrize(("headers", "body", "field", "hint"), WRONG)
def test_a_wrong_cloud_event_names_the_senders_field_and_leaves_nothing(ask, headers, body, field, hint):
    async def test(served):
        answer = await sent(served, body, headers)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["errors"][0]["field"] == field, problem
        assert hint in problem["errors"][0]["fix"], problem
        assert served.rows("events") == []

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "application/cloudevents+avro"}, b"{}", 415),
        ({**STRUCTURED, "content-encoding": "gzip"}, b"{}", 415),
        (STRUCTURED, b"{", 400),
        (STRUCTURED, b"", 400),
        (BATCH, b'[{"id": NaN}]', 400),
        (BINARY, b"{", 422),
        (BINARY, b" " * 2_000_000, 413),
    ],
)
def test_what_cannot_be_read_at_all_is_refused(ask, headers, content, status):
    async def test(served):
        answer = await served.client.post("/v1/events", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    ask(test)


def test_a_quoted_header_of_an_older_sender_is_unquoted(ask):
    async def test(served):
        headers = {**BINARY, "ce-subject": '"c \\"1\\""'}
        assert (await sent(served, {"category": "pantry"}, headers)).status_code == 200
        assert served.rows("events")[0]["customer_id"] == 'c "1"'

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("more", "field"),
    [
        ([("ce-datacontenttype", "application/json"), ("content-type", "text/csv")], "header ce-datacontenttype"),
        ([("ce-datacontenttype", "application/json")], "header ce-datacontenttype"),
        ([("ce-data", "{}")], "header ce-data"),
        ([("ce-data_base64", "e30=")], "header ce-data_base64"),
        ([("ce-subject", "c-2")], "header ce-subject"),
        ([("ce-subject", "c-1")], "header ce-subject"),
        ([("CE-Id", "8")], "header ce-id"),
    ],
)
def test_what_a_binary_event_may_say_only_once_or_elsewhere_is_refused(ask, more, field):
    async def test(served):
        given = [
            (name, value) for name, value in BINARY.items() if name not in {n for n, _ in more if n == "content-type"}
        ]
        answer = await served.client.post("/v1/events", content=b'{"category": "pantry"}', headers=[*given, *more])
        assert answer.status_code == 422, answer.text
        assert [fault["field"] for fault in answer.json()["errors"]] == [field]
        assert served.rows("events") == []

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("wrong", ["type", "source", "id", "time", "specversion", "datacontenttype"])
@pytest.mark.parametrize("value", ["x \x00" * 20_000, ["x"] * 20_000, {"x" * 70_000: 1}])
def test_what_is_wrong_is_quoted_shortly(ask, wrong, value):
    async def test(served):
        answer = await sent(served, cloud_event(**{wrong: value}), STRUCTURED)
        assert answer.status_code == 422, answer.text
        assert wrong in {fault["field"] for fault in answer.json()["errors"]}
        assert len(answer.content) < 2000

    ask(test)
