"""Bringing a database up to date, which is an act of an administrator."""

from __future__ import annotations

import time

from orchestrator.log.administrators import AuditEntry, log_act, this_user
from orchestrator.storage.database import opening_engine
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.migrating import found_version, migrate, require_current
from orchestrator.storage.tables import SCHEMA_VERSION


def upgrade_database(url: str) -> tuple[int | None, int]:
    """Bring the tables of a database up to date, all or nothing.

    Returns:
        The schema found, none if it was empty, and the schema it has now.

    Raises:
        StorageError: the URL is not usable, or the database cannot be opened.
        SchemaError: it was made by a newer version of this program.
    """
    with opening_engine(url) as engine, engine.begin() as connection:
        dialect_of(connection).lock_schema(connection)
        found = found_version(connection)
        if found is None or found < SCHEMA_VERSION:
            migrate(connection)
            before = "empty" if found is None else f"schema {found}"
            log_act(
                connection, AuditEntry(time.time(), this_user(), "database upgraded", f"{before} -> {SCHEMA_VERSION}")
            )
        else:
            require_current(found)
    engine.dispose()
    return found, SCHEMA_VERSION
