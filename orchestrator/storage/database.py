"""Opening the database: durable settings, tables, and a check of who made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from orchestrator.storage.errors import SchemaError, StorageError
from orchestrator.storage.tables import SCHEMA_VERSION, metadata, schema_version

# Reads leave the single write lock of SQLite alone: `engine.execution_options(**READ_ONLY)`.
READ_ONLY = {"journey_read_only": True}


def open_database(url: str) -> Engine:
    """Open, and create where missing, the database at an SQLAlchemy URL such as `sqlite:///journey.db`.

    Raises:
        StorageError: the URL is not usable, or the database cannot be opened.
        SchemaError: it was made by another version of this program.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StorageError(f"database URL {url!r} cannot be read; write it like sqlite:///journey.db") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise StorageError(f"database URL {url!r} is not an SQLite file; write it like sqlite:///journey.db")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, hide_parameters=True)
    event.listen(engine, "connect", _durable)
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            _prepare(connection, url)
    except SQLAlchemyError as error:
        engine.dispose()
        cause = getattr(error, "orig", None) or error
        raise StorageError(f"{url} cannot be opened as a database ({cause}); give another file") from error
    except StorageError:
        engine.dispose()
        raise
    return engine


def _prepare(connection: Connection, url: str) -> None:
    if not inspect(connection).get_table_names():
        metadata.create_all(connection)
        connection.execute(insert(schema_version).values(version=SCHEMA_VERSION))
        return
    if not inspect(connection).has_table(schema_version.name):
        raise SchemaError(f"{url} holds other tables; choose a database of its own")
    found = connection.execute(select(schema_version.c.version)).scalars().all()
    if found != [SCHEMA_VERSION]:
        raise SchemaError(f"{url} has schema version {found}, this program needs {SCHEMA_VERSION}; choose another file")


def _durable(connection: Any, _record: object) -> None:
    # SQLAlchemy's begin event emits BEGIN itself: the driver's own lazy BEGIN would leave the reads
    # before the first write outside the transaction.
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # Pages: fewer, larger checkpoints; each one is a stall.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")


def _begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("journey_read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
