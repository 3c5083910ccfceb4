"""What SQLite and PostgreSQL do differently; everything else about the database is written once, elsewhere.

Both make a batch exact across processes. SQLite has one writer at a time (`BEGIN IMMEDIATE`). On PostgreSQL a batch
first locks, by name, everything it is going to read or add (`Dialect.serialise`), so what it then reads stays true
until it commits.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import (
    ARRAY,
    URL,
    ColumnElement,
    Connection,
    Engine,
    String,
    Table,
    any_,
    bindparam,
    event,
    literal,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from orchestrator.storage.deadlines import PatientConnection
from orchestrator.storage.errors import StorageError
from orchestrator.storage.residue_scan import holds_any
from orchestrator.storage.tables import Row, customers, metadata

# Seconds to wait for another process's lock before the batch is refused.
_PATIENCE = 10
# Over TCP, of every connection, however long its statements take: a machine or a path that is gone without a word is
# noticed when what was sent is not acknowledged for 20 s, and while an answer is waited for, by probes after 30 s of
# silence. The machine of a server that works on a long statement acknowledges both.
_NETWORK = {
    "tcp_user_timeout": 20_000,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# Rows of one INSERT of SQLite.
_MOST_ROWS = 64
# Locks of one transaction of PostgreSQL: its table of locks has room for some 6,400 by default, for all processes.
_MOST_LOCKS = 600
_ALL, _SCHEMA = 1, 2


class Dialect(ABC):
    """One kind of database."""

    # Most values one `is_any` may be given.
    most_values: int
    # For statements written out, which need not be built for every batch: whether what stands before is one of the
    # values of a parameter made by `listed`, these values as a table with the column `value`, and the place of a single
    # number.
    among: str
    given: str
    value: str
    # Whether others may have written between the transaction's begin and the end of `serialise`.
    has_company: bool

    @abstractmethod
    def engine_options(self) -> dict[str, Any]:
        """Arguments of `create_engine`."""

    @abstractmethod
    def tune(self, engine: Engine, *, answers_within: float) -> None:
        """Make what is committed durable, waiting bounded, and transactions exact; before the first connection.

        Args:
            engine: without connections yet.
            answers_within: seconds after which a statement or commit that is not answered counts as failed; infinite
                for whoever reads or changes very much at once.
        """

    @abstractmethod
    def lock_schema(self, connection: Connection) -> None:
        """Let nobody else create or change tables until the transaction ends."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """Execution options of a transaction that only reads, and sees the database as it is at one moment."""

    @abstractmethod
    def serialise(self, connection: Connection, names: Iterable[str]) -> None:
        """Let no other process's batch that gives one of the names read or write until this transaction ends."""

    @abstractmethod
    def lock_out_others(self, connection: Connection) -> None:
        """Let no other process's batch read or write until this transaction ends; before `serialise`."""

    @abstractmethod
    def is_any(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """Whether the column is one of the values."""

    @abstractmethod
    def listed(self, values: Sequence[str]) -> object:
        """The values as the parameter of `among`, any number of them."""

    @abstractmethod
    def read_states(self, connection: Connection, customer_ids: Sequence[str]) -> dict[str, bytes]:
        """Profile states of the customers that are known."""

    @abstractmethod
    def write_states(self, connection: Connection, *, new: Sequence[Row], changed: Sequence[Row]) -> None:
        """Write whole customer rows: `new` ones are added, `changed` ones replaced."""

    @abstractmethod
    def write_rows(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Add rows, each with the same keys; none is fine."""

    @abstractmethod
    def write_missing(self, connection: Connection, table: Table, row: Row) -> None:
        """Add a row unless one with its key is there."""

    @abstractmethod
    def faults(self, connection: Connection) -> list[str]:
        """What the database itself finds broken in its storage."""

    @abstractmethod
    def wipe(self, engine: Engine, *, ids: Sequence[str], texts: Sequence[str]) -> bool:
        """Remove the bytes of deleted rows from the storage, as far as the program can; outside of any transaction.

        Args:
            engine: the database.
            ids: of the customer whose rows were deleted.
            texts: that only deleted rows held.

        Returns:
            Whether it was done; others who use the database can prevent it, and rows of others that say an id.
        """

    @abstractmethod
    def back_up(self, url: URL, target: Path) -> None:
        """Copy the database, as it is at one moment and while it is in use, into a new file.

        Raises:
            StorageError: it cannot be done; the message says what is missing.
        """

    @abstractmethod
    def try_again(self, error: object) -> bool:
        """Whether the database undid the transaction only because another one was in its way."""


def _write_ahead(connection: Any) -> None:
    """Switch a database to the write-ahead log; only that does not wait for others who do it at the same time."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


class SQLite(Dialect):
    """A file; one writer at a time, whichever process it is in."""

    # SQLite takes at most 32,766 bound values per statement.
    most_values = 10_000
    among = "IN (SELECT value FROM json_each(?))"
    given = "json_each(?) AS given"
    value = "?"
    has_company = False

    def engine_options(self) -> dict[str, Any]:
        """Nothing special."""
        return {}

    def tune(self, engine: Engine, *, answers_within: float) -> None:  # noqa: ARG002 - nobody can interrupt a disk
        """Write-ahead log, forced to disk at every commit; transactions begin as writers unless read-only."""

        def durable(connection: Any, _record: object) -> None:
            # SQLAlchemy's begin event emits BEGIN itself: the driver's own lazy BEGIN would leave the reads
            # before the first write outside the transaction.
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000}")
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            # Pages: fewer, larger checkpoints; each one is a stall.
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            # KiB: a write touches pages all over the indexes, and by default most would be read again.
            connection.execute("PRAGMA cache_size = -8192")
            # What is deleted or replaced is overwritten with zeros.
            connection.execute("PRAGMA secure_delete = ON")

        def begin(connection: Connection) -> None:
            read_only = connection.get_execution_options().get("journey_read_only")
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

        event.listen(engine, "connect", durable)
        event.listen(engine, "begin", begin)

    def lock_schema(self, connection: Connection) -> None:
        """The transaction is the only writer already."""

    def snapshot(self) -> dict[str, Any]:
        """Every transaction sees one moment; a read-only one leaves the write lock alone."""
        return {"journey_read_only": True}

    def serialise(self, connection: Connection, names: Iterable[str]) -> None:
        """The transaction is the only writer already."""

    def lock_out_others(self, connection: Connection) -> None:
        """The transaction is the only writer already."""

    def is_any(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """`IN`."""
        return column.in_(values)

    def listed(self, values: Sequence[str]) -> object:
        """JSON: one prepared statement for any number of values."""
        return json.dumps(values)

    def read_states(self, connection: Connection, customer_ids: Sequence[str]) -> dict[str, bytes]:
        """They come as one row, for the reason given at `write_rows`."""
        query = f"SELECT json_group_object(customer_id, hex(state)) FROM customers WHERE customer_id {self.among}"
        found = connection.exec_driver_sql(query, (self.listed(customer_ids),)).scalar_one()
        return {customer: bytes.fromhex(state) for customer, state in from_json(found).items()}

    def write_states(self, connection: Connection, *, new: Sequence[Row], changed: Sequence[Row]) -> None:
        """One statement for the new, one for each of the changed."""
        self.write_rows(connection, customers, new)
        if changed:
            renamed = [{**row, "key": row["customer_id"]} for row in changed]
            connection.execute(update(customers).where(customers.c.customer_id == bindparam("key")), renamed)

    def write_rows(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Several rows go into one statement.

        The driver gives up the interpreter lock for every step of a statement, and on a busy event loop each time
        costs more than the row itself.
        """
        start = 0
        while start < len(rows):
            # Powers of two, so that a few prepared statements serve every number of rows.
            count = min(_MOST_ROWS, 1 << ((len(rows) - start).bit_length() - 1))
            chunk = rows[start : start + count]
            columns = tuple(chunk[0])
            values = tuple(value for row in chunk for value in row.values())
            connection.exec_driver_sql(_insert_sqlite(table.name, columns, count), values)
            start += count

    def write_missing(self, connection: Connection, table: Table, row: Row) -> None:
        """`ON CONFLICT DO NOTHING`."""
        connection.execute(sqlite.insert(table).values(row).on_conflict_do_nothing())

    def faults(self, connection: Connection) -> list[str]:
        """By `PRAGMA integrity_check`, which reads the whole file."""
        said = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        return [line for line in said if line != "ok"]

    def wipe(self, engine: Engine, *, ids: Sequence[str], texts: Sequence[str]) -> bool:
        """Empty the write-ahead log, and rewrite the whole file if something is left in it all the same.

        `secure_delete` overwrites rows where they stand last. Pages that were split before may hold copies still; only
        `VACUUM` removes those, and it stops writers while it rewrites the file. Then only rows that are left are in it:
        of the ids, no column says them, so JSON is looked through for one that stands there by itself.
        """
        file = Path(str(engine.url.database))
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            done = _empty_wal(cursor)
            if done and holds_any(file, (*ids, *texts)):
                cursor.execute("VACUUM")
                done = _empty_wal(cursor) and not holds_any(file, ids, whole=True)
        except (sqlite3.OperationalError, OSError):  # somebody else is reading or writing, and goes on
            return False
        finally:
            connection.close()
        return done

    def back_up(self, url: URL, target: Path) -> None:
        """By SQLite's online backup."""
        with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)

    def try_again(self, error: object) -> bool:  # noqa: ARG002
        """Never: nothing runs beside a writer."""
        return False


class PostgreSQL(Dialect):
    """A server, by psycopg 3; writers run side by side unless they have a name in common."""

    # Any number; this bounds the size of one statement.
    most_values = 100_000
    among = "= ANY(%b::varchar[])"
    given = "unnest(%b::varchar[]) AS given(value)"
    value = "%b::float8"
    has_company = True

    def engine_options(self) -> dict[str, Any]:
        """What a batch reads after its locks must be what was committed before: `READ COMMITTED`."""
        return {
            "isolation_level": "READ COMMITTED",
            "pool_pre_ping": True,
            "connect_args": {"connect_timeout": _PATIENCE, **_NETWORK},
        }

    def tune(self, engine: Engine, *, answers_within: float) -> None:
        """Commits wait for the disk; locks are waited for only so long, and let go by a client that hangs.

        In a hurry, locks and new connections get half of the time at most, and a statement is ended by the server after
        three quarters of it: so a server that lives says what was wrong, and keeps the connection.
        """
        hurried = answers_within < math.inf
        patience = min(float(_PATIENCE), answers_within / 2)

        def connect(_dialect: object, _record: object, arguments: Any, options: dict[str, Any]) -> PatientConnection:
            # Whole seconds, at least two: what libpq takes.
            connection = PatientConnection.connect(
                *arguments, **{**options, "connect_timeout": max(math.ceil(patience), 2)}
            )
            connection.answers_within = answers_within
            return connection

        def durable(connection: Any, _record: object) -> None:
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit')='off'"
            )
            connection.execute(f"SET lock_timeout = '{_milliseconds(patience)}ms'")
            if hurried:
                connection.execute(f"SET statement_timeout = '{_milliseconds(answers_within * 0.75)}ms'")
            connection.execute("SET idle_in_transaction_session_timeout = '60s'")
            connection.commit()

        event.listen(engine, "do_connect", connect)
        event.listen(engine, "connect", durable)

    def lock_schema(self, connection: Connection) -> None:
        """By an advisory lock of its own."""
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s::bigint)", (_SCHEMA,))
        if (encoding := connection.exec_driver_sql("SHOW server_encoding").scalar_one()) != "UTF8":
            raise StorageError(f"the database is encoded in {encoding}; create it with ENCODING 'UTF8'")

    def snapshot(self) -> dict[str, Any]:
        """`REPEATABLE READ`: by default, each statement sees a moment of its own."""
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def serialise(self, connection: Connection, names: Iterable[str]) -> None:
        """By one advisory lock per name, in ascending order, so that batches wait for each other but never in a ring.

        A batch with very many names locks everybody else out instead: the server's table of locks is small.
        """
        locks = sorted({_lock(name) for name in names})
        if len(locks) > _MOST_LOCKS:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s::bigint)", (_ALL,))
        elif locks:
            connection.exec_driver_sql(
                "SELECT pg_advisory_xact_lock_shared(%s::bigint) "
                "UNION ALL SELECT pg_advisory_xact_lock(name) FROM unnest(%b::bigint[]) AS name",
                (_ALL, locks),
            )

    def lock_out_others(self, connection: Connection) -> None:
        """By the lock that every batch shares."""
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s::bigint)", (_ALL,))

    def is_any(self, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
        """`= ANY`: one prepared statement for any number of values."""
        return column == any_(literal(list(values), ARRAY(String)))

    def listed(self, values: Sequence[str]) -> object:
        """An array: one prepared statement for any number of values."""
        return list(values)

    def read_states(self, connection: Connection, customer_ids: Sequence[str]) -> dict[str, bytes]:
        """One round trip."""
        query = f"SELECT customer_id, state FROM customers WHERE customer_id {self.among}"
        return {row[0]: row[1] for row in connection.exec_driver_sql(query, (self.listed(customer_ids),))}

    def write_states(self, connection: Connection, *, new: Sequence[Row], changed: Sequence[Row]) -> None:
        """One statement for both."""
        if rows := [*new, *changed]:
            columns = tuple(rows[0])
            replaced = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "customer_id")
            query = f"{_insert_postgresql(customers, columns)} ON CONFLICT (customer_id) DO UPDATE SET {replaced}"
            connection.exec_driver_sql(query, _columns(rows))

    def write_rows(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """One statement, given each column as an array: it is prepared once for any number of rows."""
        if rows:
            connection.exec_driver_sql(_insert_postgresql(table, tuple(rows[0])), _columns(rows))

    def write_missing(self, connection: Connection, table: Table, row: Row) -> None:
        """`ON CONFLICT DO NOTHING`."""
        connection.execute(postgresql.insert(table).values(row).on_conflict_do_nothing())

    def faults(self, connection: Connection) -> list[str]:  # noqa: ARG002
        """None: PostgreSQL checks pages as it reads them, and has `pg_amcheck` for the rest."""
        return []

    def wipe(self, engine: Engine, *, ids: Sequence[str], texts: Sequence[str]) -> bool:  # noqa: ARG002
        """By `VACUUM`, which makes room for new rows where the deleted ones are; a table being vacuumed is left out."""
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                raw = connection.connection.driver_connection
                assert isinstance(raw, PatientConnection)  # noqa: S101 - narrows the type
                # It takes as long as the tables are large; afterwards nobody in a hurry gets this connection.
                connection.detach()
                raw.answers_within = math.inf
                connection.exec_driver_sql("SET statement_timeout = 0")
                connection.exec_driver_sql(f"VACUUM (SKIP_LOCKED) {tables}")
        except DBAPIError:
            return False
        return True

    def back_up(self, url: URL, target: Path) -> None:
        """By `pg_dump`, in the format `pg_restore` reads."""
        program = shutil.which("pg_dump")
        if program is None:
            raise StorageError("pg_dump is not installed; install PostgreSQL's client programs (postgresql-client)")
        plain = url.set(drivername="postgresql", password=None)
        # Not as an argument, where every user of the machine could read it.
        secret = {"PGPASSWORD": str(url.password)} if url.password else {}
        command = [program, "--format=custom", f"--file={target}", f"--dbname={plain.render_as_string()}"]
        done = subprocess.run(command, env={**os.environ, **secret}, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise StorageError(f"pg_dump failed: {' '.join(done.stderr.split())}")

    def try_again(self, error: object) -> bool:
        """A deadlock, a failed serialisation, a key that another writer had just used, or a row just erased."""
        return getattr(error, "sqlstate", None) in {"40P01", "40001", "23505", "23503"}


_DIALECTS: dict[str, Dialect] = {"sqlite": SQLite(), "postgresql": PostgreSQL()}


def dialect_of(connection: Connection | Engine) -> Dialect:
    """What kind of database this is."""
    return _DIALECTS[connection.dialect.name]


def dialect_named(url: URL) -> Dialect:
    """What kind of database the URL names."""
    return _DIALECTS[url.get_backend_name()]


def _empty_wal(cursor: Any) -> bool:
    busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)


def _lock(name: str) -> int:
    """A number for a name; two names with one number only wait for each other."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


@cache
def _insert_sqlite(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


@cache
def _insert_postgresql(table: Table, columns: tuple[str, ...]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = ", ".join(f"%b::{table.c[name].type.compile(dialect)}[]" for name in columns)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT * FROM unnest({arrays})"


def _columns(rows: Sequence[Row]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*(row.values() for row in rows), strict=True))
