"""Two services on one database: whoever commits first, both answer from one log."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from orchestrator.audit.integrity import check_database
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import read_rows

ROUNDS = 12


@pytest.fixture
def both(serving, retailer):
    """`both(test)` runs `test(one, two)` against two applications on one database, and checks the log afterwards."""

    def run(test):
        async def inside():
            async with serving() as one, serving() as two:
                return await test(one, two)

        result = asyncio.run(inside())
        engine = open_database(retailer.serving.database)
        assert check_database(engine, ProfileSchema.from_retailer(retailer), sample=1000).faults == ()
        engine.dispose()
        return result

    return run


def decision(served, customer, key):
    return served.client.post("/v1/decisions", json={"customer_id": customer}, headers={"Idempotency-Key": key})


def view(event_id, customer):
    return {"event_id": event_id, "customer_id": customer, "type": "view", "category": "pantry"}


def test_one_key_sent_to_both_at_once_is_decided_once(both):
    async def test(one, two):
        await one.know("c-1", "c-2")
        for turn in range(ROUNDS):
            asked = [decision(served, f"c-{1 + turn % 2}", f"k-{turn}") for served in (one, two) * 3]
            answers = await asyncio.gather(*asked)
            assert {a.status_code for a in answers} == {200}
            assert len({a.text for a in answers}) == 1
        assert len(one.rows("decisions")) == len(one.rows("idempotency")) == ROUNDS

    both(test)


def test_one_key_for_two_customers_at_once_is_the_first_ones(both):
    async def test(one, two):
        await one.know("c-1", "c-2")
        for turn in range(ROUNDS):
            answers = await asyncio.gather(decision(one, "c-1", f"k-{turn}"), decision(two, "c-2", f"k-{turn}"))
            assert sorted(a.status_code for a in answers) == [200, 409]
        assert len(one.rows("decisions")) == ROUNDS

    both(test)


def test_one_event_sent_to_both_at_once_counts_once(both):
    async def test(one, two):
        for turn in range(ROUNDS):
            # The same id, and at every third turn not even the same customer.
            customers = ("c-1", "c-2") if turn % 3 == 0 else ("c-1", "c-1")
            sent = [
                served.client.post("/v1/events", json=view(f"e-{turn}", customer))
                for served, customer in zip((one, two), customers, strict=True)
            ]
            answers = [answer.json() for answer in await asyncio.gather(*sent)]
            assert sorted(answer["accepted"] for answer in answers) == [0, 1]
        assert len(one.rows("events")) == ROUNDS

    both(test)


def test_long_lists_in_opposite_order_neither_stop_each_other_nor_count_twice(both):
    async def test(one, two):
        events = [view(f"e-{i}", f"c-{i % 7}") for i in range(900)]
        few = events[:50]
        lists = [events, events[::-1], few, few[::-1]]
        sent = [served.client.post("/v1/events", json=these) for these in lists for served in (one, two)]
        answers = await asyncio.gather(*sent)
        assert {a.status_code for a in answers} == {200}
        assert sum(a.json()["accepted"] for a in answers) == 900

    both(test)


def test_one_outcome_sent_to_both_at_once_counts_once(both):
    async def test(one, two):
        await one.know("c-1")
        made = [(await one.decide("c-1"))["decision_id"] for _ in range(ROUNDS)]
        for turn, decision_id in enumerate(made):
            body = {"outcome_id": f"o-{turn}", "decision_id": decision_id, "type": "purchase", "value": 3.0}
            # As an outcome to one, and under the same id as an event to the other.
            event = {"event_id": f"o-{turn}", "customer_id": "c-1", "type": "purchase", "value": 3.0}
            sent = [
                one.client.post("/v1/outcomes", json=body),
                two.client.post("/v1/outcomes", json=body),
                two.client.post("/v1/events", json=event),
            ]
            first, second, _ = [answer.json() for answer in await asyncio.gather(*sent)]
            assert first["accepted"] + second["accepted"] == 1
        kept = Counter(row["event_id"] for row in one.rows("events"))
        assert [kept[f"o-{turn}"] for turn in range(ROUNDS)] == [1] * ROUNDS

    both(test)


def test_facts_and_decisions_about_one_customer_do_not_lose_each_other(both, retailer):
    async def test(one, two):
        await one.know("c-1")
        sent = []
        for turn in range(40):
            served = (one, two)[turn % 2]
            sent.append(served.client.post("/v1/events", json=view(f"e-{turn}", "c-1")))
            sent.append(decision(served, "c-1", f"k-{turn}"))
        assert {a.status_code for a in await asyncio.gather(*sent)} == {200}

    both(test)  # the check of the log compares the profile with all events
    assert len(read_rows(retailer.serving.database, "SELECT 1 FROM events")) == 41


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lost_connection_is_one_refusal_and_then_a_new_connection(ask, postgresql):
    async def test(served):
        await served.know("c-1")
        postgresql.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname LIKE 'journey_%'")
        answer = await served.client.post("/v1/decisions", json={"customer_id": "c-1"})
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        await served.decide("c-1")
        assert (await served.client.get("/readyz")).status_code == 200

    ask(test)
