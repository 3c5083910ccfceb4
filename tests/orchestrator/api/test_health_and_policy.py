"""/healthz, /readyz, /v1/policy, and exchanging the policy while requests run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from sqlalchemy import create_engine

from orchestrator.serving.policy_watcher import NoChampionError
from orchestrator.storage.database import read_url
from policies.errors import PolicyFormatError
from tests.orchestrator.serving.locks import locked

CHECKS = ("running", "policy", "writer", "queue", "database")


def failing(answer):
    """Reasons by check, of a service that says it is not ready."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    checks = answer.json()["checks"]
    assert tuple(checks) == CHECKS
    return {name: check["reason"] for name, check in checks.items() if not check["ok"]}


def test_alive_ready_and_which_policy(ask):
    async def test(served):
        assert (await served.client.get("/healthz")).json() == {"status": "ok"}
        ready = (await served.client.get("/readyz")).json()
        assert ready["status"] == "ok"
        assert {name: check["ok"] for name, check in ready["checks"].items()} == dict.fromkeys(CHECKS, True)
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
            failing = {name for name, check in answer.json().get("checks", {}).items() if not check["ok"]}
            assert failing == ({"policy"} if path == "/readyz" else set())
        # Facts are welcome all the same.
        await served.know("c-1")
        champion.current = ("1", Path("unused"))
        while (await served.client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0)
        await served.decide("c-1")

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about the policy, not the log
def test_without_a_champion_the_model_followed_is_named_and_the_log_warns_once_with_a_hint(ask, champion):
    champion.current = NoChampionError("mail", hint="in the same store other has a champion: --model other")

    async def test(served):
        looked = served.app.state.service.metrics.looked_at_registry
        before = looked()
        async with asyncio.timeout(20):
            while looked() == before:
                await asyncio.sleep(0)
        await served.know("c-1")
        ready = await served.client.get("/readyz")
        refused = await served.client.post("/v1/decisions", json={"customer_id": "c-1"})
        for answer in (ready, refused):
            assert answer.status_code == 503
            assert "no version of mail, the model this server follows" in answer.json()["detail"]
            assert "other" not in answer.text.replace("another", "")  # anybody may ask /readyz
        champion.current = ("mail/1", Path("unused"))
        async with asyncio.timeout(20):
            while (await served.client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0)
        await served.decided_by("mail/1")

    with structlog.testing.capture_logs() as lines:
        ask(test)
    (line,) = [line for line in lines if line["event"] == "no policy serves"]
    assert line["log_level"] == "warning"
    assert "mail" in line["reason"]
    assert "--model other" in line["hint"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about the policy, not the log
def test_a_champion_that_is_taken_away_keeps_serving(ask, champion):
    async def test(served):
        await served.know("c-1")
        champion.current = NoChampionError("mail")
        looked = served.app.state.service.metrics.looked_at_registry
        before = looked()
        async with asyncio.timeout(20):
            while looked() == before:
                await asyncio.sleep(0)
        assert (await served.decide("c-1"))["policy_version"] == "1"

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


def test_a_database_that_takes_no_writes_makes_it_not_ready_until_it_does(ask):
    async def test(served):
        with locked(served.retailer):
            found = failing(await served.client.get("/readyz"))
            alive = await served.client.get("/healthz")
        async with asyncio.timeout(20):
            while (await served.client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.02)
        return found, alive.status_code

    found, alive = ask(test)
    assert list(found) == ["database"]
    assert "write" in found["database"]
    assert alive == 200


def test_a_database_upgraded_under_the_service_makes_it_not_ready(ask):
    async def test(served):
        engine = create_engine(read_url(served.retailer.serving.database))
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        engine.dispose()
        return failing(await served.client.get("/readyz"))

    (reason,) = ask(test).values()
    assert "schema 9999" in reason


def test_a_full_queue_makes_it_not_ready(serving, retailer):
    operations = retailer.serving.operations.model_copy(update={"queue_requests": 1, "request_timeout_seconds": 1})
    of = replace(retailer, serving=retailer.serving.model_copy(update={"operations": operations}))

    async def test():
        async with serving(of) as served:
            await served.know("c-1")
            with locked(of):
                body = {"customer_id": "c-1"}
                asking = []
                for _ in range(2):  # one is with the database, one waits
                    asking.append(asyncio.create_task(served.client.post("/v1/decisions", json=body)))
                    await asyncio.sleep(0.1)
                found = failing(await served.client.get("/readyz"))
                await asyncio.gather(*asking)
            return found

    assert set(asyncio.run(test())) == {"queue", "database"}


def test_told_to_stop_it_is_not_ready_but_decides(ask):
    async def test(served):
        await served.know("c-1")
        served.app.state.service.stop_soon()
        answer = await served.client.get("/readyz")
        await served.decide("c-1")
        return failing(answer), (await served.client.get("/metrics")).text

    found, metrics = ask(test)
    assert list(found) == ["running"]
    assert "journey_stopping 1.0" in metrics
