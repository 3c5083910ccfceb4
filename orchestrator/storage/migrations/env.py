"""What Alembic runs to migrate: on the caller's connection, inside the caller's transaction."""

from __future__ import annotations

from alembic import context

from orchestrator.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # All or nothing on SQLite too: its statements that change tables are part of the transaction.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
