"""What was in stock and what was not, and how much of that each decision knew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create them."""
    counted = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "stock",
        sa.Column("sequence", counted, primary_key=True),
        sa.Column("stock_id", sa.String(), nullable=False, unique=True),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("in_stock", sa.Boolean(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
    )
    op.create_index("stock_of_category", "stock", ["category", "timestamp", "sequence"])
    op.add_column("decisions", sa.Column("stock_until", sa.BigInteger()))
