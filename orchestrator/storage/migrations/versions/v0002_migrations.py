"""From here on Alembic's own table says which migrations were made."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop the table that said it before."""
    op.drop_table("schema_version")
