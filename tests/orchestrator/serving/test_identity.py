"""One customer under several ids: what Segment's identify and alias do to profiles, contacts and decisions."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from orchestrator.audit.integrity import check_database
from orchestrator.config import ContactPolicy
from orchestrator.decision.core import DecisionCore
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import change
from tests.orchestrator.talkative import Talkative

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


def iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def view(identity, *, user=None, anonymous=None, at=NOON - HOUR, category="home"):
    message = {"type": "track", "event": "Product Viewed", "properties": {"category": category}}
    return {**message, "messageId": identity, "userId": user, "anonymousId": anonymous, "timestamp": iso(at)}


def identify(user, anonymous, *, at=NOON - HOUR, **traits):
    message = {"type": "identify", "userId": user, "anonymousId": anonymous, "timestamp": iso(at), "traits": traits}
    return {**message, "messageId": f"identify {user} {anonymous} {at}"}


def alias(previous, user, *, at=NOON - HOUR):
    message = {"type": "alias", "userId": user, "previousId": previous, "timestamp": iso(at)}
    return {**message, "messageId": f"alias {previous} {user} {at}"}


async def send(served, *messages):
    answer = await served.client.post("/v1/batch", json={"batch": list(messages)})
    assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text


async def record(served, customer):
    made = await served.decide(customer)
    return (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()


def events_of(served):
    """Event ids by customer."""
    found = {}
    for row in served.rows("events"):
        found.setdefault(row["customer_id"], set()).add(row["event_id"])
    return found


def faults(retailer):
    engine = open_database(retailer.serving.database)
    try:
        return check_database(engine, ProfileSchema.from_retailer(retailer), sample=1000).faults
    finally:
        engine.dispose()


@pytest.fixture
def known(serving, retailer, champion):
    """`known(test, contacts={...})` runs `test(served)` at noon and then checks the database."""

    def run(test, *, contacts=None):
        of = replace(retailer, contacts=ContactPolicy.model_validate(contacts or {}))
        if contacts:
            core = DecisionCore(of, ProfileSchema.from_retailer(of))
            champion.load = lambda _: Talkative(core.actions, core.columns)

        async def inside():
            async with serving(of, clock=lambda: NOON) as served:
                return await test(served)

        result = asyncio.run(inside())
        assert faults(of) == ()
        return result

    return run


def test_an_anonymous_customer_who_is_identified_is_one_customer_with_one_profile(known):
    async def test(served):
        before, after = NOON - 3 * DAY, NOON - DAY
        await send(
            served, view("v-1", anonymous="an-1", at=before), view("v-2", user="u-1", at=after, category="drinks")
        )
        await send(served, identify("u-1", "an-1", at=after, age="25-34"))
        # The same under one id from the beginning.
        await send(served, view("w-1", user="u-2", at=before), view("w-2", user="u-2", at=after, category="drinks"))
        await send(served, identify("u-2", None, at=after, age="25-34"))
        states = {row["customer_id"]: np.frombuffer(row["state"]) for row in served.rows("customers")}
        assert set(states) == {"u-1", "u-2"}
        np.testing.assert_allclose(states["u-1"], states["u-2"], rtol=1e-12)
        by_either = [await record(served, customer) for customer in ("u-1", "an-1")]
        assert by_either[0]["features"] == by_either[1]["features"]
        assert {r["customer_id"] for r in by_either} == {"u-1"}

    known(test)


def test_what_comes_late_for_the_anonymous_id_is_the_customers(known):
    async def test(served):
        await send(served, identify("u-1", "an-1"))
        await send(served, view("late", anonymous="an-1", at=NOON - 9 * DAY))
        event = {"event_id": "own", "customer_id": "an-1", "type": "visit"}
        assert (await served.client.post("/v1/events", json=event)).status_code == 200
        assert events_of(served)["u-1"] >= {"late", "own"}
        assert set(events_of(served)) == {"u-1"}

    known(test)


def test_any_message_with_both_ids_links_them_wherever_it_stands_in_its_batch(known):
    async def test(served):
        both = view("both", user="u-1", anonymous="an-1")
        await send(served, view("before", anonymous="an-1"), both, view("after", anonymous="an-1"))
        assert events_of(served) == {"u-1": {"before", "both", "after"}}

    known(test)


def test_a_message_with_both_ids_links_them_also_if_it_is_not_understood(known):
    async def test(served):
        odd = {**view("odd", user="u-1", anonymous="an-1"), "event": "Song Played"}
        await send(served, odd)
        await send(served, view("after", anonymous="an-1"))
        assert events_of(served) == {"u-1": {"after"}}
        assert len(served.rows("raw_events")) == 1

    known(test)


WEEKLY = {"caps": [{"name": "weekly", "channels": ["email"], "limit": 2, "window": "7 d"}]}


def test_contacts_under_both_ids_count_together(known):
    subscribe = {"type": "subscribe", "channel": "email"}

    async def mails(served, customer, times):
        made = [await served.decide(customer, channels=["email"]) for _ in range(times)]
        return sum(m["action"]["channel"] == "email" for m in made)

    async def test(served):
        for customer in ("an-1", "u-1"):
            event = {**subscribe, "event_id": f"subscribe {customer}", "customer_id": customer}
            assert (await served.client.post("/v1/events", json=event)).status_code == 200
        assert (await mails(served, "an-1", 1), await mails(served, "u-1", 1)) == (1, 1)
        await send(served, identify("u-1", "an-1"))
        assert (await mails(served, "u-1", 2), await mails(served, "an-1", 2)) == (0, 0)
        assert {row["customer_id"] for row in served.rows("contacts")} == {"u-1"}
        assert {row["customer_id"] for row in served.rows("decisions")} == {"u-1"}

    known(test, contacts=WEEKLY)


def test_decisions_under_both_ids_at_once_keep_the_cap(known):
    async def test(served):
        event = {"event_id": "s", "customer_id": "u-1", "type": "subscribe", "channel": "email"}
        assert (await served.client.post("/v1/events", json=event)).status_code == 200
        await send(served, identify("u-1", "an-1"))
        asked = [served.decide(customer, channels=["email"]) for customer in ("u-1", "an-1") * 8]
        made = await asyncio.gather(*asked)
        assert sum(m["action"]["channel"] == "email" for m in made) == 2

    known(test, contacts=WEEKLY)


def test_an_outcome_of_a_decision_about_the_anonymous_customer_is_the_customers(known):
    async def test(served):
        await send(served, view("v-1", anonymous="an-1"))
        made = await served.decide("an-1")
        await send(served, identify("u-1", "an-1"))
        outcome = {"outcome_id": "o-1", "decision_id": made["decision_id"], "type": "purchase", "value": 20.0}
        assert (await served.client.post("/v1/outcomes", json=outcome)).status_code == 200
        assert (await record(served, "u-1"))["features"]["spend"] > 0
        assert [row["customer_id"] for row in served.rows("outcomes")] == ["u-1"]
        assert (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()["customer_id"] == "u-1"

    known(test)


def test_a_repeated_request_is_the_same_one_after_its_customer_was_merged(known):
    async def test(served):
        await send(served, view("v-1", anonymous="an-1"))
        asked = {"json": {"customer_id": "an-1"}, "headers": {"Idempotency-Key": "k"}}
        first = await served.client.post("/v1/decisions", **asked)
        await send(served, identify("u-1", "an-1"))
        assert (await served.client.post("/v1/decisions", **asked)).json() == first.json()

    known(test)


def test_a_device_of_two_people_leaves_its_past_with_the_first_and_then_is_the_seconds(known):
    async def test(served):
        await send(served, view("past", anonymous="an-1"), identify("u-1", "an-1", at=NOON - 3 * HOUR))
        made = await served.decide("an-1")
        await send(served, identify("u-2", "an-1", at=NOON - 2 * HOUR), view("then", anonymous="an-1"))
        found = events_of(served)
        assert ("past" in found["u-1"], "then" in found["u-2"]) == (True, True)
        assert (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()["customer_id"] == "u-1"
        assert (await record(served, "an-1"))["customer_id"] == "u-2"
        # What was said before that and comes again, or late, changes nothing any more.
        await send(served, identify("u-1", "an-1", at=NOON - 3 * HOUR), identify("u-3", "an-1", at=NOON - 2.5 * HOUR))
        assert (await record(served, "an-1"))["customer_id"] == "u-2"
        # Back with the first one.
        await send(served, identify("u-1", "an-1", at=NOON - HOUR))
        assert (await record(served, "an-1"))["customer_id"] == "u-1"
        assert "then" in events_of(served)["u-2"]

    known(test)


def test_an_alias_renames_a_customer_with_all_its_ids(known):
    async def test(served):
        await send(served, view("v-1", anonymous="an-1"), identify("u-1", "an-1"), view("v-2", user="u-1"))
        await send(served, alias("u-1", "u-9"))
        await send(served, view("v-3", anonymous="an-1"), view("v-4", user="u-1"))
        assert set(events_of(served)) == {"u-9"}
        assert {(await record(served, customer))["customer_id"] for customer in ("an-1", "u-1", "u-9")} == {"u-9"}

    known(test)


def test_links_never_make_a_ring(known):
    async def test(served):
        await send(served, view("v-a", user="a"), view("v-b", user="b"))
        rings = [alias("a", "b"), alias("b", "a"), alias("a", "a"), alias("b", "c"), alias("c", "a"), alias("a", "c")]
        for i, message in enumerate(rings):
            await send(served, {**message, "timestamp": iso(NOON - HOUR + i)})
        assert len(events_of(served)) == 1
        assert {(await record(served, customer))["customer_id"] for customer in "abc"} == {"c"}

    known(test)


def test_texts_of_both_are_kept_the_latest_of_each(known):
    async def test(served):
        old, new = NOON - 2 * DAY, NOON - DAY
        await send(served, identify(None, "an-1", at=new, timezone="Europe/Berlin", homeStore="north"))
        await send(served, identify("u-1", None, at=old, timezone="Asia/Tokyo"))
        await send(served, identify("u-1", "an-1", at=NOON, homeStore="south"))
        stated = {(row["customer_id"], row["name"]): row["value"] for row in served.rows("stated")}
        assert stated == {("u-1", "timezone"): "Europe/Berlin", ("u-1", "home_store"): "south"}

    known(test)


def test_a_customer_is_named_by_its_own_id_whichever_is_asked_for(known):
    async def test(served):
        await send(served, view("v-1", user="u-1"), view("v-2", user="u-2"), alias("u-2", "u-1"))
        found = [(await served.client.get(f"/v1/customers/{asked}")).json() for asked in ("u-1", "u-2")]
        assert [(one["customer_id"], one["other_ids"]) for one in found] == [("u-1", ["u-2"])] * 2

    known(test)


def test_an_alias_message_without_a_previous_id_is_kept_raw(known):
    async def test(served):
        await send(served, {"type": "alias", "userId": "u-1"}, alias("x" * 300, "u-1"))
        assert len(served.rows("raw_events")) == 2
        assert served.rows("identities") == []

    known(test)


def test_a_profile_beside_its_customer_is_found_by_the_check(known, retailer):
    async def test(served):
        await send(served, view("v-1", anonymous="an-1"), identify("u-1", "an-1"))

    known(test)
    copied = "INSERT INTO customers SELECT 'an-1', state, layout, updated_at FROM customers"
    change(retailer.serving.database, copied)
    assert "identities: 1 ids of other customers have profiles of their own" in faults(retailer)


@pytest.mark.parametrize("seed", range(3))
def test_late_twice_and_out_of_order_is_as_good_as_in_order(known, seed):
    draw = random.Random(seed)  # noqa: S311
    times = sorted(NOON - draw.uniform(0, 40 * DAY) for _ in range(30))
    cut = times[17]
    messages = [
        view(
            f"m-{i}",
            user="{}" if at > cut or draw.random() < 0.3 else None,
            anonymous="anonymous {}",
            at=at,
            category=draw.choice(["home", "drinks", "pantry"]),
        )
        for i, at in enumerate(times)
    ]
    messages += [identify("{}", "anonymous {}", at=cut, age="65+"), identify("{}", None, at=times[3], age="25-34")]
    order = {"type": "track", "event": "Order Completed", "properties": {"total": 31.5}, "userId": "{}"}
    messages.append({**order, "messageId": "order", "timestamp": iso(times[9])})

    def of(customer, message):
        told = {k: v.format(customer) if k in ("userId", "anonymousId") and v else v for k, v in message.items()}
        return {**told, "messageId": f"{customer} {message['messageId']}"}

    async def test(served):
        await send(served, *(of("in order", m) for m in sorted(messages, key=lambda m: m["timestamp"])))
        shuffled = draw.sample(messages + draw.sample(messages, 12), len(messages) + 12)
        for start in range(0, len(shuffled), 7):
            await send(served, *(of("shuffled", m) for m in shuffled[start : start + 7]))
        states = {row["customer_id"]: np.frombuffer(row["state"]) for row in served.rows("customers")}
        assert set(states) == {"in order", "shuffled"}
        np.testing.assert_allclose(states["in order"], states["shuffled"], rtol=1e-9)

    known(test)


def test_two_services_agree_on_who_is_whom_while_both_link_decide_and_record(serving, retailer):
    draw = random.Random(5)  # noqa: S311

    async def test():
        async with serving(clock=lambda: NOON) as one, serving(clock=lambda: NOON) as two:
            for turn in range(12):
                sent = []
                for i in range(12):
                    served, n, at = draw.choice([one, two]), draw.randrange(6), NOON - HOUR + turn
                    message = draw.choice(
                        [
                            view(f"v-{turn}-{i}", anonymous=f"an-{n}"),
                            view(f"v-{turn}-{i}", user=f"u-{n % 3}"),
                            identify(f"u-{draw.randrange(3)}", f"an-{n}", at=at),
                            alias(f"u-{draw.randrange(3)}", f"u-{draw.randrange(3)}", at=at),
                        ]
                    )
                    sent.append(served.client.post("/v1/batch", json={"batch": [message]}))
                    asked = {"customer_id": draw.choice([f"an-{n}", f"u-{n % 3}"])}
                    sent.append(served.client.post("/v1/decisions", json=asked))
                answers = await asyncio.gather(*sent)
                assert {answer.status_code for answer in answers} <= {200, 404}
            return one.rows("identities"), events_of(one), one.rows("decisions")

    linked, events, decisions = asyncio.run(test())
    assert faults(retailer) == ()
    owner = {row["alias_id"]: row["customer_id"] for row in sorted(linked, key=lambda row: row["sequence"])}
    assert linked
    # No chains, and nothing in the log is of an id that belongs to somebody.
    assert owner.keys().isdisjoint(owner.values())
    assert owner.keys().isdisjoint(events)
    assert owner.keys().isdisjoint(row["customer_id"] for row in decisions)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
@pytest.mark.parametrize("about", ["an event", "a decision", "an outcome"])
def test_an_id_that_is_linked_while_a_batch_waits_for_its_locks_is_seen(known, monkeypatch, retailer, about):
    from orchestrator.serving.handlers import identity

    link = "INSERT INTO identities (alias_id, customer_id, linked_at, received_at) VALUES ('an-1', 'u-1', 1, 1)"
    tables = ("events", "customers", "decisions", "contacts")
    moved = ["UPDATE " + table + " SET customer_id = 'u-1' WHERE customer_id = 'an-1'" for table in tables]  # noqa: S608
    waits = []

    def wait(connection, **names):
        if waits:
            change(retailer.serving.database, *waits.pop())
        locked(connection, **names)

    locked = identity.serialise
    monkeypatch.setattr(identity, "serialise", wait)

    async def test(served):
        await send(served, view("v-1", anonymous="an-1"))
        made = await served.decide("an-1")
        waits.append([link, *moved])
        if about == "an event":
            await send(served, view("v-2", anonymous="an-1"))
        elif about == "a decision":
            assert (await record(served, "an-1"))["customer_id"] == "u-1"
        else:
            outcome = {"outcome_id": "o-1", "decision_id": made["decision_id"], "type": "purchase", "value": 5.0}
            assert (await served.client.post("/v1/outcomes", json=outcome)).status_code == 200
            assert [row["customer_id"] for row in served.rows("outcomes")] == ["u-1"]
        assert not waits
        assert set(events_of(served)) == {"u-1"}

    known(test)
