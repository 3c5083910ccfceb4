"""PostgreSQL by psycopg 3: writers run side by side, and lock by name what they have in common."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ARRAY,
    URL,
    ColumnElement,
    Connection,
    Engine,
    String,
    Table,
    any_,
    event,
    literal,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from orchestrator.storage import dialect
from orchestrator.storage.deadlines import PatientConnection
from orchestrator.storage.dialect import Dialect
from orchestrator.storage.errors import StorageError
from orchestrator.storage.tables import Row, customers, metadata

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
# Locks of one transaction: the server's table of locks has room for some 6,400 by default, for all processes.
_MOST_LOCKS = 600
_ALL, _SCHEMA = 1, 2


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
            "connect_args": {"connect_timeout": dialect.PATIENCE, **_NETWORK},
        }

    def tune(self, engine: Engine, *, answers_within: float) -> None:
        """Commits wait for the disk; locks are waited for only so long, and let go by a client that hangs.

        In a hurry, locks and new connections get half of the time at most, and a statement is ended by the server after
        three quarters of it: so a server that lives says what was wrong, and keeps the connection.
        """
        hurried = answers_within < math.inf
        patience = min(float(dialect.PATIENCE), answers_within / 2)

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


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)


def _lock(name: str) -> int:
    """A number for a name; two names with one number only wait for each other."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


@cache
def _insert_postgresql(table: Table, columns: tuple[str, ...]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = ", ".join(f"%b::{table.c[name].type.compile(dialect)}[]" for name in columns)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT * FROM unnest({arrays})"


def _columns(rows: Sequence[Row]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*(row.values() for row in rows), strict=True))
