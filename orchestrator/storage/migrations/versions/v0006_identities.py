"""Which ids are of one customer, and finding a customer's decisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "identities",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("alias_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("linked_at", sa.Double(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
    )
    op.create_index("identities_of_alias", "identities", ["alias_id"])
    op.create_index("identities_of_customer", "identities", ["customer_id"])
    op.create_index("decisions_of_customer", "decisions", ["customer_id", "decided_at"])
