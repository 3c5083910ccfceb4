"""Checking a database: what belongs together is there, and profiles are what the logged events make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Table, func, select

from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema
from orchestrator.profiles.types import NONE
from orchestrator.service.recording import decided_from
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.log import REPORTED, read_decided, read_events_of, read_states, sample_customers
from orchestrator.storage.tables import (
    Row,
    contacts,
    customers,
    decisions,
    events,
    idempotency,
    layouts,
    metadata,
    outcomes,
)
from policies.arrays import Float64Array

# Sums of floats in another order differ in their last digits.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class DatabaseCheck:
    """What was found.

    Attributes:
        rows: number of rows by table; none where the storage itself is broken.
        replayed: customers whose profiles were compared with their events.
        faults: what is wrong, one sentence each; none if all is well.
    """

    rows: dict[str, int]
    replayed: int
    faults: tuple[str, ...]


def check_database(engine: Engine, schema: ProfileSchema, *, sample: int) -> DatabaseCheck:
    """Check a database as it is at one moment; it may be in use.

    Args:
        engine: an open database.
        schema: the profiles of the configuration it is used with.
        sample: how many customers' profiles to compare with their events, drawn at random.
    """
    dialect = dialect_of(engine)
    with engine.connect().execution_options(**dialect.snapshot()) as connection:
        if faults := dialect.faults(connection):
            return DatabaseCheck(rows={}, replayed=0, faults=tuple(faults))  # the rest may not even be readable
        rows = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }
        faults += _missing(connection, decisions, "layout_id", layouts)
        faults += _missing(connection, idempotency, "decision_id", decisions)
        faults += _missing(connection, outcomes, "decision_id", decisions)
        faults += _missing(connection, contacts, "decision_id", decisions)
        faults += _unlike_their_reports(connection)
        faults += _missing(connection, events, "customer_id", customers)
        other = customers.c.layout != schema.fingerprint
        if count := connection.execute(select(func.count()).select_from(customers).where(other)).scalar_one():
            faults.append(f"customers: {count} profiles of another configuration")
            return DatabaseCheck(rows=rows, replayed=0, faults=tuple(faults))
        chosen = sample_customers(connection, sample)
        faults += _unlike_their_events(connection, schema, chosen)
    return DatabaseCheck(rows=rows, replayed=len(chosen), faults=tuple(faults))


def _missing(connection: Connection, table: Table, column: str, wanted: Table) -> list[str]:
    """Rows of a table that name a row of another one that is not there."""
    named, key = table.c[column], wanted.c[column]
    joined = table.outerjoin(wanted, named == key)
    count = connection.execute(select(func.count()).select_from(joined).where(key.is_(None))).scalar_one()
    return [f"{table.name}: {count} rows name a {column} that {wanted.name} lacks"] if count else []


def _unlike_their_reports(connection: Connection) -> list[str]:
    """Contacts that say something else than the earliest of the outcomes that report them."""
    faults = []
    for kind, column in REPORTED.items():
        told = (
            select(outcomes.c.decision_id, func.min(outcomes.c.timestamp).label("at"))
            .where(outcomes.c.type == kind)
            .group_by(outcomes.c.decision_id)
            .subquery()
        )
        joined = contacts.outerjoin(told, told.c.decision_id == contacts.c.decision_id)
        wrong = contacts.c[column].is_distinct_from(told.c.at)
        if count := connection.execute(select(func.count()).select_from(joined).where(wrong)).scalar_one():
            faults.append(f"contacts: {count} rows have a {column} that no {kind!r} outcome says, or lack it")
    return faults


def _unlike_their_events(connection: Connection, schema: ProfileSchema, chosen: Sequence[str]) -> list[str]:
    stored = read_states(connection, chosen)
    rows = read_events_of(connection, chosen)
    profiles = Profiles(schema)
    if rows:
        profiles.apply(replayed(connection, schema, rows))
    expected = profiles.states(chosen)
    sizes = [customer for customer in chosen if len(stored[customer]) != expected.shape[1] * expected.itemsize]
    if sizes:
        return [f"customers: {len(sizes)} of {len(chosen)} profiles have another size than their configuration says"]
    found = np.frombuffer(b"".join(stored[customer] for customer in chosen)).reshape(expected.shape)
    alike = np.isclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True).all(axis=1)
    wrong = int((~alike).sum())
    return [f"customers: {wrong} of {len(chosen)} profiles are not what their events make of them"] if wrong else []


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
        timestamp=np.array([row["timestamp"] for row in rows]),
        type=np.array([EVENT_TYPES.index(row["type"]) for row in rows]),
        attributes=stated,
        channel=np.array(columns["channel"]),
        category=np.array(columns["category"]),
        value=_amounts(bodies, "value"),
        quantity=_amounts(bodies, "quantity"),
        discount=_amounts(bodies, "discount"),
    )


def _amounts(bodies: Sequence[Mapping[str, Any]], name: str) -> Float64Array:
    return np.array([body.get(name) or 0.0 for body in bodies], dtype=np.float64)
