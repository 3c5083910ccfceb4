"""SQLite: one writer at a time, one file, and a write-ahead log beside it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Table,
    bindparam,
    event,
    update,
)
from sqlalchemy.dialects import sqlite

from orchestrator.storage import dialect
from orchestrator.storage.dialect import Dialect
from orchestrator.storage.residue_scan import holds_any
from orchestrator.storage.tables import Row, customers

# Rows of one INSERT.
_MOST_ROWS = 64


def _write_ahead(connection: Any) -> None:
    """Switch a database to the write-ahead log; only that does not wait for others who do it at the same time."""
    until = time.monotonic() + dialect.PATIENCE
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
            connection.execute(f"PRAGMA busy_timeout = {dialect.PATIENCE * 1000}")
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


def _empty_wal(cursor: Any) -> bool:
    busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


@cache
def _insert_sqlite(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"
