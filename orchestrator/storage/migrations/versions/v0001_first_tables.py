"""The tables as they were before there were migrations; `schema_version` said so with a 1."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    counted = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    made = op.create_table(
        "schema_version",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
    )
    op.bulk_insert(made, [{"version": 1}])
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.String(), primary_key=True),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("layout", sa.String(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("sequence", counted, primary_key=True),
        sa.Column("event_id", sa.String(), nullable=False, unique=True),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "layouts",
        sa.Column("layout_id", sa.String(), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.String(), primary_key=True),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("layout_id", sa.String(), sa.ForeignKey("layouts.layout_id"), nullable=False),
        sa.Column("action", sa.Integer(), nullable=False),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.Column("eligible", sa.LargeBinary(), nullable=False),
        sa.Column("reasons", sa.LargeBinary(), nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
        sa.Column("distribution", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("decision_id", sa.String(), sa.ForeignKey("decisions.decision_id"), nullable=False),
    )
    op.create_table(
        "outcomes",
        sa.Column("sequence", counted, primary_key=True),
        sa.Column("outcome_id", sa.String(), nullable=False, unique=True),
        sa.Column("decision_id", sa.String(), sa.ForeignKey("decisions.decision_id"), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("outcomes_of_decision", "outcomes", ["decision_id"])
