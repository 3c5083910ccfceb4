"""Finding what is held of a customer, and what is left of one who was erased."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create them."""
    op.create_index("idempotency_of_decision", "idempotency", ["decision_id"])
    op.create_table(
        "decision_statistics",
        sa.Column("day", sa.String(), primary_key=True),
        sa.Column("action", sa.String(), primary_key=True),
        sa.Column("policy_version", sa.String(), primary_key=True),
        sa.Column("experiment_group", sa.String(), primary_key=True),
        sa.Column("decisions", sa.Integer(), nullable=False),
    )
    made = op.create_table(
        "database_secrets",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.LargeBinary(), nullable=False),
    )
    op.bulk_insert(made, [{"name": "customer_digest", "value": secrets.token_bytes(32)}])
