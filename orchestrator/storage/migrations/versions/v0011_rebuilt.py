"""What a rebuild of the profiles has made so far."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create it."""
    op.create_table(
        "rebuilt_customers",
        sa.Column("customer_id", sa.String(), primary_key=True),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("layout", sa.String(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("texts", sa.Text()),
    )
