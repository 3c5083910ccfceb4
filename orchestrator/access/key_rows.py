"""API keys in the database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, insert, or_, select, update

from orchestrator.access.keys import ApiKey
from orchestrator.access.rates import Rate
from orchestrator.access.scopes import read_scopes, write_scopes
from orchestrator.errors import AccessError, suggestion
from orchestrator.log.administrators import AuditEntry, log_act
from orchestrator.storage.tables import api_keys


def add_key(connection: Connection, key: ApiKey, *, who: str) -> None:
    """Keep a new key, and who made it."""
    row = {
        "key_id": key.id,
        "name": key.name,
        "scopes": write_scopes(key.scopes),
        "digest": key.digest,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "rate_limit": key.rate.limit if key.rate else None,
        "rate_window": key.rate.window if key.rate else None,
    }
    connection.execute(insert(api_keys).values(row))
    log_act(connection, AuditEntry(key.created_at, who, "key created", key.id))


def revoke_key(connection: Connection, key_id: str, *, who: str, now: float) -> bool:
    """Revoke a key for good; false if it was revoked before.

    Raises:
        AccessError: there is no such key.
    """
    known = read_keys(connection)
    if key_id not in known:
        raise AccessError(f"no key has the id {key_id!r}; {suggestion(key_id, known)}")
    if known[key_id].revoked_at is not None:
        return False
    connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(revoked_at=now))
    log_act(connection, AuditEntry(now, who, "key revoked", key_id))
    return True


def read_keys(connection: Connection) -> dict[str, ApiKey]:
    """Every key, by id, in the order made."""
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id))
    return {
        row.key_id: ApiKey(
            id=row.key_id,
            name=row.name,
            scopes=read_scopes(row.scopes),
            digest=row.digest,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
            rate=Rate(row.rate_limit, row.rate_window) if row.rate_limit is not None else None,
        )
        for row in rows
    }


def note_used(connection: Connection, used: Mapping[str, float]) -> None:
    """Keep when keys were last used, by id, unless a later use is known."""
    last = api_keys.c.last_used_at
    for key_id, at in sorted(used.items()):  # in order, so that two processes never wait for each other in a ring
        newer = or_(last.is_(None), last < at)
        connection.execute(update(api_keys).where(api_keys.c.key_id == key_id, newer).values(last_used_at=at))
