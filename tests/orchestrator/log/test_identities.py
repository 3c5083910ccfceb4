"""Whose ids are, read from the log of links."""

from __future__ import annotations

from sqlalchemy import Engine

from orchestrator.log.facts import write_rows
from orchestrator.log.identities import Owner, read_aliases, read_owners
from orchestrator.storage.database import open_database
from orchestrator.storage.tables import identities


def linked(connection, *links):
    """Links in this order, each at the moment of its place."""
    rows = [{"alias_id": a, "customer_id": c, "linked_at": float(i)} for i, (a, c) in enumerate(links)]
    write_rows(connection, identities, [{**row, "received_at": 0.0} for row in rows])


def test_of_several_links_of_an_id_the_last_holds(database_url):
    engine = open_database(database_url)
    with engine.begin() as connection:
        linked(connection, ("a", "u-1"), ("b", "u-1"), ("a", "u-2"), ("c", "u-3"), ("a", "u-3"), ("b", "u-2"))
        found = read_owners(connection, ["b", "a", "u-1", "nobody", "a"])
        assert found == {"a": Owner("u-3", 4.0), "b": Owner("u-2", 5.0)}
        assert read_owners(connection, []) == {}
        assert read_aliases(connection, ["u-1", "u-3"]) == {"c": Owner("u-3", 3.0), "a": Owner("u-3", 4.0)}
    engine.dispose()


def work(engine: Engine) -> int:
    """How much the database does to find the owner of an id."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE identities")
            looked_at = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'identities'"
            before = connection.exec_driver_sql(looked_at).scalar_one()
            assert read_owners(connection, ["shared"])
            return connection.exec_driver_sql(looked_at).scalar_one() - before
        steps = []
        raw = connection.connection.driver_connection
        raw.set_progress_handler(lambda: steps.append(1) and None, 1)
        assert read_owners(connection, ["shared"])
        raw.set_progress_handler(None, 1)
        return len(steps)


def test_an_id_that_changed_hands_often_is_no_more_work(database_url):
    engine = open_database(database_url)
    with engine.begin() as connection:
        # Others, so that an index is worth it.
        linked(connection, *((f"an-{i}", f"u-{i}") for i in range(3000)), ("shared", "u-0"))
    once = work(engine)
    with engine.begin() as connection:
        linked(connection, *(("shared", f"u-{i % 2}") for i in range(1500)))
    assert work(engine) <= 2 * once + 2
    engine.dispose()
