"""The kinds of database there are."""

from __future__ import annotations

from sqlalchemy import URL, Connection, Engine

from orchestrator.storage.dialect import Dialect
from orchestrator.storage.postgresql import PostgreSQL
from orchestrator.storage.sqlite import SQLite

_DIALECTS: dict[str, Dialect] = {"sqlite": SQLite(), "postgresql": PostgreSQL()}


def dialect_of(connection: Connection | Engine) -> Dialect:
    """What kind of database this is."""
    return _DIALECTS[connection.dialect.name]


def dialect_named(url: URL) -> Dialect:
    """What kind of database the URL names."""
    return _DIALECTS[url.get_backend_name()]
