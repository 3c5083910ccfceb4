"""PUT and GET /v1/stock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()


def fact(stock_id="s-1", category="home", in_stock=False, **more):
    return {"stock_id": stock_id, "category": category, "in_stock": in_stock, **more}


def at(hour):
    return f"2026-06-15T{hour:02}:00:00Z"


async def told(served, *facts):
    answer = await served.client.put("/v1/stock", json=list(facts))
    assert answer.status_code == 200, answer.text
    return [item["status"] for item in answer.json()["items"]]


async def state(served):
    """What was told of, by category."""
    answer = await served.client.get("/v1/stock")
    assert answer.status_code == 200, answer.text
    categories = answer.json()["categories"]
    assert [c["category"] for c in categories] == list(served.retailer.catalogue.categories)
    assert all(c["in_stock"] for c in categories if c["since"] is None)
    return {c["category"]: (c["in_stock"], c["since"]) for c in categories if c["since"] is not None}


@pytest.fixture
def at_noon(serving):
    """`at_noon(test)` runs `test(served)` against a service whose clock stands still."""

    def run(test):
        async def inside():
            async with serving(clock=lambda: NOON) as served:
                return await test(served)

        return asyncio.run(inside())

    return run


def test_what_was_told_is_the_state_and_what_was_not_is_in_stock(at_noon):
    async def test(served):
        assert await state(served) == {}
        answer = await served.client.put("/v1/stock", json=fact())
        assert answer.json() == {"accepted": 1, "duplicates": 0, "items": [{"id": "s-1", "status": "accepted"}]}
        assert await state(served) == {"home": (False, at(12))}
        await told(served, fact("s-2", "beauty", timestamp=at(9)), fact("s-3", "pantry", in_stock=True))
        assert await state(served) == {"home": (False, at(12)), "beauty": (False, at(9)), "pantry": (True, at(12))}

    at_noon(test)


def test_the_newest_time_wins_whatever_comes_first(at_noon):
    async def test(served):
        await told(served, fact("s-1", in_stock=False, timestamp=at(10)))
        await told(served, fact("s-2", in_stock=True, timestamp=at(8)))
        assert await state(served) == {"home": (False, at(10))}
        # The same time: what is told last.
        await told(served, fact("s-3", in_stock=True, timestamp=at(10)))
        assert await state(served) == {"home": (True, at(10))}
        # Told again, it is still so since then; until somebody says that in between it was not.
        await told(served, fact("s-4", in_stock=True, timestamp=at(12)))
        assert await state(served) == {"home": (True, at(10))}
        await told(served, fact("s-5", in_stock=False, timestamp=at(11)))
        assert await state(served) == {"home": (True, at(12))}

    at_noon(test)


def test_a_clock_may_be_a_minute_fast(at_noon):
    async def test(served):
        assert await told(served, fact(timestamp="2026-06-15T12:01:00Z")) == ["accepted"]
        assert await state(served) == {"home": (False, "2026-06-15T12:01:00Z")}

    at_noon(test)


def test_a_fact_told_twice_counts_once(at_noon):
    async def test(served):
        first = fact("s-1", in_stock=False, timestamp=at(10))
        assert await told(served, first, first, fact("s-2", "beauty")) == ["accepted", "duplicate", "accepted"]
        # Under a known id nothing is new, whatever it says.
        assert await told(served, fact("s-1", in_stock=True, timestamp=at(11))) == ["duplicate"]
        assert await state(served) == {"home": (False, at(10)), "beauty": (False, at(12))}
        assert len(served.rows("stock")) == 2

    at_noon(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # refused before any database sees it
@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        (fact(category="hom"), "category", "did you mean 'home'"),
        ([fact(), fact("s-2", "beuty")], "[1].category", "did you mean 'beauty'"),
        (fact(in_stock="no"), "in_stock", "true or false"),
        (fact(in_stock=0), "in_stock", "true or false"),
        (fact(in_stock=None), "in_stock", "true or false"),
        (fact(stock_id=""), "stock_id", "longer"),
        (fact(amount=3), "amount", "remove"),
        (fact(timestamp="2026-06-15"), "timestamp", "zone"),
        (fact(timestamp="2026-06-15T10:00:00"), "timestamp", "zone"),
        (fact(timestamp="2026-06-15T12:01:01Z"), "timestamp", "clock"),
        ([fact(), fact("s-2", timestamp="2026-06-17T00:00:00Z")], "[1].timestamp", "clock"),
        ([fact(), fact(in_stock=True)], "[1].stock_id", "own"),
        ([], "body", "more items"),
        ([fact(f"s-{i}") for i in range(1001)], "body", "several requests"),
    ],
)
def test_a_wrong_fact_refuses_the_whole_request(at_noon, body, field, hint):
    async def test(served):
        answer = await served.client.put("/v1/stock", json=body)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"] == field
        assert hint in answer.json()["errors"][0]["fix"]
        assert served.rows("stock") == []

    at_noon(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_bodies_are_as_strict_as_those_of_events(at_noon):
    async def test(served):
        headers = {"Content-Type": "application/json"}
        for content, more, status in (
            (b"{", headers, 400),
            (b'{"in_stock": NaN}', headers, 400),
            (b"{}", {"Content-Type": "text/plain"}, 415),
            (b" " * 2_000_000, headers, 413),
        ):
            answer = await served.client.put("/v1/stock", content=content, headers=more)
            assert answer.status_code == status, answer.text
        assert (await served.client.post("/v1/stock", json=fact())).status_code == 405

    at_noon(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_thousand_facts_at_once_are_one_request(at_noon):
    async def test(served):
        names = served.retailer.catalogue.categories
        facts = [fact(f"s-{i}", names[i % len(names)], i % 2 == 0, timestamp=at(i % 12)) for i in range(1000)]
        assert await told(served, *facts) == ["accepted"] * 1000
        assert await told(served, *facts) == ["duplicate"] * 1000
        found = await served.client.get("/metrics")
        assert 'journey_facts_total{kind="stock",result="accepted"} 1000.0' in found.text
        assert 'journey_facts_total{kind="stock",result="duplicate"} 1000.0' in found.text

    at_noon(test)
