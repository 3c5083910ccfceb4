"""Opening the database: durable settings, tables, and a check of who made it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from orchestrator.storage.dialects import dialect_named, dialect_of
from orchestrator.storage.errors import StorageError
from orchestrator.storage.migrating import found_version, migrate, require_current
from policies.whole_files import whole_file

# Reads leave the single write lock of SQLite alone: `engine.execution_options(**READ_ONLY)`.
READ_ONLY = {"journey_read_only": True}
_EXAMPLES = "write it like sqlite:///journey.db or postgresql://user@host/journey"


def read_url(url: str) -> URL:
    """The URL of a database, with the driver this program uses.

    Raises:
        StorageError: it is of no database this program can use.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StorageError(f"database URL {url!r} cannot be read; {_EXAMPLES}") from error
    named = bool(parsed.database) and parsed.database != ":memory:"
    if parsed.drivername == "sqlite" and named:
        return parsed
    if parsed.drivername in {"postgresql", "postgresql+psycopg"} and named:
        return parsed.set(drivername="postgresql+psycopg")
    raise StorageError(f"database URL {url!r} names no SQLite file and no PostgreSQL database; {_EXAMPLES}")


def open_database(url: str, *, create: bool = True, answers_within: float = math.inf) -> Engine:
    """Open a database by its URL.

    Args:
        url: as in `serving.yaml`.
        create: give an empty database its tables, instead of refusing it.
        answers_within: seconds after which a statement or commit that PostgreSQL has not answered counts as failed, and
            may have been done or not. Infinite by default: some read or change very much at once.

    Raises:
        StorageError: the URL is not usable, or the database cannot be opened.
        SchemaError: it was made by another version of this program.
    """
    with opening_engine(url, create=create, answers_within=answers_within) as engine, engine.begin() as connection:
        dialect_of(connection).lock_schema(connection)
        found = found_version(connection)
        if found is None and create:
            migrate(connection)
        else:
            require_current(_there(found))
    return engine


def back_up_database(url: str, target: Path) -> None:
    """Copy a database of any schema of this program, while it is in use, into a new file.

    Raises:
        StorageError: the database cannot be read, the file exists already, or a program it needs is missing.
    """
    if target.exists():
        raise StorageError(f"{target} exists; give the backup another name")
    with opening_engine(url, create=False) as engine:
        with engine.begin() as connection:
            _there(found_version(connection))
        engine.dispose()
        with whole_file(target) as staging:
            dialect_of(engine).back_up(engine.url, staging)


def _there(found: int | None) -> int:
    if found is None:
        raise StorageError("it is empty; `journey serve` or `journey db upgrade` makes its tables")
    return found


@contextmanager
def opening_engine(url: str, *, create: bool = True, answers_within: float = math.inf) -> Iterator[Engine]:
    """An engine whose errors inside the block name the database; it is disposed of after one."""
    parsed = read_url(url)
    if parsed.drivername == "sqlite":
        path = Path(str(parsed.database))
        if not (create or path.exists()):
            raise StorageError(f"{url}: no such file; give the database `journey serve` uses")
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, hide_parameters=True, **dialect_named(parsed).engine_options())
    dialect_of(engine).tune(engine, answers_within=answers_within)
    try:
        yield engine
    except SQLAlchemyError as error:
        engine.dispose()
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        raise StorageError(f"{engine.url} cannot be opened as a database ({cause}); give another URL") from error
    except StorageError as error:
        engine.dispose()
        raise type(error)(f"{engine.url}: {error}") from error
