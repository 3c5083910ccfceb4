"""Looking into a database beside the program."""

from __future__ import annotations

from typing import Any

from sqlalchemy import NullPool, create_engine, text

from orchestrator.storage.database import read_url


def read_rows(url: str, query: str) -> list[dict[str, Any]]:
    """Rows of a query, by a connection of its own."""
    with create_engine(read_url(url), poolclass=NullPool).connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def change(url: str, *statements: str) -> None:
    """Run statements as one transaction, by a connection of its own."""
    with create_engine(read_url(url), poolclass=NullPool).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
