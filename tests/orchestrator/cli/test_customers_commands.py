"""`journey customers`, on both kinds of database."""

from __future__ import annotations

import io
import json
import threading
import time

import pytest

from orchestrator.log.facts import serialise, write_rows
from orchestrator.log.identities import move_customers
from orchestrator.storage.database import open_database
from orchestrator.storage.tables import events, identities
from tests.database_rows import read_rows
from tests.held_customers import everything, fill, ids_besides


@pytest.fixture
def customers(journey, ask, configs, database_url):
    """`customers("export", "c-1")` runs `journey customers export c-1`; something is held of c-1 and c-2."""

    async def test(served):
        await fill(served.client, "c-1")
        await fill(served.client, "c-2")

    ask(test)
    options = ("--config", configs / "retail", "--database", database_url)
    return lambda *arguments: journey("customers", *arguments, *options)


def test_a_customer_is_exported_erased_and_gone(customers, journey, configs, database_url):
    said = customers("export", "c-1")
    assert said.code == 0, said
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert rows[-1] == {"table": "end", "rows": len(rows) - 1}
    assert {row["customer_id"] for row in rows if "customer_id" in row} == {"c-1"}
    said = customers("erase", "device of c-1", "--yes")
    assert said.code == 0, said
    assert "decisions               2 rows erased" in said.out
    for gone in ("c-1", *ids_besides("c-1")):
        assert gone not in everything(database_url).split("\n")
    assert "c-2" in everything(database_url).split("\n")
    options = ("--config", configs / "retail", "--database", database_url)
    assert "no faults" in journey("db", "check", *options).out
    again = customers("export", "c-1")
    assert (again.code, again.out) == (2, "")
    assert "nothing is held" in again.err
    acts = journey("keys", "log", "--customer", "c-1", *options).out
    assert "customer exported" in acts
    assert "customer erased" in acts
    assert "cli:" in acts
    assert "customer" not in journey("keys", "log", "--customer", "c-2", *options).out


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_is_erased_without_a_yes(customers, database_url, monkeypatch):
    before = everything(database_url)
    for answer in ("n\n", "\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert customers("erase", "c-1").code == 1
        assert everything(database_url) == before
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = customers("erase", "c-1")
    assert said.code == 0
    assert "Erase everything about the customer 'c-1'?" in said.out + said.err
    assert "nothing was held" not in said.out + said.err
    assert len(read_rows(database_url, "SELECT DISTINCT at, who, what FROM audit_log")) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_id_under_which_nothing_is_held_is_not_erased_in_silence(customers, database_url):
    before = read_rows(database_url, "SELECT * FROM events")
    said = customers("erase", "c-11", "--yes")
    assert said.code == 0  # as of an erasure that is repeated
    assert "nothing was held under the id 'c-11'; check it" in said.err
    assert read_rows(database_url, "SELECT * FROM events") == before


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_an_erasure_that_waits_for_a_merge_has_the_whole_customer_to_itself(customers, database_url):
    engine = open_database(database_url)
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    said = []
    erasing = threading.Thread(target=lambda: said.append(customers("erase", "c-1", "--yes")))

    def wait():
        for _ in range(3000):
            if read_rows(database_url, waiting) or said:
                return
            time.sleep(0.01)

    with engine.begin() as server, engine.begin() as another:
        serialise(server, customer_ids=["c-1"], keys=(), fact_ids=())
        serialise(another, customer_ids=["u-9"], keys=(), fact_ids=())
        erasing.start()
        wait()
        row = {"alias_id": "c-1", "customer_id": "u-9", "linked_at": 1.0, "received_at": 1.0}
        write_rows(server, identities, [row])
        move_customers(server, {"c-1": "u-9"})
        server.commit()
        wait()
        assert said == []  # it waits for the other one now
        fact = {"type": "visit", "timestamp": 1.0, "received_at": 1.0, "body": "{}"}
        write_rows(another, events, [{"event_id": "late", "customer_id": "u-9", **fact}])
    erasing.join()
    engine.dispose()
    assert said[0].code == 0, said
    assert read_rows(database_url, "SELECT 1 FROM events WHERE customer_id IN ('c-1', 'u-9')") == []
