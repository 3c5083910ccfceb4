"""Opening the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import insert, select

from orchestrator.storage.database import READ_ONLY, open_database
from orchestrator.storage.errors import SchemaError, StorageError
from orchestrator.storage.tables import SCHEMA_VERSION, layouts


def test_what_is_committed_is_forced_to_disk(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    engine.dispose()


def test_opening_again_keeps_what_is_there(tmp_path):
    for _ in range(2):
        engine = open_database(f"sqlite:///{tmp_path / 'sub' / 'a.db'}")
        with engine.begin() as connection:
            connection.execute(insert(layouts).prefix_with("OR REPLACE").values(layout_id="a", body="{}"))
        engine.dispose()
    with closing(sqlite3.connect(tmp_path / "sub" / "a.db")) as plain:
        assert plain.execute("SELECT count(*) FROM layouts").fetchone() == (1,)
        assert plain.execute("SELECT version FROM schema_version").fetchall() == [(SCHEMA_VERSION,)]


def test_reading_does_not_wait_for_a_write_in_progress(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    reading = engine.execution_options(**READ_ONLY)
    with engine.begin() as writing:
        writing.execute(insert(layouts).values(layout_id="a", body="{}"))
        with reading.connect() as connection:
            assert connection.execute(select(layouts)).all() == []
    engine.dispose()


def test_a_database_of_another_version_is_refused(tmp_path):
    open_database(f"sqlite:///{tmp_path / 'a.db'}").dispose()
    with closing(sqlite3.connect(tmp_path / "a.db")) as plain:
        plain.execute("UPDATE schema_version SET version = 99")
        plain.commit()
    with pytest.raises(SchemaError, match=r"version \[99\]"):
        open_database(f"sqlite:///{tmp_path / 'a.db'}")


def test_a_database_of_another_program_is_refused_untouched(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as plain:
        plain.execute("CREATE TABLE orders (id)")
    with pytest.raises(SchemaError, match="other tables"):
        open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with closing(sqlite3.connect(tmp_path / "a.db")) as plain:
        assert plain.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


@pytest.mark.parametrize("url", ["journey.db", "sqlite://", "sqlite:///:memory:", "mysql://x/y", ""])
def test_a_url_that_is_no_sqlite_file_is_refused_with_an_example(url):
    with pytest.raises(StorageError, match=r"sqlite:///journey\.db"):
        open_database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "a.db").write_text("not a database, but long enough to be looked at " * 20)
    with pytest.raises(StorageError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path / 'a.db'}")
