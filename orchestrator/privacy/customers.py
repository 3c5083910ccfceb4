"""What is held about one customer: a short answer, and everything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from orchestrator.log.decision_schema import Layout
from orchestrator.log.facts import read_states
from orchestrator.privacy.customer_acts import log_customer_act
from orchestrator.privacy.personal import about, ids_of, personal_tables
from orchestrator.profiles import ProfileSchema, consent, features
from orchestrator.storage.tables import Row, customers, decisions, layouts, rebuilt_customers, stated

_LAST = 10
# Columns that hold JSON.
_JSON = ("body", "request", "payload")
_PAGE = 500


@dataclass(frozen=True)
class LastDecision:
    """One of the latest decisions about a customer; `decided_at` in seconds since 1970 UTC."""

    decision_id: str
    decided_at: float
    action: str
    policy_version: str


@dataclass(frozen=True)
class CustomerSummary:
    """What is known of a customer now.

    Attributes:
        customer_id: the customer's own, whichever was asked for.
        features: what policies are told, by name.
        consent: whether each channel may be used.
        stated: texts the customer stated, by name.
        other_ids: under which facts about the customer came too.
        decisions: the latest, the last one first.
    """

    customer_id: str
    features: Mapping[str, float]
    consent: Mapping[str, bool]
    stated: Mapping[str, str]
    other_ids: tuple[str, ...]
    decisions: tuple[LastDecision, ...]


def read_customer(
    connection: Connection, schema: ProfileSchema, customer_id: str, *, now: float
) -> CustomerSummary | None:
    """A customer as known now, by a connection that sees one moment; none if there is no profile."""
    customer_id, *others = ids_of(connection, customer_id)
    state = read_states(connection, [customer_id]).get(customer_id)
    if state is None:
        return None
    states = np.frombuffer(state, dtype=np.float64)[None]
    d = decisions.c
    made = connection.execute(
        select(d.decision_id, d.decided_at, d.action, d.policy_version, layouts.c.body)
        .join_from(decisions, layouts)
        .where(d.customer_id == customer_id)
        .order_by(d.decided_at.desc(), d.decision_id.desc())
        .limit(_LAST)
    ).all()
    texts = connection.execute(select(stated.c.name, stated.c.value).where(stated.c.customer_id == customer_id))
    return CustomerSummary(
        customer_id=customer_id,
        features=dict(zip(schema.columns, features(schema, states, now)[0].tolist(), strict=True)),
        consent=dict(zip(schema.channels, consent(schema, states)[0].tolist(), strict=True)),
        stated={row.name: row.value for row in texts},
        other_ids=tuple(others),
        decisions=tuple(
            LastDecision(row.decision_id, row.decided_at, json.loads(row.body)["actions"][row.action]["id"], row[3])
            for row in made
        ),
    )


def export_customer(connection: Connection, schema: ProfileSchema, customer_id: str) -> Iterator[dict[str, Any]]:
    """Everything held about a customer, row by row: `table`, and what the row says.

    The last one is of the table `end` and says how many there were, so that a cut-off export can be told from a whole.

    Args:
        connection: sees the database as it is at one moment.
        schema: of the profiles.
        customer_id: whom.
    """
    count, known, ids = 0, {}, ids_of(connection, customer_id)
    for table in personal_tables():
        query = select(table).where(about(table, ids)).order_by(*table.primary_key.columns)
        for row in connection.execution_options(yield_per=_PAGE).execute(query).mappings():
            count += 1
            said = dict(row)
            if table.name == decisions.name:
                layout_id = said.pop("layout_id")
                if layout_id not in known:
                    body = connection.execute(select(layouts.c.body).where(layouts.c.layout_id == layout_id))
                    known[layout_id] = Layout.from_json(layout_id, body.scalar_one())
                said = _decision(said, known[layout_id])
            elif table.name in (customers.name, rebuilt_customers.name) and said["layout"] == schema.fingerprint:
                said["state"] = schema.blocks(np.frombuffer(said["state"], dtype=np.float64))
            yield {"table": table.name, **{name: _plain(name, value) for name, value in said.items()}}
    yield {"table": "end", "rows": count}


def log_export(connection: Connection, customer_id: str, *, who: str, now: float) -> None:
    """Keep in the audit log that a customer was exported."""
    log_customer_act(connection, "customer exported", ids_of(connection, customer_id), who=who, now=now)


def _decision(row: Row, layout: Layout) -> Row:
    """A decision with its arrays by the names of their columns."""
    n = len(layout.actions)
    eligible = np.unpackbits(np.frombuffer(row.pop("eligible"), dtype=np.uint8), count=n).astype(bool)
    reasons = np.frombuffer(row.pop("reasons"), dtype=np.uint8)
    scores = np.frombuffer(row.pop("scores"), dtype=np.float32)
    distribution = np.frombuffer(row.pop("distribution"), dtype=np.float64)
    told = np.frombuffer(row.pop("features"), dtype=np.float32)
    return {
        **row,
        "action": layout.actions[row["action"]].id,
        "features": dict(zip(layout.columns, told.tolist(), strict=True)),
        "actions": [
            {
                "id": action.id,
                "eligible": bool(eligible[a]),
                "reason": None if eligible[a] else layout.reasons[reasons[a]],
                "score": float(scores[a]),
                "probability": float(distribution[a]),
            }
            for a, action in enumerate(layout.actions)
        ],
    }


def _plain(name: str, value: Any) -> Any:
    """A column's value as JSON says it best; what is not finite, or not there, is null there."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and (name == "timestamp" or name.endswith("_at")):
        return datetime.fromtimestamp(value, UTC).isoformat()
    if name in _JSON and isinstance(value, str):
        return json.loads(value)
    return value
