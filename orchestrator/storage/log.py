"""Reading and writing the log, many rows at a time, on a connection whose transaction the caller owns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select

from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import Row, customers, decisions, events, idempotency, layouts, outcomes


def serialise(
    connection: Connection, *, customer_ids: Iterable[str], keys: Iterable[str], fact_ids: Iterable[str]
) -> None:
    """Make the transaction the only one, of all processes, that reads or writes anything about these.

    Call it before reading what the transaction's writes depend on.

    Args:
        connection: in a transaction, whose end lets go.
        customer_ids: customers whose profiles are read or changed.
        keys: idempotency keys looked up.
        fact_ids: ids of events and outcomes; an outcome may be kept as an event under its id.
    """
    named = (("customer", customer_ids), ("key", keys), ("fact", fact_ids))
    dialect_of(connection).serialise(connection, (f"{kind} {name}" for kind, names in named for name in names))


def read_states(connection: Connection, customer_ids: Sequence[str]) -> dict[str, bytes]:
    """Profile states of the customers that are known."""
    return dialect_of(connection).read_states(connection, customer_ids)


def write_states(connection: Connection, *, new: Sequence[Row], changed: Sequence[Row]) -> None:
    """Write whole customer rows: `new` ones are added, `changed` ones replaced."""
    dialect_of(connection).write_states(connection, new=new, changed=changed)


def write_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add rows, each with the same keys; none is fine."""
    dialect_of(connection).write_rows(connection, table, rows)


def known_events(connection: Connection, event_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are in the log."""
    return {row[0] for row in _where_any(connection, select(events.c.event_id), events.c.event_id, event_ids)}


def known_outcomes(connection: Connection, outcome_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are in the log."""
    query = select(outcomes.c.outcome_id)
    return {row[0] for row in _where_any(connection, query, outcomes.c.outcome_id, outcome_ids)}


def read_key_uses(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Fingerprint and decision id of each idempotency key used before."""
    query = select(idempotency.c.key, idempotency.c.fingerprint, idempotency.c.decision_id)
    return {key: (mark, made) for key, mark, made in _where_any(connection, query, idempotency.c.key, keys)}


def read_decisions(connection: Connection, decision_ids: Sequence[str]) -> dict[str, Row]:
    """Whole rows of the decisions that exist, with their layout's `body`, by id."""
    query = select(decisions, layouts.c.body.label("layout")).join(layouts)
    found = _where_any(connection, query, decisions.c.decision_id, decision_ids)
    return {row.decision_id: dict(row._mapping) for row in found}


def read_decided(connection: Connection, decision_ids: Sequence[str]) -> dict[str, tuple[str, str, int]]:
    """Customer id, layout as JSON and action index of the decisions that exist, by decision id."""
    d = decisions.c
    query = select(d.decision_id, d.customer_id, layouts.c.body, d.action).join_from(decisions, layouts)
    return {row[0]: (row[1], row[2], row[3]) for row in _where_any(connection, query, d.decision_id, decision_ids)}


def read_outcomes(connection: Connection, decision_id: str) -> list[Row]:
    """Outcomes of one decision, in the order received."""
    query = select(outcomes).where(outcomes.c.decision_id == decision_id).order_by(outcomes.c.sequence)
    return [dict(row._mapping) for row in connection.execute(query)]


def read_events_of(connection: Connection, customer_ids: Sequence[str]) -> list[Row]:
    """Every event of the customers, in the order in which they reached the profiles."""
    found = _where_any(connection, select(events), events.c.customer_id, customer_ids)
    return sorted((dict(row._mapping) for row in found), key=lambda row: row["sequence"])


def sample_customers(connection: Connection, count: int) -> list[str]:
    """Ids of some customers, drawn at random; all if there are fewer."""
    return list(connection.execute(select(customers.c.customer_id).order_by(func.random()).limit(count)).scalars())


def keep_layout(connection: Connection, layout_id: str, body: str) -> None:
    """Keep the meaning of the arrays of later decisions; known ones are left as they are."""
    dialect_of(connection).write_missing(connection, layouts, {"layout_id": layout_id, "body": body})


def _where_any(connection: Connection, query: Any, column: Any, values: Sequence[str]) -> Iterator[Any]:
    dialect = dialect_of(connection)
    for start in range(0, len(values), dialect.most_values):
        yield from connection.execute(query.where(dialect.is_any(column, values[start : start + dialect.most_values])))
