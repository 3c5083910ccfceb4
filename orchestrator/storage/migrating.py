"""Migrations: what schema a database has, and bringing it up to date."""

from __future__ import annotations

from importlib.metadata import version

from sqlalchemy import Connection, inspect

from orchestrator.storage.errors import SchemaError
from orchestrator.storage.tables import SCHEMA_VERSION, schema_version

MIGRATIONS = "orchestrator.storage:migrations"


def found_version(connection: Connection) -> int | None:
    """Number of the newest migration made; none where there are no tables.

    Raises:
        SchemaError: the tables are another program's.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    known = schema_version.name in tables
    found = connection.execute(schema_version.select()).scalars().all() if known else []
    if "customers" not in tables or len(found) != 1 or not found[0].isdigit():
        raise SchemaError("it holds other tables; choose a database of its own")
    return int(found[0])


def require_current(found: int) -> None:
    """Check that this program can work with a database whose newest migration is `found`.

    Raises:
        SchemaError: it is older or newer; the message says what to do.
    """
    if found < SCHEMA_VERSION:
        raise SchemaError(
            f"it has schema {found}, this program needs {SCHEMA_VERSION}; stop the servers and run `journey db upgrade`"
        )
    if found > SCHEMA_VERSION:
        raise SchemaError(
            f"it has schema {found}, made by a newer version; this is journey-orchestrator "
            f"{version('journey-orchestrator')}, which knows schemas up to {SCHEMA_VERSION}: install the newer version"
        )


def migrate(connection: Connection) -> None:
    """Make every migration that was not made yet, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
