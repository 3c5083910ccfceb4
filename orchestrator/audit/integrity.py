"""Checking a database: what belongs together is there, and profiles are what the logged events make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine, Table, and_, func, select

from orchestrator.audit.replaying import replay
from orchestrator.config.fact_types import REPORTED
from orchestrator.log.facts import read_states, sample_customers
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import (
    contacts,
    customers,
    decision_schemas,
    decisions,
    events,
    idempotency,
    identities,
    metadata,
    outcomes,
)

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
        faults += _missing(connection, decisions, "schema_id", decision_schemas)
        faults += _missing(connection, idempotency, "decision_id", decisions)
        faults += _missing(connection, outcomes, "decision_id", decisions)
        faults += _missing(connection, contacts, "decision_id", decisions)
        faults += _unlike_their_reports(connection)
        faults += _missing(connection, events, "customer_id", customers)
        faults += _aliases_with_profiles(connection)
        other = customers.c.layout != schema.fingerprint
        if count := connection.execute(select(func.count()).select_from(customers).where(other)).scalar_one():
            faults.append(f"customers: {count} profiles of another configuration; run `journey db rebuild`")
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


def _aliases_with_profiles(connection: Connection) -> list[str]:
    """Ids that are another customer's, and yet have a profile of their own."""
    alias = select(identities.c.alias_id)
    query = select(func.count()).select_from(customers).where(customers.c.customer_id.in_(alias))
    count = connection.execute(query).scalar_one()
    return [f"identities: {count} ids of other customers have profiles of their own"] if count else []


def _unlike_their_reports(connection: Connection) -> list[str]:
    """Contacts that say something else than the earliest of the outcomes that report them."""
    faults = []
    for kind, column in REPORTED.items():
        told = (
            select(
                outcomes.c.decision_id,
                outcomes.c.slot,
                func.min(outcomes.c.timestamp).label("at"),
            )
            .where(outcomes.c.type == kind)
            .group_by(outcomes.c.decision_id, outcomes.c.slot)
            .subquery()
        )
        about = and_(
            told.c.decision_id == contacts.c.decision_id,
            told.c.slot == contacts.c.slot,
        )
        joined = contacts.outerjoin(told, about)
        wrong = contacts.c[column].is_distinct_from(told.c.at)
        if count := connection.execute(select(func.count()).select_from(joined).where(wrong)).scalar_one():
            faults.append(f"contacts: {count} rows have a {column} that no {kind!r} outcome says, or lack it")
    return faults


def _unlike_their_events(connection: Connection, schema: ProfileSchema, chosen: Sequence[str]) -> list[str]:
    stored = read_states(connection, chosen)
    expected = replay(connection, schema, chosen).states(chosen)
    sizes = [customer for customer in chosen if len(stored[customer]) != expected.shape[1] * expected.itemsize]
    if sizes:
        return [f"customers: {len(sizes)} of {len(chosen)} profiles have another size than their configuration says"]
    found = np.frombuffer(b"".join(stored[customer] for customer in chosen)).reshape(expected.shape)
    alike = np.isclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True).all(axis=1)
    wrong = int((~alike).sum())
    return [f"customers: {wrong} of {len(chosen)} profiles are not what their events make of them"] if wrong else []
