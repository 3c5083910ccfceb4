"""A PostgreSQL server that stops answering: requests are refused, not kept waiting; afterwards all is well again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from orchestrator.storage.database import open_database
from orchestrator.storage.dialects import dialect_of
from tests.postgresql_server import PostgreSQLServer, postgresql_server

# No request may take longer; nothing but a service that hangs comes near it.
FOR_EVER = 60


@pytest.fixture(scope="module")
def own_server(postgresql: PostgreSQLServer) -> Iterator[PostgreSQLServer]:
    """A server that may be stopped: nobody else uses it."""
    with postgresql_server() as running:
        yield running


@pytest.fixture
def database_url(own_server):
    name = own_server.create()
    yield own_server.url(name)
    own_server.drop(name)


@pytest.fixture
def hurried(retailer):
    """The configuration, with little patience."""
    operations = retailer.serving.operations.model_copy(
        update={"database_timeout_seconds": 1.0, "request_timeout_seconds": 1.0}
    )
    return replace(retailer, serving=retailer.serving.model_copy(update={"operations": operations}))


async def asked_everything(served):
    """Answers to what reads and what writes, and to whether it is ready."""
    c, who = served.client, {"customer_id": "c-1"}
    asked = [
        c.post("/v1/decisions", json=who, headers={"Idempotency-Key": "k-1"}),
        c.post("/v1/events", json={**who, "event_id": "e-1", "type": "visit"}),
        c.post("/v1/explain", json=who),
        c.get("/v1/customers/c-1"),
        c.get("/readyz"),
    ]
    async with asyncio.timeout(FOR_EVER):
        return await asyncio.gather(*asked)


async def until_all_is_well(served):
    async with asyncio.timeout(FOR_EVER):
        while True:
            answers = await asked_everything(served)
            if all(answer.status_code == 200 for answer in answers):
                return
            await asyncio.sleep(0.05)


def test_a_server_that_stands_still_is_refused_for_and_not_waited_for(serving, hurried, own_server):
    async def run():
        async with serving(hurried) as served:
            await served.know("c-1")
            await served.decide("c-1")
            with own_server.stopped():
                for _ in range(2):
                    answers = await asked_everything(served)
                    assert [answer.status_code for answer in answers] == [503] * len(answers)
                assert answers[-1].json()["checks"]["database"]["ok"] is False
            await until_all_is_well(served)
            assert len(served.rows("idempotency")) == 1

    asyncio.run(run())


def test_a_commit_that_never_returns_is_refused_and_may_be_asked_for_again(serving, hurried, own_server):
    async def run():
        async with serving(hurried) as served:
            await served.know("c-1")
            await served.decide("c-1")
            decided = len(served.rows("decisions"))
            with own_server.never_committing():
                for _ in range(2):
                    decision, event, _, _, ready = await asked_everything(served)
                    assert {decision.status_code, event.status_code, ready.status_code} == {503}
            await until_all_is_well(served)
            # What was asked for with one key was done once, whichever time it was.
            assert len(served.rows("decisions")) == decided + 1
            assert len([row for row in served.rows("events") if row["event_id"] == "e-1"]) == 1

    asyncio.run(run())


def test_the_server_ends_what_takes_too_long_itself_and_keeps_the_connection(database_url):
    engine = open_database(database_url, answers_within=2.0)
    with engine.connect() as connection:
        (process,) = connection.execute(text("SELECT pg_backend_pid()")).one()
        with pytest.raises(OperationalError, match="statement timeout"):
            connection.execute(text("SELECT pg_sleep(60)"))
        connection.rollback()
        assert connection.execute(text("SELECT pg_backend_pid()")).one() == (process,)
    engine.dispose()


def test_who_is_in_no_hurry_is_not_cut_off(database_url):
    engine = open_database(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "0"
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "10s"
        settings = connection.connection.driver_connection.info.get_parameters()
    engine.dispose()
    assert settings["tcp_user_timeout"] == "20000"
    assert (settings["keepalives_idle"], settings["keepalives_interval"]) == ("30", "10")


def test_the_vacuum_of_a_hurried_service_takes_its_time(database_url, own_server):
    engine = open_database(database_url, answers_within=1.0)
    engine.dispose()
    name = engine.url.database
    # It sleeps after every page.
    own_server.run(
        f"ALTER DATABASE {name} SET vacuum_cost_delay = 30", f"ALTER DATABASE {name} SET vacuum_cost_limit = 1"
    )
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection, pytest.raises(OperationalError, match="statement timeout"):
        connection.execute(text("VACUUM customers, events, decisions, outcomes, contacts, stated, decision_schemas"))
    assert dialect_of(engine).wipe(engine, ids=[], texts=[])
    engine.dispose()
