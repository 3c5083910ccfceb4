"""POST /v1/events and POST /v1/outcomes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest


def event(event_id="e-1", customer_id="c-1", **more):
    return {"event_id": event_id, "customer_id": customer_id, "type": "view", "category": "pantry", **more}


def test_one_event_makes_its_customer_known(ask):
    async def test(served):
        answer = await served.client.post("/v1/events", json=event())
        assert answer.json() == {"accepted": 1, "duplicates": 0, "items": [{"id": "e-1", "status": "accepted"}]}
        made = await served.decide("c-1")
        record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
        assert record["features"]["view.pantry"] > 0

    ask(test)


def test_a_repeated_event_counts_once_and_is_no_error(ask):
    async def test(served):
        timed = event(timestamp="2026-11-01T00:00:00Z")
        await served.client.post("/v1/events", json=timed)
        state = served.rows("customers")[0]["state"]
        answer = await served.client.post("/v1/events", json=[event("e-0", "c-2"), timed])
        assert [item["status"] for item in answer.json()["items"]] == ["accepted", "duplicate"]
        assert answer.json()["duplicates"] == 1
        kept = {row["customer_id"]: row["state"] for row in served.rows("customers")}
        assert kept["c-1"] == state
        assert len(served.rows("events")) == 2

    ask(test)


def test_events_about_several_customers_reach_the_right_profiles(ask):
    async def test(served):
        await served.client.post("/v1/events", json=[event("a", "c-1"), event("b", "c-2", category="drinks")])
        await served.client.post("/v1/events", json=[event("c", "c-2"), event("d", "c-3", category="drinks")])
        for customer, seen in {"c-1": {"pantry"}, "c-2": {"pantry", "drinks"}, "c-3": {"drinks"}}.items():
            made = await served.decide(customer)
            record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
            views = {n.removeprefix("view.") for n, v in record["features"].items() if n.startswith("view.") and v}
            assert views == seen

    ask(test)


def test_consent_given_by_an_event_opens_the_channel(ask):
    async def test(served):
        await served.know("c-1")
        before = await served.decide("c-1", channels=["email"])
        await served.client.post("/v1/events", json=event(type="subscribe", channel="email", category=None))
        after = await served.decide("c-1", channels=["email"])
        assert [c["id"] for c in before["candidates"]] == ["hold"]
        assert len(after["candidates"]) > 1

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # refused before any database sees it
@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        (event(type="vieww"), "type", "did you mean 'view'"),
        (event(category="pantri"), "category", "did you mean 'pantry'"),
        (event(type="click"), "channel", "needs it"),
        (event(type="purchase"), "value", "needs"),
        (event(type="purchase", value=-1), "value", "at least 0"),
        (event(type="purchase", value="12"), "value", "a number"),
        (event(timestamp="2026-11-01"), "timestamp", "zone"),
        (event(timestamp="2026-11-01T10:00:00"), "timestamp", "zone"),
        (event(timestamp="2999-01-01T00:00:00Z"), "timestamp", "clock"),
        (event(timestamp="0001-01-01T00:00:00Z"), "timestamp", "when it happened"),
        (event(attributes={"agee": "25-34"}), "attributes.agee", "did you mean 'age'"),
        (event(attributes={"age": "26"}), "attributes.age", "25-34"),
        (event(attributes={"timezon": "Europe/Berlin"}), "attributes.timezon", "did you mean 'timezone'"),
        ([event(), event("e-2", attributes={"tz": "?"})], "[1].attributes.tz", "store_distance, timezone, home_store"),
        (event(event_id=""), "event_id", "longer"),
        ([event(), event("e-2", customer_id=None)], "[1].customer_id", "JSON string"),
        ([event(), event("e-2", category="pantri")], "[1].category", "did you mean"),
        ([event(), event("e-2"), event("e-2", "c-9")], "[2].event_id", "own"),
        ([], "body", "more items"),
        ([event(f"e-{i}") for i in range(1001)], "body", "several requests"),
        ("event", "body", "JSON object"),
    ],
)
def test_a_wrong_event_refuses_the_whole_request(ask, body, field, hint):
    async def test(served):
        answer = await served.client.post("/v1/events", json=body)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["errors"][0]["field"] == field
        assert hint, answer.json()
        assert hint in problem["errors"][0]["fix"]
        assert served.rows("events") == served.rows("customers") == []

    ask(test)


def test_names_of_texts_are_among_those_an_attribute_may_have(serving, retailer):
    profiles = retailer.profiles.model_copy(update={"content_fields": ("first_name",)})

    async def test():
        async with serving(replace(retailer, profiles=profiles)) as served:
            wrong = await served.client.post("/v1/events", json=event(attributes={"firstname": "Ada", "agee": "25-34"}))
            right = await served.client.post("/v1/events", json=event(attributes={"first_name": "Ada", "age": "25-34"}))
            return wrong, right

    wrong, right = asyncio.run(test())
    assert (wrong.status_code, right.status_code) == (422, 200)
    name, age = wrong.json()["errors"]
    known = "known: age, income, household, store_distance, first_name, timezone, home_store"
    assert (name["field"], name["fix"]) == ("attributes.firstname", f"did you mean 'first_name'? {known}")
    assert (age["field"], age["fix"]) == ("attributes.agee", f"did you mean 'age'? {known}")


async def decided(served):
    """A decision that did something, so that what follows has a channel to count for."""
    await served.know("c-1")
    for _ in range(200):
        made = await served.decide("c-1", channels=["site"])
        if made["action"]["id"] != "hold":
            return made["decision_id"]
    pytest.fail("hold 200 times in a row, where it is one of many actions")


async def held(served):
    """A decision to do nothing."""
    await served.know("c-1")
    for _ in range(2_000):
        made = await served.decide("c-1", channels=["store"])
        if made["action"]["id"] == "hold":
            return made["decision_id"]
    pytest.fail("never hold in 2,000 decisions")


async def features(served):
    """What is known of c-1 at its next decision."""
    made = await served.decide("c-1")
    return (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()["features"]


def outcome(decision_id, outcome_id="o-1", **more):
    return {"outcome_id": outcome_id, "decision_id": decision_id, "type": "click", **more}


def test_an_outcome_is_read_back_with_its_decision_and_counts_in_the_profile(ask):
    async def test(served):
        decision = await decided(served)
        sent = [outcome(decision), outcome(decision, "o-2", type="purchase", value=59.9)]
        answer = await served.client.post("/v1/outcomes", json=sent)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
        record = (await served.client.get(f"/v1/decisions/{decision}")).json()
        assert [(o["outcome_id"], o["type"], o["value"]) for o in record["outcomes"]] == [
            ("o-1", "click", 0.0),
            ("o-2", "purchase", 59.9),
        ]
        after = (await served.client.get(f"/v1/decisions/{(await served.decide('c-1'))['decision_id']}")).json()
        assert after["features"]["site.responses"] > 0
        assert after["features"]["spend"] > 0

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # refused before any database sees it
@pytest.mark.parametrize("kind", ["purchase", "return"])
def test_an_outcome_that_moves_money_says_how_much_as_an_event_must(ask, kind):
    async def test(served):
        decision = await decided(served)
        told = await served.client.post("/v1/events", json=event(type=kind))
        one = await served.client.post("/v1/outcomes", json=outcome(decision, type=kind))
        many = await served.client.post("/v1/outcomes", json=[outcome(decision), outcome(decision, "o-2", type=kind)])
        assert [answer.status_code for answer in (told, one, many)] == [422] * 3
        (of_event,), (of_one,), (of_many,) = (answer.json()["errors"] for answer in (told, one, many))
        assert of_one == {**of_event, "fix": of_event["fix"].replace(" event ", " outcome ")}
        assert of_many == {**of_one, "field": "[1].value"}
        assert served.rows("outcomes") == []
        # Nothing is an amount, if it is said.
        said = await served.client.post("/v1/outcomes", json=outcome(decision, type=kind, value=0.0))
        assert said.status_code == 200

    ask(test)


def test_a_repeated_outcome_counts_once(ask):
    async def test(served):
        sent = outcome(await decided(served), timestamp="2026-11-01T00:00:00Z")
        await served.client.post("/v1/outcomes", json=sent)
        state = served.rows("customers")
        answer = await served.client.post("/v1/outcomes", json=sent)
        assert answer.json()["items"] == [{"id": "o-1", "status": "duplicate"}]
        assert len(served.rows("outcomes")) == 1
        assert served.rows("customers") == state

    ask(test)


def test_a_purchase_sent_both_as_event_and_as_outcome_counts_once_in_the_profile(ask):
    async def test(served):
        decision = await decided(served)
        await served.client.post("/v1/events", json=event("order-1", type="purchase", value=10.0))
        state = served.rows("customers")
        await served.client.post("/v1/outcomes", json=outcome(decision, "order-1", type="purchase", value=10.0))
        assert served.rows("customers") == state
        assert len(served.rows("outcomes")) == 1

    ask(test)


def test_a_purchase_first_told_as_outcome_then_as_event_counts_once(ask):
    async def test(served):
        decision = await decided(served)
        sent = {"type": "purchase", "value": 10.0, "timestamp": "2026-11-01T00:00:00Z"}
        first = await served.client.post("/v1/outcomes", json=outcome(decision, "order-1") | sent)
        assert first.json()["accepted"] == 1
        state, spend = served.rows("customers"), (await features(served))["spend"]
        assert spend > 0
        # The event says more (its category), but under this id it is the same fact.
        answer = await served.client.post("/v1/events", json=event("order-1") | sent)
        assert answer.json()["items"] == [{"id": "order-1", "status": "duplicate"}]
        assert served.rows("customers") == state
        assert [row["event_id"] for row in served.rows("events")].count("order-1") == 1

    ask(test)


def test_a_purchase_after_silence_reaches_the_profile(ask):
    async def test(served):
        decision = await held(served)
        before = await features(served)
        answer = await served.client.post("/v1/outcomes", json=outcome(decision, type="purchase", value=59.9))
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
        after = await features(served)
        assert (before["spend"], before["known.purchase"]) == (0, 0)
        assert after["spend"] > 0
        assert after["known.purchase"] == 1
        assert {n: v for n, v in after.items() if n.endswith(".responses")} == {
            n: pytest.approx(v, rel=1e-3) for n, v in before.items() if n.endswith(".responses")
        }

    ask(test)


def test_a_click_after_silence_is_kept_but_counts_for_no_channel(ask):
    async def test(served):
        decision = await held(served)
        state = served.rows("customers")
        answer = await served.client.post("/v1/outcomes", json=outcome(decision))
        assert (answer.status_code, len(served.rows("outcomes"))) == (200, 1)
        assert served.rows("customers") == state

    ask(test)


def test_an_outcome_of_no_decision_refuses_the_whole_request(ask):
    async def test(served):
        known = await decided(served)
        sent = [outcome(known), outcome("01936f3e-9d3a-7c41-a6a4-0f2a6be3c1d9", "o-2")]
        answer = await served.client.post("/v1/outcomes", json=sent)
        assert answer.status_code == 404
        assert "[1].decision_id" in answer.json()["detail"]
        assert served.rows("outcomes") == []

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # refused before any database sees it
@pytest.mark.parametrize(
    ("change", "field", "hint"),
    [
        ({"type": "clik"}, "type", "did you mean 'click'"),
        ({"value": -1.0}, "value", "at least 0"),
        ({"value": "1"}, "value", "a number"),
        ({"outcome_id": None}, "outcome_id", "JSON string"),
        ({"timestamp": "yesterday"}, "timestamp", "2026-11-20T09:30:00Z"),
        ({"reward": 1}, "reward", "remove"),
    ],
)
def test_a_wrong_outcome_names_the_field_and_leaves_nothing(ask, change, field, hint):
    async def test(served):
        answer = await served.client.post("/v1/outcomes", json=outcome(await decided(served)) | change)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"] == field
        assert hint, answer.json()
        assert hint in answer.json()["fix"]
        assert served.rows("outcomes") == []

    ask(test)
