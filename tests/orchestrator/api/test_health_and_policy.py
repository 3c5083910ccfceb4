"""/healthz, /readyz, /v1/policy, and exchanging the policy while requests run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from policies.errors import PolicyFormatError


def test_alive_ready_and_which_policy(ask):
    async def test(served):
        assert (await served.client.get("/healthz")).json() == {"status": "ok"}
        assert (await served.client.get("/readyz")).json() == {"status": "ok"}
        policy = (await served.client.get("/v1/policy")).json()
        assert (policy["version"], policy["kind"]) == ("1", "random")
        assert policy["actions"] == list(served.retailer.catalogue.ids)

    ask(test)


def test_without_a_champion_it_is_alive_but_not_ready(ask, champion):
    champion.current = None

    async def test(served):
        assert (await served.client.get("/healthz")).status_code == 200
        for path in ("/readyz", "/v1/policy"):
            answer = await served.client.get(path)
            assert answer.status_code == 503
            assert "journey train" in answer.json()["fix"]
        # Facts are welcome all the same.
        await served.know("c-1")
        champion.current = ("1", Path("unused"))
        while (await served.client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0)
        await served.decide("c-1")

    ask(test)


def test_exchanging_the_policy_under_load_drops_nothing_and_mixes_nothing(ask):
    async def test(served):
        customers = [f"c-{i}" for i in range(8)]
        await served.know(*customers)
        seen, done = [], False

        async def keep_asking(customer):
            while not done:
                answer = await served.client.post("/v1/decisions", json={"customer_id": customer})
                assert answer.status_code == 200, answer.text
                seen.append(answer.json()["policy_version"])

        asking = [asyncio.create_task(keep_asking(c)) for c in customers]
        while not seen:
            await asyncio.sleep(0)
        for version in ("2", "3", "4"):
            served.champion.current = (version, Path("unused"))
            while not seen or seen[-1] != version:
                assert not any(task.done() for task in asking)
                await asyncio.sleep(0)
        done = True
        await asyncio.gather(*asking)
        assert set(seen) == {"1", "2", "3", "4"}
        logged = served.rows("decisions")
        assert len(logged) == len(seen)
        # In the order of the log, versions only ever go up.
        versions = [row["policy_version"] for row in logged]
        assert versions == sorted(versions)

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about the policy, not the log
def test_a_damaged_champion_is_not_served_and_the_old_one_stays(ask):
    async def test(served):
        good, tried = served.champion.load, []

        def damaged(directory):
            tried.append(directory)
            raise PolicyFormatError(f"{directory} is damaged")

        await served.know("c-1")
        served.champion.load = damaged
        served.champion.current = ("2", Path("damaged"))
        deadline = time.monotonic() + 20
        while not tried:
            assert (await served.decide("c-1"))["policy_version"] == "1"
            assert time.monotonic() < deadline
        # Several looks later it was still tried once only.
        for _ in range(20):
            assert (await served.decide("c-1"))["policy_version"] == "1"
        assert len(tried) == 1
        assert (await served.client.get("/readyz")).status_code == 200
        served.champion.load = good
        served.champion.current = ("3", Path("good"))
        await served.decided_by("3")

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about the policy, not the log
def test_a_policy_of_another_retailer_is_not_served(ask):
    async def test(served):
        good = served.champion.load(None)
        stranger = type(good)(actions=good.actions, columns=(*good.columns, "shoe_size"))
        tried = []
        served.champion.load = lambda directory: tried.append(directory) or stranger
        served.champion.current = ("2", Path("stranger"))
        await served.know("c-1")
        deadline = time.monotonic() + 20
        while not tried:
            await served.decide("c-1")
            assert time.monotonic() < deadline
        assert (await served.decide("c-1"))["policy_version"] == "1"

    ask(test)


def test_two_applications_in_one_process_share_nothing(serving, retailer, tmp_path):
    from dataclasses import replace

    other_serving = retailer.serving.model_copy(update={"database": f"sqlite:///{tmp_path / 'other.db'}"})
    other = replace(retailer, serving=other_serving)

    async def test():
        async with serving() as one, serving(other) as two:
            await one.know("c-1")
            assert (await two.client.post("/v1/decisions", json={"customer_id": "c-1"})).status_code == 404
            await one.decide("c-1")
            assert len(one.rows("decisions")) == 1
            assert two.rows("decisions") == []

    asyncio.run(test())
