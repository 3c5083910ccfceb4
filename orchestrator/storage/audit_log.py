"""The log of what administrators did."""

from __future__ import annotations

import getpass
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from orchestrator.storage.tables import audit_log


class AuditEntry(NamedTuple):
    """One act; `at` in seconds since 1970 UTC."""

    at: float
    who: str
    what: str
    target: str


def log_act(connection: Connection, entry: AuditEntry) -> None:
    """Add an act, in the transaction of the act itself."""
    connection.execute(insert(audit_log).values(entry._asdict()))


def read_acts(connection: Connection, *, last: int, target: str | None = None) -> list[AuditEntry]:
    """The last acts, oldest first; all, or those on one target."""
    query = select(*(audit_log.c[name] for name in AuditEntry._fields)).order_by(audit_log.c.sequence.desc())
    if target is not None:
        query = query.where(audit_log.c.target == target)
    rows = connection.execute(query.limit(last)).all()
    return [AuditEntry._make(row) for row in reversed(rows)]


def this_user() -> str:
    """Who acts on the command line."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a user without a name, as in some containers
        return "cli:unknown"
