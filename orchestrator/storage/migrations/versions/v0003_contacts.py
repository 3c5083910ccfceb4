"""The ledger of contacts, what customers stated as text, and finding what happened to a customer."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create them; decisions made before are contacts too."""
    op.create_table(
        "stated",
        sa.Column("customer_id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("stated_at", sa.Double(), nullable=False),
    )
    op.create_table(
        "contacts",
        sa.Column("decision_id", sa.String(), sa.ForeignKey("decisions.decision_id"), primary_key=True),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("intent", sa.String(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.Column("sent_at", sa.Double()),
        sa.Column("seen_at", sa.Double()),
        sa.Column("cancelled_at", sa.Double()),
        sa.Column("last_at", sa.Double(), nullable=False),
    )
    _fill_contacts()
    op.create_index("contacts_of_customer", "contacts", ["customer_id", "last_at"])
    op.create_index("events_of_customer", "events", ["customer_id", "type", "timestamp"])
    op.add_column("outcomes", sa.Column("customer_id", sa.String()))
    op.execute(
        "UPDATE outcomes SET customer_id = "
        "(SELECT d.customer_id FROM decisions AS d WHERE d.decision_id = outcomes.decision_id)"
    )
    op.create_index("outcomes_of_customer", "outcomes", ["customer_id", "type", "timestamp"])


def _fill_contacts() -> None:
    """Which channels contact is not known here: every action that says something; rules count those in their scope."""
    named = op.create_table(
        "named_actions",
        sa.Column("layout_id", sa.String()),
        sa.Column("place", sa.Integer()),
        sa.Column("action", sa.String()),
        sa.Column("channel", sa.String()),
        sa.Column("intent", sa.String()),
    )
    layouts = op.get_bind().execute(sa.text("SELECT layout_id, body FROM layouts")).all()
    rows = [
        {"layout_id": layout_id, "place": i, "action": a["id"], "channel": a["channel"], "intent": a["intent"]}
        for layout_id, body in layouts
        for i, a in enumerate(json.loads(body).get("actions", ()))
        if a["channel"]
    ]
    op.bulk_insert(named, rows)
    op.execute(
        "INSERT INTO contacts (decision_id, customer_id, action, channel, intent, decided_at, last_at) "
        "SELECT d.decision_id, d.customer_id, n.action, n.channel, n.intent, d.decided_at, d.decided_at "
        "FROM decisions AS d JOIN named_actions AS n ON n.layout_id = d.layout_id AND n.place = d.action"
    )
    op.drop_table("named_actions")
