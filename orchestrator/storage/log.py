"""Reading and writing the log, many rows at a time, on a connection whose transaction the caller owns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Table, bindparam, insert, select, update

from orchestrator.storage.tables import customers, decisions, events, idempotency, layouts, outcomes

Row = dict[str, Any]

# SQLite takes at most 32,766 bound values per statement.
_CHUNK = 10_000
_MOST_ROWS = 64


def read_states(connection: Connection, customer_ids: Sequence[str]) -> dict[str, bytes]:
    """Profile states of the customers that are known.

    They come as one row, for the reason given at `write_rows`.
    """
    query = "SELECT json_group_object(customer_id, hex(state)) FROM customers WHERE customer_id IN "
    query += "(SELECT value FROM json_each(?))"
    found = connection.exec_driver_sql(query, (json.dumps(customer_ids),)).scalar_one()
    return {customer: bytes.fromhex(state) for customer, state in from_json(found).items()}


def write_states(connection: Connection, *, new: Sequence[Row], changed: Sequence[Row]) -> None:
    """Write whole customer rows: `new` ones are added, `changed` ones replaced."""
    write_rows(connection, customers, new)
    if changed:
        renamed = [{**row, "key": row["customer_id"]} for row in changed]
        connection.execute(update(customers).where(customers.c.customer_id == bindparam("key")), renamed)


def write_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add rows, each with the same keys; none is fine.

    Several rows go into one statement: the driver gives up the interpreter lock for every step of a
    statement, and on a busy event loop each time costs more than the row itself.
    """
    start = 0
    while start < len(rows):
        # Powers of two, so that a few prepared statements serve every number of rows.
        count = min(_MOST_ROWS, 1 << ((len(rows) - start).bit_length() - 1))
        chunk = rows[start : start + count]
        columns = tuple(chunk[0])
        values = tuple(value for row in chunk for value in row.values())
        connection.exec_driver_sql(_insert_sql(table.name, columns, count), values)
        start += count


@cache
def _insert_sql(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - our own names


def known_events(connection: Connection, event_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are in the log."""
    return {row[0] for row in _where_in(connection, select(events.c.event_id), events.c.event_id, event_ids)}


def known_outcomes(connection: Connection, outcome_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are in the log."""
    query = select(outcomes.c.outcome_id)
    return {row[0] for row in _where_in(connection, query, outcomes.c.outcome_id, outcome_ids)}


def read_key_uses(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Fingerprint and decision id of each idempotency key used before."""
    query = select(idempotency.c.key, idempotency.c.fingerprint, idempotency.c.decision_id)
    return {key: (mark, made) for key, mark, made in _where_in(connection, query, idempotency.c.key, keys)}


def read_decisions(connection: Connection, decision_ids: Sequence[str]) -> dict[str, Row]:
    """Whole rows of the decisions that exist, with their layout's `body`, by id."""
    query = select(decisions, layouts.c.body.label("layout")).join(layouts)
    found = _where_in(connection, query, decisions.c.decision_id, decision_ids)
    return {row.decision_id: dict(row._mapping) for row in found}


def read_decided(connection: Connection, decision_ids: Sequence[str]) -> dict[str, tuple[str, str, int]]:
    """Customer id, layout as JSON and action index of the decisions that exist, by decision id."""
    d = decisions.c
    query = select(d.decision_id, d.customer_id, layouts.c.body, d.action).join_from(decisions, layouts)
    return {row[0]: (row[1], row[2], row[3]) for row in _where_in(connection, query, d.decision_id, decision_ids)}


def read_outcomes(connection: Connection, decision_id: str) -> list[Row]:
    """Outcomes of one decision, in the order received."""
    query = select(outcomes).where(outcomes.c.decision_id == decision_id).order_by(outcomes.c.sequence)
    return [dict(row._mapping) for row in connection.execute(query)]


def keep_layout(connection: Connection, layout_id: str, body: str) -> None:
    """Keep the meaning of the arrays of later decisions; known ones are left as they are."""
    query = select(layouts.c.layout_id).where(layouts.c.layout_id == layout_id)
    if connection.execute(query).first() is None:
        connection.execute(insert(layouts).values(layout_id=layout_id, body=body))


def _where_in(connection: Connection, query: Any, column: Any, values: Sequence[str]) -> Iterator[Any]:
    for start in range(0, len(values), _CHUNK):
        yield from connection.execute(query.where(column.in_(values[start : start + _CHUNK])))
