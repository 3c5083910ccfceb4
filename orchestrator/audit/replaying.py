"""Events as they were applied to profiles, read back from the log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from orchestrator.ingest.types import NONE
from orchestrator.log.decided import decided_from
from orchestrator.log.facts import read_decided, read_events_of
from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema
from orchestrator.storage.tables import Row
from policies.arrays import Float64Array


def replay(connection: Connection, schema: ProfileSchema, customer_ids: Sequence[str]) -> Profiles:
    """What the logged events of these customers make of their profiles."""
    profiles = Profiles(schema)
    profiles.apply(events_of(connection, schema, customer_ids))
    return profiles


def events_of(connection: Connection, schema: ProfileSchema, customer_ids: Sequence[str]) -> Events:
    """The logged events of these customers."""
    return replayed(connection, schema, read_events_of(connection, customer_ids))


def replayed(connection: Connection, schema: ProfileSchema, rows: Sequence[Row]) -> Events:
    """The events as they were applied, from their bodies; those made from outcomes know channel and value only."""
    bodies = [json.loads(row["body"]) for row in rows]
    decided = decided_from(read_decided(connection, [b["decision_id"] for b in bodies if "outcome_id" in b]))
    columns: dict[str, list[int]] = {"channel": [], "category": []}
    stated: dict[str, list[str | float | None]] = {name: [None] * len(rows) for name in schema.attributes}
    codes = {
        "channel": {name: i for i, name in enumerate(schema.channels)},
        "category": {name: i for i, name in enumerate(schema.categories)},
    }
    for i, body in enumerate(bodies):
        if "outcome_id" in body:
            of = decided.get(body["decision_id"])
            body = {"value": body.get("value"), "channel": of.channel if of else None}  # noqa: PLW2901
        for name, known in codes.items():
            columns[name].append(known.get(body.get(name), NONE))
        for name, value in (body.get("attributes") or {}).items():
            if name in stated:  # others are texts, and no part of profiles
                stated[name][i] = value
        bodies[i] = body
    return Events.from_columns(
        schema=schema,
        customer_id=np.array([row["customer_id"] for row in rows], dtype=object),
        event_id=np.array([row["event_id"] for row in rows], dtype=object),
        timestamp=np.array([row["timestamp"] for row in rows], dtype=np.float64),
        type=np.array([EVENT_TYPES.index(row["type"]) for row in rows], dtype=np.int64),
        attributes=stated,
        channel=np.array(columns["channel"]),
        category=np.array(columns["category"]),
        value=_amounts(bodies, "value"),
        quantity=_amounts(bodies, "quantity"),
        discount=_amounts(bodies, "discount"),
    )


def _amounts(bodies: Sequence[Mapping[str, Any]], name: str) -> Float64Array:
    return np.array([body.get(name) or 0.0 for body in bodies], dtype=np.float64)
