"""The log of what administrators did."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select

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


def read_acts(connection: Connection, *, last: int, targets: Sequence[str] | None = None) -> list[AuditEntry]:
    """The last acts, oldest first; all, or those on some targets, where one act on several of them is told once."""
    a = audit_log.c
    if targets is None:
        query = select(a.at, a.who, a.what, a.target).order_by(a.sequence.desc())
    else:
        query = select(a.at, a.who, a.what, func.min(a.target)).where(a.target.in_(targets))
        query = query.group_by(a.at, a.who, a.what).order_by(func.max(a.sequence).desc())
    rows = connection.execute(query.limit(last)).all()
    return [AuditEntry._make(row) for row in reversed(rows)]


def this_user() -> str:
    """Who acts on the command line."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a user without a name, as in some containers
        return "cli:unknown"
