"""Which ids are of one customer, on a connection whose transaction the caller owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from orchestrator.log.facts import where_any
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import (
    contacts,
    customers,
    decisions,
    events,
    identities,
    outcomes,
    raw_events,
    rebuilt_customers,
    stated,
)


class Owner(NamedTuple):
    """Whose an id is, and since when by the message that said so (seconds since 1970)."""

    customer_id: str
    linked_at: float


def read_owners(connection: Connection, ids: Sequence[str]) -> dict[str, Owner]:
    """Whose each id is now; ids that are a customer's own are not there.

    Of each id one row is read, at the end of an index, however often it changed hands.
    """
    d = dialect_of(connection)
    query = (
        f"SELECT i.alias_id, i.customer_id, i.linked_at FROM {d.given} CROSS JOIN identities AS i "
        "WHERE i.sequence = (SELECT max(sequence) FROM identities WHERE alias_id = given.value)"
    )
    return {row[0]: Owner(row[1], row[2]) for row in connection.exec_driver_sql(query, (d.listed(ids),))}


def read_aliases(connection: Connection, customer_ids: Sequence[str]) -> dict[str, Owner]:
    """The other ids of these customers now."""
    i = identities.c
    once = {row[0] for row in where_any(connection, select(i.alias_id), i.customer_id, customer_ids)}
    wanted = set(customer_ids)
    return {alias: o for alias, o in read_owners(connection, sorted(once)).items() if o.customer_id in wanted}


def merged_at(connection: Connection, customer_ids: Sequence[str]) -> dict[str, float]:
    """When an id was last linked to each customer, by the clock of the server that did; seconds since 1970."""
    i = identities.c
    query = select(i.customer_id, func.max(i.received_at))
    dialect = dialect_of(connection)
    found: dict[str, float] = {}
    for start in range(0, len(customer_ids), dialect.most_values):
        some = dialect.is_any(i.customer_id, customer_ids[start : start + dialect.most_values])
        found |= {row[0]: row[1] for row in connection.execute(query.where(some).group_by(i.customer_id))}
    return found


def move_customers(connection: Connection, moved: Mapping[str, str]) -> None:
    """Make the facts about some customers those of others; the profiles of those customers go.

    Args:
        connection: in a transaction that has all of them to itself.
        moved: into which customer, by customer; none of these is itself moved.
    """
    pairs = [{"of": of, "into": into} for of, into in moved.items()]
    if not pairs:
        return
    for table in (events, decisions, outcomes, contacts):
        whose = table.c.customer_id
        connection.execute(update(table).where(whose == bindparam("of")).values(customer_id=bindparam("into")), pairs)
    connection.execute(
        text(
            "INSERT INTO stated (customer_id, name, value, stated_at) "
            "SELECT CAST(:into AS VARCHAR), name, value, stated_at FROM stated WHERE customer_id = :of "
            "ON CONFLICT (customer_id, name) DO UPDATE SET value = excluded.value, stated_at = excluded.stated_at "
            "WHERE excluded.stated_at > stated.stated_at"
        ),
        pairs,
    )
    for table in (stated, customers, rebuilt_customers):
        connection.execute(delete(table).where(table.c.customer_id == bindparam("of")), pairs)


def move_raw_events(connection: Connection, moved: Mapping[str, str]) -> None:
    """Make raw messages about some customers those of others; there may be some of customers without a profile.

    Args:
        connection: in a transaction that has all of them to itself.
        moved: into which customer, by customer; none of these is itself moved.
    """
    if moved:
        whose = raw_events.c.customer_id
        connection.execute(
            update(raw_events).where(whose == bindparam("of")).values(customer_id=bindparam("into")),
            [{"of": of, "into": into} for of, into in moved.items()],
        )
