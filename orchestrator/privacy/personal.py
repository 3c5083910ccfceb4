"""Where customers are in the database: which rows of which table are about one.

A table that names customers in a column of `CUSTOMER_COLUMNS` is found by itself. Any other one is listed here, or a
test fails; so a table added later cannot be forgotten when a customer is exported or erased.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, or_, select

from orchestrator.log.identities import read_aliases, read_owners
from orchestrator.storage.tables import decisions, metadata

CUSTOMER_COLUMNS = ("customer_id", "alias_id", "user_id", "anonymous_id", "previous_id")
# Name no customer, but one of their decisions, in the column `decision_id`.
THROUGH_DECISIONS = frozenset({"idempotency"})
FREE_OF_CUSTOMERS = frozenset(
    {"alembic_version", "api_keys", "audit_log", "database_secrets", "decision_statistics", "decision_schemas", "stock"}
)


def personal_tables() -> list[Table]:
    """The tables with customers in them; a row never refers to a row of a table after its own."""
    return [table for table in metadata.sorted_tables if table.name not in FREE_OF_CUSTOMERS]


def ids_of(connection: Connection, customer_id: str) -> list[str]:
    """The ids of the customer an id belongs to: its own first, then those that belong to it now."""
    owner = read_owners(connection, [customer_id]).get(customer_id)
    own = customer_id if owner is None else owner.customer_id
    return [own, *sorted(read_aliases(connection, [own]))]


def about(table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
    """Which rows of a personal table are about a customer, by all ids (`ids_of`)."""
    if table.name in THROUGH_DECISIONS:
        return table.c.decision_id.in_(select(decisions.c.decision_id).where(decisions.c.customer_id.in_(ids)))
    return table.c.customer_id.in_(ids)


def naming(table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
    """Which rows of a personal table name a customer by any of the ids, also those about somebody else.

    A device that changed hands is named by what is said of its former user.
    """
    if table.name in THROUGH_DECISIONS:
        return about(table, ids)
    return or_(*(table.c[name].in_(ids) for name in CUSTOMER_COLUMNS if name in table.c))


def is_held(connection: Connection, customer_id: str) -> bool:
    """Whether anything is held about a customer."""
    ids = ids_of(connection, customer_id)
    return any(
        connection.execute(select(1).select_from(table).where(about(table, ids)).limit(1)).first()
        for table in personal_tables()
    )
