"""Profiles that are rebuilt while servers of the configuration of before go on."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from orchestrator.profiles import ProfileSchema
from tests.orchestrator.changing_shop import CUSTOMERS, ChangingShop, fill, iso, link, post, states_in, view

TABLES = ("customers", "events", "decisions", "outcomes", "stock", "stated", "contacts")


@pytest.fixture
def shop(tmp_path, database_url, serving, champion):
    return ChangingShop(tmp_path, database_url, serving, champion)


def test_facts_links_and_erasures_that_come_meanwhile_are_in_the_new_profiles(shop):
    change = "a category added"

    async def test(served):
        await fill(served)
        loop, turns = asyncio.get_running_loop(), []

        async def meanwhile(turn):
            """About customers whose profiles are built by then, and others, and new ones."""
            events = [view(f"c-{i}", f"late-{turn}-{i}") for i in (1, 2, 10, 11)]
            await post(served, "/v1/events", [*events, view(f"new-{turn}", f"new-{turn}")])
            made = await served.decide("c-11", channels=["site"])
            bought = {"outcome_id": f"late-{turn}", "decision_id": made["decision_id"], "type": "purchase", "value": 3}
            await post(served, "/v1/outcomes", bought)
            if turn == 3:
                await post(served, "/v1/batch", link("c-5", "c-10"))
            if turn == 4:
                answer = await served.client.delete("/v1/customers/c-3")
                assert answer.status_code == 200, answer.text

        def progress(_done, _total):
            turns.append(len(turns))
            asyncio.run_coroutine_threadsafe(meanwhile(len(turns)), loop).result(timeout=60)

        done = await asyncio.to_thread(shop.rebuild, change, progress=progress)
        return done, len(turns)

    done, turns = shop.live(shop.of(), test)
    assert shop.faults(change) == ()
    found = states_in(shop.url)
    # What came by the last call came after the last profile was built, and before the swap.
    assert found.keys() >= {f"new-{turn}" for turn in range(1, turns + 1)}
    assert found.keys().isdisjoint({"c-0", "c-3", "c-10"})
    assert done.customers == len(found)
    assert done.events == shop.rows("SELECT count(*) AS n FROM events")[0]["n"]
    of_new = ProfileSchema.from_retailer(shop.of(change)).fingerprint
    assert {row["layout"] for row in shop.rows("SELECT layout FROM customers")} == {of_new}


def test_servers_that_write_all_the_time_lose_nothing_that_they_acknowledged(shop):
    change, acknowledged = "a value added in front", set()
    shop.live(shop.of(), fill)

    async def write(served, name):
        for turn in range(100_000):
            ids = [f"{name}-{turn}-{i}" for i in range(3)]
            events = [view(f"c-{(turn * 5 + i) % 25}", of) for i, of in enumerate(ids)]
            answer = await served.client.post("/v1/events", json=events)
            if answer.status_code == 503:
                return answer.json()["type"]
            assert answer.status_code == 200, answer.text
            acknowledged.update(ids)
        return "never refused"

    async def inside():
        async with shop.service(shop.of()) as one, shop.service(shop.of()) as two:
            writers = [asyncio.create_task(write(s, f"{s is one}-{i}")) for s in (one, two) for i in range(2)]
            await asyncio.sleep(0.1)
            await asyncio.to_thread(shop.rebuild, change)
            return await asyncio.wait_for(asyncio.gather(*writers), 60)

    assert set(asyncio.run(inside())) == {"urn:journey:problem:other-configuration"}
    assert shop.faults(change) == ()
    assert {row["event_id"] for row in shop.rows("SELECT event_id FROM events")} >= acknowledged != set()


# The first has as many numbers as before, with other meanings.
@pytest.mark.parametrize("change", ["a value added in front", "a category added"])
def test_a_server_of_before_refuses_everything_once_the_profiles_are_others(shop, change, capsys):
    async def test(served):
        _, ids = await fill(served)
        await asyncio.to_thread(shop.rebuild, change)
        kept = [shop.rows(f"SELECT * FROM {table}") for table in TABLES]  # noqa: S608
        client, refused = served.client, partial(post, served, status=503)
        click = {"outcome_id": "late", "decision_id": ids[0], "type": "click"}
        stock = {"stock_id": "s-1", "category": "home", "in_stock": False, "timestamp": iso(0)}
        answers = [
            await refused("/v1/events", view("c-1", "known")),
            await refused("/v1/events", view("stranger", "unknown")),
            await refused("/v1/batch", link("c-5", "c-6")),
            await refused("/v1/decisions", {"customer_id": "c-1"}),
            await refused("/v1/explain", {"customer_id": "c-1"}),
            await refused("/v1/outcomes", click),
            (await client.put("/v1/stock", json=stock)).json(),
            (await client.get("/v1/customers/c-1")).json(),
        ]
        assert {answer["type"] for answer in answers} == {"urn:journey:problem:other-configuration"}
        assert "restart the server" in answers[0]["fix"]
        time.sleep(1.1)  # what was found before is told for a second
        assert (await client.get("/readyz")).status_code == 503
        # What was decided can be read all the same.
        assert (await client.get(f"/v1/decisions/{ids[0]}")).status_code == 200
        assert kept == [shop.rows(f"SELECT * FROM {table}") for table in TABLES]  # noqa: S608

    shop.live(shop.of(), test)
    written = capsys.readouterr()
    assert (written.out + written.err).count("this server cannot go on, restart it") == 1
    assert shop.faults(change) == ()


def test_a_server_of_before_that_waits_for_the_swap_refuses_after_it(shop):
    """A batch that began before the swap, and was let in after it, would have read the profiles of before."""

    async def test(served):
        await fill(served)
        answers = []

        async def ask():
            for i in range(60):
                answer = await served.client.post("/v1/events", json=view(f"c-{1 + i % (CUSTOMERS - 1)}", f"w-{i}"))
                answers.append(answer.status_code)

        await asyncio.gather(ask(), ask(), asyncio.to_thread(shop.rebuild, "a half-life"))
        return answers

    assert set(shop.live(shop.of(), test)) <= {200, 503}
    assert shop.faults("a half-life") == ()
