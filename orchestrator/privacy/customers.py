"""What is held about one customer: a short answer, and everything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, select

from orchestrator.log.decision_log import read_chosen_for, read_decisions_of
from orchestrator.log.facts import read_states
from orchestrator.privacy.customer_acts import log_customer_act
from orchestrator.privacy.personal import about, ids_of, personal_tables
from orchestrator.profiles import ProfileSchema, consent, features
from orchestrator.storage.tables import Row, customers, decisions, rebuilt_customers, stated

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
    texts = connection.execute(select(stated.c.name, stated.c.value).where(stated.c.customer_id == customer_id))
    return CustomerSummary(
        customer_id=customer_id,
        features=dict(zip(schema.columns, features(schema, states, now)[0].tolist(), strict=True)),
        consent=dict(zip(schema.channels, consent(schema, states)[0].tolist(), strict=True)),
        stated={row.name: row.value for row in texts},
        other_ids=tuple(others),
        decisions=tuple(
            LastDecision(made.decision_id, made.decided_at, made.actions[0].id, made.policy_version)
            for made in read_chosen_for(connection, [customer_id], latest=_LAST)
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
    count, ids = 0, ids_of(connection, customer_id)
    for table in personal_tables():
        for said in _decisions(connection, ids) if table is decisions else _rows(connection, schema, table, ids):
            count += 1
            yield {"table": table.name, **{name: _plain(name, value) for name, value in said.items()}}
    yield {"table": "end", "rows": count}


def log_export(connection: Connection, customer_id: str, *, who: str, now: float) -> None:
    """Keep in the audit log that a customer was exported."""
    log_customer_act(connection, "customer exported", ids_of(connection, customer_id), who=who, now=now)


def _rows(connection: Connection, schema: ProfileSchema, table: Table, ids: Sequence[str]) -> Iterator[Row]:
    query = select(table).where(about(table, ids)).order_by(*table.primary_key.columns)
    for row in connection.execution_options(yield_per=_PAGE).execute(query).mappings():
        said = dict(row)
        if table in (customers, rebuilt_customers) and said["layout"] == schema.fingerprint:
            said["state"] = schema.blocks(np.frombuffer(said["state"], dtype=np.float64))
        yield said


def _decisions(connection: Connection, ids: Sequence[str]) -> Iterator[Row]:
    """Decisions with their arrays by the names of their columns."""
    for logged in read_decisions_of(connection, ids):
        schema = logged.schema
        for i, decision_id in enumerate(logged.decision_id):
            eligible, reasons = logged.eligible[i].tolist(), logged.reasons[i].tolist()
            cells = zip(schema.actions, logged.scores[i].tolist(), logged.distribution[i].tolist(), strict=True)
            yield {
                "decision_id": decision_id,
                "customer_id": logged.customer_id[i],
                "decided_at": float(logged.decided_at[i]),
                "policy_version": logged.policy_version[i],
                "action": schema.actions[logged.action[i]].id,
                "propensity": float(logged.propensity[i]),
                "request": logged.request[i],
                "group_name": logged.group_name[i],
                "experiment": logged.experiment[i],
                "rules": logged.rules[i] or None,
                "events_until": int(logged.events_until[i]),
                "stock_until": int(logged.stock_until[i]),
                "slots": json.dumps(logged.slots[i]) if logged.slots[i] else None,
                "joint_propensity": logged.joint_propensity[i],
                "features": dict(zip(schema.columns, logged.features[i].tolist(), strict=True)),
                "actions": [
                    {
                        "id": action.id,
                        "eligible": eligible[a],
                        "reason": None if eligible[a] else schema.reasons[reasons[a]],
                        "score": score,
                        "probability": probability,
                    }
                    for a, (action, score, probability) in enumerate(cells)
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
