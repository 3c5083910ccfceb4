"""Another program keeps everybody else from writing to a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine

from orchestrator.config import Retailer
from orchestrator.storage.database import read_url


@contextmanager
def locked(retailer: Retailer) -> Iterator[None]:
    """While inside, no batch gets further than to wait."""
    engine = create_engine(read_url(retailer.serving.database))
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        if engine.dialect.name == "sqlite":
            raw.execute("BEGIN IMMEDIATE")
        else:
            # The lock a batch of very many names takes; and the one row that every server writes.
            raw.execute("SELECT pg_advisory_xact_lock(1::bigint)")
            raw.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        yield
        raw.rollback()
    engine.dispose()
