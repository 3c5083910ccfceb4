"""Whether a database takes writes, found out by making one."""

from __future__ import annotations

from sqlalchemy import Connection, update

from orchestrator.storage.migrating import require_current
from orchestrator.storage.tables import schema_version


def probe(connection: Connection) -> None:
    """Write a row as it is: that needs the disk, the lock and the right to write, and changes nothing.

    Call it last in a transaction: what it locks, another server's probe waits for.

    Raises:
        SchemaError: the schema is another one by now.
    """
    number = schema_version.c.version_num
    found = connection.execute(update(schema_version).values(version_num=number).returning(number)).scalars().all()
    require_current(int(found[0]) if found else 0)
