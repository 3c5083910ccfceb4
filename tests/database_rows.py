"""Looking into a database beside the program."""

from __future__ import annotations

from typing import Any

from sqlalchemy import NullPool, create_engine, text

from orchestrator.storage.database import read_url

_NEW_OF_DECISIONS = ("group_name", "experiment", "rules", "events_until", "stock_until", "slots", "joint_propensity")
# Makes an empty database of today one of before there were migrations.
TO_SCHEMA_1 = (
    "DROP TABLE alembic_version",
    "DROP TABLE rebuilt_customers",
    "DROP TABLE raw_events",
    "DROP TABLE stock",
    "DROP TABLE identities",
    "DROP INDEX decisions_of_customer",
    "DROP TABLE audit_log",
    "DROP TABLE database_secrets",
    "DROP TABLE decision_statistics",
    "DROP INDEX idempotency_of_decision",
    "DROP TABLE api_keys",
    "DROP TABLE contacts",
    "DROP TABLE stated",
    "DROP INDEX events_of_customer",
    "DROP INDEX outcomes_of_customer",
    "ALTER TABLE outcomes DROP COLUMN customer_id",
    "ALTER TABLE outcomes DROP COLUMN slot",
    *(f"ALTER TABLE decisions DROP COLUMN {column}" for column in _NEW_OF_DECISIONS),
    "CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY)",
    "INSERT INTO schema_version VALUES (1)",
)


def read_rows(url: str, query: str) -> list[dict[str, Any]]:
    """Rows of a query, by a connection of its own."""
    with create_engine(read_url(url), poolclass=NullPool).connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def change(url: str, *statements: str) -> None:
    """Run statements as one transaction, by a connection of its own."""
    with create_engine(read_url(url), poolclass=NullPool).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
