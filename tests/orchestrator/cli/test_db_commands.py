"""`journey db`, on both kinds of database."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime

import pytest

from orchestrator.storage.tables import SCHEMA_VERSION
from tests.database_rows import change, read_rows

CUSTOMERS = 5
EVENTS = {
    "visit": {},
    "view": {"category": "pantry"},
    "purchase": {"value": 11.5, "quantity": 2, "discount": 0.5},
    "open": {"channel": "email"},
    "profile": {"attributes": {"age": "25-34", "store_distance": 4.2}},
}


@pytest.fixture
def filled(ask, database_url):
    """URL of a database in which a service kept events of every kind, decisions and outcomes."""

    async def fill(served):
        for i in range(CUSTOMERS):
            events = [
                {"event_id": f"{kind}-{i}", "customer_id": f"c-{i}", "type": kind, **more}
                for kind, more in EVENTS.items()
            ]
            answer = await served.client.post("/v1/events", json=events)
            assert answer.status_code == 200, answer.text
            headers = {"Idempotency-Key": f"k-{i}"}
            made = await served.client.post("/v1/decisions", json={"customer_id": f"c-{i}"}, headers=headers)
            outcomes = [
                {"outcome_id": f"{kind}-of-{i}", "decision_id": made.json()["decision_id"], "type": kind, "value": 7.0}
                for kind in ("purchase", "click", "accept")
            ]
            answer = await served.client.post("/v1/outcomes", json=outcomes)
            assert answer.status_code == 200, answer.text

    ask(fill)
    return database_url


def test_a_sound_database_has_no_faults_and_its_rows_are_counted(journey, filled, configs):
    said = journey("db", "check", "--config", configs / "retail", "--database", filled)
    assert said.code == 0, said
    assert "no faults" in said.out
    assert f"schema {SCHEMA_VERSION}" in said.out
    assert "5 profiles compared" in said.out
    counted = {line.split()[0]: line.split()[1] for line in said.out.splitlines() if line.endswith(" rows")}
    assert (counted["customers"], counted["decisions"], counted["outcomes"]) == ("5", "5", "15")


# PostgreSQL itself refuses rows that name others which are not there, unless told not to look.
UNGUARDED = {"sqlite": (), "postgresql": ("SET session_replication_role = replica",)}


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM decision_schemas", "decisions: 5 rows name a schema_id that decision_schemas lacks"),
        ("DELETE FROM decisions", "idempotency: 5 rows name a decision_id that decisions lacks"),
        ("DELETE FROM customers WHERE customer_id = 'c-1'", "name a customer_id that customers lacks"),
        ("DELETE FROM events WHERE event_id = 'purchase-3'", "1 of 5 profiles are not what their events make of them"),
        ("DELETE FROM events WHERE event_id = 'purchase-of-4'", "1 of 5 profiles are not what their events make"),
        ("UPDATE customers SET layout = 'other' WHERE customer_id = 'c-1'", "1 profiles of another configuration"),
    ],
)
def test_what_is_missing_or_changed_is_found(journey, filled, configs, statement, fault):
    change(filled, *UNGUARDED[filled.partition(":")[0]], statement)
    said = journey("db", "check", "--config", configs / "retail", "--database", filled)
    assert said.code == 1
    assert fault in said.err
    assert "no faults" not in said.out


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_damaged_file_is_found(journey, filled, configs, tmp_path):
    change(filled, "PRAGMA wal_checkpoint(TRUNCATE)")
    change(filled, "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET rootpage = 2 WHERE name = 'outcomes'")
    said = journey("db", "check", "--config", configs / "retail", "--database", filled)
    assert said.code in (1, 2)
    assert said.err


@pytest.fixture
def restore(request, database_url, monkeypatch, tmp_path):
    """`restore(file)` is the URL of a database made of a backup; the programs that takes are on the path."""
    if database_url.startswith("sqlite"):
        return lambda file: f"sqlite:///{file}"
    server = request.getfixturevalue("postgresql")
    monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")

    def run(file):
        url = server.url(server.create())
        subprocess.run(["pg_restore", "--no-owner", "-d", url, file], check=True)
        return url

    return run


def test_a_backup_is_the_database_as_it_was(journey, filled, configs, tmp_path, restore):
    copy = tmp_path / "backup.db"
    said = journey("db", "backup", copy, "--config", configs / "retail", "--database", filled)
    assert said.code == 0, said
    decided = read_rows(filled, "SELECT * FROM decisions ORDER BY decision_id")
    change(filled, "DELETE FROM outcomes")
    restored = restore(copy)
    assert read_rows(restored, "SELECT * FROM decisions ORDER BY decision_id") == decided
    said = journey("db", "check", "--config", configs / "retail", "--database", restored)
    assert said.code == 0, said
    assert "outcomes                   15 rows" in said.out
    # Another one never takes its place.
    again = journey("db", "backup", copy, "--config", configs / "retail", "--database", filled)
    assert (again.code, "exists" in again.err) == (2, True)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_backup_without_pg_dump_says_what_to_install(refused, filled, configs, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refused("db", "backup", tmp_path / "b.dump", "--config", configs / "retail", "--database", filled)
    assert "install PostgreSQL's client programs (postgresql-client)" in said


def test_an_older_database_is_told_to_upgrade(journey, filled, configs):
    change(filled, "UPDATE alembic_version SET version_num = '0000'")
    options = ("--config", configs / "retail", "--database", filled)
    said = journey("db", "check", *options)
    assert said.code == 2
    assert "journey db upgrade" in said.err
    change(filled, f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSION:04}'")  # noqa: S608
    assert "already up to date" in journey("db", "upgrade", *options).out


def test_messages_kept_raw_are_listed_by_name(journey, ask, database_url, configs):
    options = ("--config", configs / "retail", "--database", database_url)

    async def fill(served):
        names = ["[red]Odd[/red]", "Odder\x9b2J", "Odd", "Odd", "[red]Odd[/red]", "Odd"]
        messages = [
            {"type": "track", "messageId": f"m-{i}", "userId": "c-1", "event": name} for i, name in enumerate(names)
        ]
        for _ in range(2):  # the second time, nothing is new
            answer = await served.client.post("/v1/batch", json={"batch": messages})
            assert answer.status_code == 200, answer.text

    ask(fill)
    said = journey("db", "raw", *options)
    assert said.code == 0, said
    found = [[cell.strip() for cell in line.strip("│").split("│")] for line in said.out.splitlines() if "│" in line]
    assert [row[:3] for row in found] == [
        ["segment", "Odd", "3"],
        ["segment", "[red]Odd[/red]", "2"],
        ["segment", "Odder\ufffd2J", "1"],
    ]
    (received,) = read_rows(database_url, "SELECT max(received_at) AS last FROM raw_events")
    assert found[0][3] == f"{datetime.fromtimestamp(received['last'], UTC):%Y-%m-%dT%H:%M:%SZ}"


def test_where_nothing_was_kept_raw_that_is_said(journey, filled, configs):
    said = journey("db", "raw", "--config", configs / "retail", "--database", filled)
    assert (said.code, said.out) == (0, "no message was kept raw\n")


@pytest.mark.parametrize("command", [("check",), ("raw",), ("backup", "copy.db")])
def test_a_file_that_is_not_there_is_not_made(refused, configs, tmp_path, command):
    database = f"sqlite:///{tmp_path / 'none.db'}"
    assert "no such file" in refused("db", *command, "--config", configs / "retail", "--database", database)
