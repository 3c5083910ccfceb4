"""The first tables: those of `tables.py`, as long as no release has made a database that must be brought along.

The first migration after a release freezes the tables of that release here; a test fails until it does.
"""

from __future__ import annotations

import secrets

from alembic import op

from orchestrator.storage.tables import database_secrets, metadata

revision = "0001"
down_revision = None

_ONLY_GROWS = "audit_log is only ever added to"
_GUARDS = {
    "sqlite": [
        *(
            f"CREATE TRIGGER audit_log_no_{what.lower()} BEFORE {what} ON audit_log "
            f"BEGIN SELECT RAISE(ABORT, '{_ONLY_GROWS}'); END"
            for what in ("UPDATE", "DELETE")
        ),
        # REPLACE fires no trigger of DELETE. A row without a number has a negative one here, and gets its own later.
        "CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log "
        "WHEN NEW.sequence >= 0 AND EXISTS (SELECT 1 FROM audit_log WHERE sequence = NEW.sequence) "
        f"BEGIN SELECT RAISE(ABORT, '{_ONLY_GROWS}'); END",
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_ONLY_GROWS}'; END $$",
        "CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows()",
    ],
}


def upgrade() -> None:
    """Create them, let the database itself guard the log of administrators, and draw a secret for digests of ids."""
    metadata.create_all(op.get_bind())
    for statement in _GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.bulk_insert(database_secrets, [{"name": "customer_digest", "value": secrets.token_bytes(32)}])
