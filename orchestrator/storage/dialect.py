"""What databases do differently: what a kind of database must offer. Everything else is written once, elsewhere.

Both kinds make a batch exact across processes. SQLite has one writer at a time (`BEGIN IMMEDIATE`). On PostgreSQL a
batch first locks, by name, everything it is going to read or add (`Dialect.serialise`), so what it then reads stays
true until it commits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Table,
)

from orchestrator.storage.tables import Row

# Seconds to wait for another process's lock before the batch is refused.
PATIENCE = 10


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
