"""A database of before raw messages said whose they are."""

from __future__ import annotations

import json

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, insert

from orchestrator.log.upgrading import upgrade_database
from orchestrator.storage.database import read_url
from orchestrator.storage.tables import events, identities
from tests.database_rows import read_rows

BEFORE = "0008"


@pytest.fixture
def old(database_url):
    """A connection to a database of before."""
    engine = create_engine(read_url(database_url), poolclass=NullPool)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "orchestrator.storage:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def link(connection, alias, customer, at):
    row = {"alias_id": alias, "customer_id": customer, "linked_at": at, "received_at": at}
    connection.execute(insert(identities).values(row))


def test_raw_messages_are_given_to_whom_they_are_about(old, database_url):
    messages = [
        ({"userId": 104299}, 1.0, ("104299", "104299", None, None)),
        ({"type": "alias", "previousId": "prev-7"}, 1.0, ("prev-7", None, None, "prev-7")),
        # Merged into alice, who is a-2 since; then moved to bob.
        ({"anonymousId": "an-1"}, 1.0, ("a-2", None, "an-1", None)),
        ({"anonymousId": "an-1"}, 3.0, ("a-2", None, "an-1", None)),
        ({"anonymousId": "an-1"}, 5.0, ("bob", None, "an-1", None)),
        ({"userId": "carl", "anonymousId": "an-1"}, 5.0, ("carl", "carl", "an-1", None)),
        ({"userId": "a\u0000b", "anonymousId": ""}, 5.0, (None, None, None, None)),
        ({"userId": ["x"]}, 5.0, (None, None, None, None)),
        (7, 5.0, (None, None, None, None)),
    ]
    with old.begin():
        for i, (message, at, _) in enumerate(messages):
            old.exec_driver_sql(
                "INSERT INTO raw_events (source, message_id, name, reason, received_at, payload) "  # noqa: S608
                f"VALUES ('segment', 'm-{i}', '', '', {at}, '{json.dumps(message)}')"
            )
        for alias, customer, at in (("an-1", "alice", 2.0), ("an-1", "bob", 4.0), ("alice", "a-2", 6.0)):
            link(old, alias, customer, at)
    upgrade_database(database_url)
    rows = read_rows(database_url, "SELECT * FROM raw_events ORDER BY sequence")
    named = [(row["customer_id"], row["user_id"], row["anonymous_id"], row["previous_id"]) for row in rows]
    assert named == [expected for _, _, expected in messages]


def test_bodies_of_events_name_no_customer_any_more(old, database_url):
    said = {"event_id": "e", "type": "profile", "attributes": {"home_store": "zoë \u0001"}, "value": 31.5}
    row = {"type": "profile", "timestamp": 1.0, "received_at": 1.0, "customer_id": "c-1"}
    bodies = [json.dumps({"customer_id": "c-1", **said}), json.dumps({**said, "customer_id": "c-1"}), json.dumps(said)]
    with old.begin():
        rows = [{**row, "event_id": f"e-{i}", "body": bodies[i % 3]} for i in range(2500)]
        old.execute(insert(events), rows)
    upgrade_database(database_url)
    after = read_rows(database_url, "SELECT event_id, customer_id, body FROM events ORDER BY sequence")
    assert [row["event_id"] for row in after] == [f"e-{i}" for i in range(2500)]
    assert all((row["customer_id"], json.loads(row["body"])) == ("c-1", said) for row in after)
