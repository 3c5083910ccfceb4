"""Opening a database, of either kind."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from orchestrator.log import upgrading
from orchestrator.log.facts import keep_schema
from orchestrator.log.upgrading import upgrade_database
from orchestrator.storage import migrating
from orchestrator.storage.database import READ_ONLY, open_database, read_url
from orchestrator.storage.errors import SchemaError, StorageError
from orchestrator.storage.tables import SCHEMA_VERSION, decision_schemas, metadata
from tests.database_rows import change, read_rows


def test_what_sqlite_commits_is_forced_to_disk(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    engine.dispose()


def test_what_postgresql_commits_is_forced_to_disk_whatever_the_server_prefers(postgresql):
    name = postgresql.create()
    postgresql.run(f"ALTER DATABASE {name} SET synchronous_commit = off")
    postgresql.run(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    engine = open_database(postgresql.url(name))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"
    engine.dispose()
    postgresql.drop(name)


def test_opening_again_keeps_what_is_there(empty_database_url):
    for _ in range(2):
        engine = open_database(empty_database_url)
        with engine.begin() as connection:
            keep_schema(connection, "a", "{}")
        engine.dispose()
    assert read_rows(empty_database_url, "SELECT schema_id, body FROM decision_schemas") == [
        {"schema_id": "a", "body": "{}"}
    ]
    assert read_rows(empty_database_url, "SELECT * FROM alembic_version") == [{"version_num": f"{SCHEMA_VERSION:04}"}]


def test_two_processes_may_open_an_empty_database_at_once(empty_database_url):
    together, engines = threading.Barrier(4), []

    def open_it():
        together.wait(20)
        engines.append(open_database(empty_database_url))

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert len(engines) == 4


def test_reading_does_not_wait_for_a_write_in_progress(empty_database_url):
    engine = open_database(empty_database_url)
    reading = engine.execution_options(**READ_ONLY)
    with engine.begin() as writing:
        keep_schema(writing, "a", "{}")
        with reading.connect() as connection:
            assert connection.execute(select(decision_schemas)).all() == []
    engine.dispose()


def test_migrations_make_the_tables_the_program_uses(empty_database_url):
    engine = open_database(empty_database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        # Comments are for readers of the source.
        assert [d for d in compare_metadata(context, metadata) if "comment" not in str(d[0])] == []
    engine.dispose()


def test_migrations_are_numbered_without_a_gap():
    scripts = ScriptDirectory("orchestrator/storage/migrations")
    numbers = sorted(int(script.revision) for script in scripts.walk_revisions())
    assert numbers == list(range(1, SCHEMA_VERSION + 1))
    assert scripts.get_current_head() == f"{SCHEMA_VERSION:04}"


def test_tables_that_changed_since_a_release_need_a_migration():
    """When this fails before the first release, write the digest anew; afterwards freeze v0001, and add a migration."""
    made = "".join(str(CreateTable(table).compile(dialect=sqlite.dialect())) for table in metadata.sorted_tables)
    assert hashlib.sha256(made.encode()).hexdigest()[:16] == "52d375aed5595b38"


SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("stock", sa.Column("store", sa.String()))
"""


@pytest.fixture
def a_newer_program(tmp_path, monkeypatch):
    """`become()` makes the program one that knows a second migration."""

    def become():
        folder = tmp_path / "migrations"
        shutil.copytree("orchestrator/storage/migrations", folder)
        (folder / "versions" / "v0002_second.py").write_text(SECOND)
        monkeypatch.setattr(migrating, "MIGRATIONS", str(folder))
        for module in (migrating, upgrading):
            monkeypatch.setattr(module, "SCHEMA_VERSION", 2)

    return become


def with_a_row(url):
    open_database(url).dispose()
    change(url, "INSERT INTO decision_schemas VALUES ('a', '{}')")


