"""Erasing a customer: nothing is left that is about them, only counts of decisions that could be anybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select, text

from orchestrator.log.decision_log import read_chosen_for
from orchestrator.privacy.customer_acts import log_customer_act
from orchestrator.privacy.personal import about, ids_of, naming, personal_tables
from orchestrator.storage.tables import idempotency, stated

# Shorter texts are in every file by chance.
_SHORTEST_TRACE = 5
_MOST_TRACES = 100


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did.

    Attributes:
        rows: how many rows were deleted, by table.
        ids: all ids the customer had.
        texts: some that only this customer's rows held; like the ids, no file of the database may hold them afterwards.
    """

    rows: dict[str, int]
    ids: tuple[str, ...]
    texts: tuple[str, ...]


def erase_customer(connection: Connection, customer_id: str, *, who: str, now: float) -> Erased:
    """Delete every row that names a customer, after counting their decisions; the audit log keeps that it was done.

    Args:
        connection: in a transaction that has the customer, under all ids, to itself (`lock_customers`).
        customer_id: whom, by any id.
        who: asked for it.
        now: seconds since 1970.
    """
    ids = ids_of(connection, customer_id)
    texts = _texts(connection, ids)
    _keep_counts(connection, ids)
    rows = {
        table.name: connection.execute(delete(table).where(naming(table, ids))).rowcount
        for table in reversed(personal_tables())
    }
    log_customer_act(connection, "customer erased", ids, who=who, now=now)
    return Erased(rows, tuple(ids), texts)


def _keep_counts(connection: Connection, ids: Sequence[str]) -> None:
    counts = Counter(
        (_day(made.decided_at), made.actions[0].id, made.policy_version, made.group_name)
        for made in read_chosen_for(connection, ids)
    )
    if counts:
        connection.execute(
            text(
                "INSERT INTO decision_statistics (day, action, policy_version, experiment_group, decisions) "
                "VALUES (:day, :action, :version, :group, :decisions) "
                "ON CONFLICT (day, action, policy_version, experiment_group) "
                "DO UPDATE SET decisions = decision_statistics.decisions + excluded.decisions"
            ),
            # In order, so that two erasures never wait for each other in a ring.
            [
                {"day": day, "action": action, "version": version, "group": group, "decisions": count}
                for (day, action, version, group), count in sorted(counts.items())
            ],
        )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _texts(connection: Connection, ids: Sequence[str]) -> tuple[str, ...]:
    c = stated.c
    mine = set(connection.execute(select(c.value).where(c.customer_id.in_(ids))).scalars())
    others = select(c.value).where(c.customer_id.not_in(ids), c.value.in_(mine)).distinct()
    own = sorted(mine - set(connection.execute(others).scalars()))
    keys = connection.execute(select(idempotency.c.key).where(about(idempotency, ids)).limit(_MOST_TRACES))
    return tuple(text for text in (*own, *keys.scalars()) if len(text) >= _SHORTEST_TRACE)
