"""Events as they were applied to profiles, read back from the log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from orchestrator.ingest.records import is_known
from orchestrator.ingest.vocabulary import NONE
from orchestrator.log.decision_log import read_chosen
from orchestrator.log.facts import read_events_of
from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema
from orchestrator.storage.tables import Row
from policies.arrays import BoolArray, Float64Array


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
    return read_back(connection, schema, rows).events


@dataclass(frozen=True)
class ReadBack:
    """n events as far as a configuration knows what they name; the log may be older than it.

    Attributes:
        events: what an event names that the configuration does not have is not there.
        unknown: whose channel or category is such a name; bool (n,).
        other: attributes of each event that are of no profile: texts, and names and values the configuration lacks.
    """

    events: Events
    unknown: BoolArray
    other: Sequence[Mapping[str, Any]]


def read_back(connection: Connection, schema: ProfileSchema, rows: Sequence[Row]) -> ReadBack:
    """Events from their rows, as `replayed` does, and what of them the configuration does not know."""
    bodies = [json.loads(row["body"]) for row in rows]
    decided = read_chosen(connection, [b["decision_id"] for b in bodies if "outcome_id" in b])
    columns: dict[str, list[int]] = {"channel": [], "category": []}
    stated: dict[str, list[str | float | None]] = {name: [None] * len(rows) for name in schema.attributes}
    unknown, other = np.zeros(len(rows), dtype=bool), []
    codes = {
        "channel": {name: i for i, name in enumerate(schema.channels)},
        "category": {name: i for i, name in enumerate(schema.categories)},
    }
    for i, body in enumerate(bodies):
        if "outcome_id" in body:
            of = decided.get(body["decision_id"])
            body = {"value": body.get("value"), "channel": of.actions[0].channel if of else None}  # noqa: PLW2901
        for name, known in codes.items():
            columns[name].append(known.get(body.get(name), NONE))
            unknown[i] |= columns[name][i] == NONE and bool(body.get(name))
        attributes = body.get("attributes") or {}
        mine = {n: v for n, v in attributes.items() if n in stated and is_known(schema.attributes[n], v)}
        for name, value in mine.items():
            stated[name][i] = value
        other.append({name: value for name, value in attributes.items() if name not in mine})
        bodies[i] = body
    events = Events.from_columns(
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
    return ReadBack(events, unknown, other)


def _amounts(bodies: Sequence[Mapping[str, Any]], name: str) -> Float64Array:
    return np.array([body.get(name) or 0.0 for body in bodies], dtype=np.float64)