def test_an_older_database_is_refused_until_it_is_upgraded(empty_database_url, a_newer_program):
    with_a_row(empty_database_url)
    a_newer_program()
    with pytest.raises(SchemaError, match=r"has schema 1, .* needs 2; .*`journey db upgrade`"):
        open_database(empty_database_url)
    assert upgrade_database(empty_database_url) == (1, 2)
    engine = open_database(empty_database_url)
    assert "store" in {column["name"] for column in inspect(engine).get_columns("stock")}
    engine.dispose()
    assert read_rows(empty_database_url, "SELECT schema_id FROM decision_schemas") == [{"schema_id": "a"}]
    (act,) = read_rows(empty_database_url, "SELECT what, target FROM audit_log")
    assert act == {"what": "database upgraded", "target": "schema 1 -> 2"}
    assert upgrade_database(empty_database_url) == (2, 2)


def test_an_upgrade_that_fails_leaves_everything_as_it_was(empty_database_url, a_newer_program, monkeypatch):
    with_a_row(empty_database_url)
    a_newer_program()

    def fail(*arguments, **more):
        raise StorageError("the power went")

    from alembic.runtime.migration import MigrationContext as Running

    done = Running.run_migrations
    monkeypatch.setattr(Running, "run_migrations", lambda self, **more: (done(self, **more), fail()))
    with pytest.raises(StorageError, match="the power went"):
        upgrade_database(empty_database_url)
    assert read_rows(empty_database_url, "SELECT * FROM alembic_version") == [{"version_num": "0001"}]
    with pytest.raises(SchemaError, match="has schema 1"):
        open_database(empty_database_url)


def test_a_newer_database_is_refused_naming_this_version_and_is_not_upgraded(empty_database_url):
    open_database(empty_database_url).dispose()
    change(empty_database_url, "UPDATE alembic_version SET version_num = '0099'")
    for refused in (open_database, upgrade_database):
        with pytest.raises(SchemaError, match=r"has schema 99, .*newer version; this is journey-orchestrator \d+\.\d+"):
            refused(empty_database_url)


def test_a_database_of_another_program_is_refused_untouched(empty_database_url):
    change(empty_database_url, "CREATE TABLE orders (id INTEGER)")
    for refused in (open_database, upgrade_database):
        with pytest.raises(SchemaError, match="other tables"):
            refused(empty_database_url)
    engine = open_engine(empty_database_url)
    assert inspect(engine).get_table_names() == ["orders"]
    engine.dispose()


def open_engine(url):
    from sqlalchemy import create_engine

    return create_engine(read_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "journey.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://x/y",
        "",
        "postgresql://host",
        "postgresql+asyncpg://h/d",
    ],
)
def test_a_url_of_no_database_we_know_is_refused_with_an_example(url):
    with pytest.raises(StorageError, match=r"sqlite:///journey\.db or postgresql://"):
        open_database(url)


def test_postgresql_means_psycopg_3():
    for written in ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"):
        assert read_url(written).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["postgresql://me:hush@127.0.0.1:1/journey", "mysql://me:hush@host/journey"])
def test_no_error_shows_a_password(url):
    with pytest.raises(StorageError) as refused:
        open_database(url)
    assert "hush" not in str(refused.value)
    assert "journey" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_database_in_another_encoding_is_refused(postgresql):
    name = "in_latin1"
    postgresql.run(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StorageError, match="LATIN1; create it with ENCODING 'UTF8'"):
        open_database(postgresql.url(name))
    postgresql.drop(name)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "a.db").write_text("not a database, but long enough to be looked at " * 20)
    with pytest.raises(StorageError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path / 'a.db'}")


def test_a_file_is_made_only_where_asked(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        open_database(f"sqlite:///{tmp_path / 'a.db'}", create=False)
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "b.db")) as empty:
        empty.execute("PRAGMA user_version = 1")
    with pytest.raises(StorageError, match="it is empty"):
        open_database(f"sqlite:///{tmp_path / 'b.db'}", create=False)
