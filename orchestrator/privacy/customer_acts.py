"""What administrators did to customers, in a log that names none."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from sqlalchemy import Connection, select

from orchestrator.log.administrators import AuditEntry, log_act, read_acts
from orchestrator.privacy.personal import ids_of
from orchestrator.storage.tables import database_secrets


def log_customer_act(connection: Connection, what: str, ids: Sequence[str], *, who: str, now: float) -> None:
    """Keep what was done to a customer, once per id: afterwards nobody may know which ids were one customer's."""
    for digest in _digests(connection, ids):
        log_act(connection, AuditEntry(now, who, what, digest))


def acts_on_customer(connection: Connection, customer_id: str, *, last: int) -> list[AuditEntry]:
    """The last acts on a customer, by any id, oldest first: on all ids that are the customer's now."""
    return read_acts(connection, last=last, targets=_digests(connection, ids_of(connection, customer_id)))


def _digests(connection: Connection, ids: Sequence[str]) -> list[str]:
    """What stands for ids of customers in the audit log.

    Keyed by a secret of the database: who has the log alone cannot try ids; who has the database and an id can look
    for it.
    """
    secret = database_secrets.c
    key = connection.execute(select(secret.value).where(secret.name == "customer_digest")).scalar_one()
    return [f"customer {hmac.digest(key, customer_id.encode(), 'sha256')[:16].hex()}" for customer_id in ids]
