"""Whose is what: raw messages say it, bodies of events do not, and the last owner of an id is found at once.

And rows of `audit_log` are not replaced on SQLite.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_NAMED = {"user_id": "userId", "anonymous_id": "anonymousId", "previous_id": "previousId"}
_PAGE = 1_000
# REPLACE fires no trigger of DELETE. A row without a number has a negative one here; it gets its own afterwards.
_NO_REPLACE = (
    "CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log "
    "WHEN NEW.sequence >= 0 AND EXISTS (SELECT 1 FROM audit_log WHERE sequence = NEW.sequence) "
    "BEGIN SELECT RAISE(ABORT, 'audit_log is only ever added to'); END"
)


def upgrade() -> None:
    """Find out from what was kept."""
    for column in _NAMED:
        op.add_column("raw_events", sa.Column(column, sa.String()))
    _name_raw_events()
    for column, of in zip(_NAMED, ("user", "anonymous", "previous"), strict=True):
        op.create_index(f"raw_events_of_{of}", "raw_events", [column])
    _forget_customers_in_bodies()
    # The last row of an id is found at once.
    op.drop_index("identities_of_alias", "identities")
    op.create_index("identities_of_alias", "identities", ["alias_id", "sequence"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_NO_REPLACE)


def _name_raw_events() -> None:
    connection, last = op.get_bind(), 0
    page = sa.text(
        "SELECT sequence, payload, received_at FROM raw_events WHERE sequence > :last ORDER BY sequence LIMIT :page"
    )
    name = sa.text(
        "UPDATE raw_events SET customer_id = :customer_id, user_id = :user_id, anonymous_id = :anonymous_id, "
        "previous_id = :previous_id WHERE sequence = :sequence"
    )
    while rows := connection.execute(page, {"last": last, "page": _PAGE}).all():
        named = []
        for sequence, payload, received_at in rows:
            said = json.loads(payload)
            ids = {column: _id(said, of) for column, of in _NAMED.items()}
            about = ids["user_id"] or ids["anonymous_id"] or ids["previous_id"]
            owner = None if about is None else _owner(about, received_at)
            named.append({"sequence": sequence, "customer_id": owner, **ids})
        connection.execute(name, named)
        last = rows[-1][0]


def _id(said: object, name: str) -> str | None:
    """An id that was one for the program: a printable text of at most 200 characters, or a whole number."""
    value = said.get(name) if isinstance(said, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**200:
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        return None
    return None if any(ord(c) < 32 or ord(c) == 127 for c in value) else value


def _owner(about: str, received_at: float) -> str:
    """Whose an id's fact of then is now: its customer of then, or into whom that one was merged."""
    query = sa.text("SELECT customer_id, received_at FROM identities WHERE alias_id = :of ORDER BY sequence")
    seen: set[str] = set()
    while about not in seen and (rows := op.get_bind().execute(query, {"of": about}).all()):
        seen.add(about)
        # The first row is a merge, which took along all there was; later ones leave the past where it is.
        about = next((row[0] for row in reversed(rows) if row[1] <= received_at), rows[0][0])
        received_at = float("-inf")
    return about


def _forget_customers_in_bodies() -> None:
    connection, last = op.get_bind(), 0
    page = sa.text(
        "SELECT sequence, body FROM events WHERE sequence > :last AND body LIKE '%\"customer_id\"%' "
        "ORDER BY sequence LIMIT :page"
    )
    replace = sa.text("UPDATE events SET body = :body WHERE sequence = :sequence")
    while rows := connection.execute(page, {"last": last, "page": _PAGE}).all():
        bodies = [(sequence, json.loads(body)) for sequence, body in rows]
        without = [(sequence, {n: v for n, v in body.items() if n != "customer_id"}) for sequence, body in bodies]
        connection.execute(replace, [{"sequence": s, "body": json.dumps(b, ensure_ascii=False)} for s, b in without])
        last = rows[-1][0]
