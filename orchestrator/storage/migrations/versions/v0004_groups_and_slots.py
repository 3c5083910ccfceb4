"""Who decided, and several results of one decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; decisions made before were the policy's, with one result each."""
    op.add_column("decisions", sa.Column("group_name", sa.String()))
    op.add_column("decisions", sa.Column("experiment", sa.String()))
    op.add_column("decisions", sa.Column("rules", sa.String()))
    op.add_column("decisions", sa.Column("events_until", sa.BigInteger()))
    op.add_column("decisions", sa.Column("slots", sa.Text()))
    op.add_column("decisions", sa.Column("joint_propensity", sa.Double()))
    op.add_column("outcomes", sa.Column("slot", sa.Integer()))
    op.add_column("contacts", sa.Column("slot", sa.Integer()))
