"""Reading and writing the log, many rows at a time, on a connection whose transaction the caller owns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Double, Table, bindparam, case, func, select, text, update

from orchestrator.config.fact_types import REPORTED
from orchestrator.storage.dialect import Dialect
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import (
    Row,
    contacts,
    customers,
    decision_schemas,
    events,
    outcomes,
    raw_events,
)


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
    """Write whole customer rows: `new` ones are added, `changed` ones replaced.

    What a rebuild under way has made of these customers is out of date, and goes.
    """
    d = dialect_of(connection)
    d.write_states(connection, new=new, changed=changed)
    ids = d.listed([row["customer_id"] for row in (*new, *changed)])
    connection.exec_driver_sql(f"DELETE FROM rebuilt_customers WHERE customer_id {d.among}", (ids,))


def read_profile_layout(connection: Connection) -> str | None:
    """Digest of the profile columns of the customers' states; none while there is no customer.

    Every transaction leaves all of them with one, so that of the first customer tells.
    """
    query = "SELECT layout FROM customers ORDER BY customer_id LIMIT 1"
    return connection.exec_driver_sql(query).scalar_one_or_none()


def write_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add rows, each with the same keys; none is fine."""
    dialect_of(connection).write_rows(connection, table, rows)


def known_events(connection: Connection, event_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are in the log."""
    return {row[0] for row in where_any(connection, select(events.c.event_id), events.c.event_id, event_ids)}


def known_outcomes(connection: Connection, outcome_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are in the log."""
    query = select(outcomes.c.outcome_id)
    return {row[0] for row in where_any(connection, query, outcomes.c.outcome_id, outcome_ids)}


def read_key_uses(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Fingerprint and decision id of each idempotency key used before."""
    d = dialect_of(connection)
    query = f"SELECT key, fingerprint, decision_id FROM idempotency WHERE key {d.among}"
    return {row[0]: (row[1], row[2]) for row in connection.exec_driver_sql(query, (d.listed(keys),))}


def read_outcomes(connection: Connection, decision_id: str) -> list[Row]:
    """Outcomes of one decision, in the order received."""
    query = select(outcomes).where(outcomes.c.decision_id == decision_id).order_by(outcomes.c.sequence)
    return [dict(row._mapping) for row in connection.execute(query)]


def read_events_of(connection: Connection, customer_ids: Sequence[str]) -> list[Row]:
    """Every event of the customers, in the order in which they reached the profiles."""
    found = where_any(connection, select(events), events.c.customer_id, customer_ids)
    return sorted((dict(row._mapping) for row in found), key=lambda row: row["sequence"])


class LoggedContact(NamedTuple):
    """A row of the ledger; times in seconds since 1970, none where nothing was reported."""

    customer_id: str
    action: str
    channel: str
    intent: str
    decided_at: float
    sent_at: float | None
    seen_at: float | None
    cancelled_at: float | None


@dataclass(frozen=True)
class LoggedFacts:
    """What the log says of some customers, each in any order.

    Attributes:
        contacts: that were decided, sent or seen lately.
        happened: customer id, type and time of events and outcomes; one fact may be there as both.
        stated: customer id, name and text of what they stated.
        last_event: sequence of the last event in the log, of whomever; 0 if there is none.
    """

    contacts: list[LoggedContact]
    happened: list[tuple[str, str, float]]
    stated: list[tuple[str, str, str]]
    last_event: int


@dataclass(frozen=True)
class Wanted:
    """Which facts to read.

    Attributes:
        contacts: seconds until contacts are old; none to read none.
        types: of events and outcomes.
        happened: seconds until those are old.
        stated: whether to read what was stated.
    """

    contacts: float | None
    types: tuple[str, ...]
    happened: float
    stated: bool


def read_facts(connection: Connection, customer_ids: Sequence[str], wanted: Wanted, *, now: float) -> LoggedFacts:
    """What contact rules look at, in one statement: a decision waits for each.

    Args:
        connection: in a transaction.
        customer_ids: whose.
        wanted: what of it.
        now: seconds since 1970.
    """
    d = dialect_of(connection)
    ids, types, parameters = d.listed(customer_ids), d.listed(wanted.types), []
    if wanted.contacts is not None:
        parameters += [ids, now - wanted.contacts]
    if wanted.types:
        parameters += 2 * [ids, types, now - wanted.happened]
    if wanted.stated:
        parameters += [ids]
    facts = LoggedFacts([], [], [], 0)
    for kind, *row in connection.exec_driver_sql(_facts_query(d, wanted), tuple(parameters)):
        if kind == _CONTACT:
            facts.contacts.append(LoggedContact._make(row))
        elif kind == _HAPPENED:
            facts.happened.append((row[0], row[1], row[4]))
        elif kind == _STATED:
            facts.stated.append((row[0], row[1], row[2]))
        else:
            facts = replace(facts, last_event=int(row[4] or 0))
    return facts


_CONTACT, _HAPPENED, _STATED, _LAST_EVENT = range(4)


@cache
def _facts_query(d: Dialect, wanted: Wanted) -> str:
    whose, no_text, no_time = f"customer_id {d.among}", "CAST(NULL AS VARCHAR)", "CAST(NULL AS DOUBLE PRECISION)"
    no_times = ", ".join([no_time] * 3)
    parts = []
    if wanted.contacts is not None:
        names = ", ".join(LoggedContact._fields)
        parts.append(f"SELECT {_CONTACT}, {names} FROM contacts WHERE {whose} AND last_at > {d.value}")
    if wanted.types:
        columns = f"{_HAPPENED}, customer_id, type, {no_text}, {no_text}, timestamp, {no_times}"
        parts += (
            f"SELECT {columns} FROM {table} WHERE {whose} AND type {d.among} AND timestamp > {d.value}"
            for table in ("events", "outcomes")
        )
    if wanted.stated:
        columns = f"{_STATED}, customer_id, name, value, {no_text}, {no_time}, {no_times}"
        parts.append(f"SELECT {columns} FROM stated WHERE {whose}")
    last = "CAST(max(sequence) AS DOUBLE PRECISION)"
    parts.append(f"SELECT {_LAST_EVENT}, {', '.join([no_text] * 4)}, {last}, {no_times} FROM events")
    return " UNION ALL ".join(parts)


def read_contact_actions(connection: Connection, decision_ids: Sequence[str]) -> dict[str, tuple[str, str, float]]:
    """Customer id, action id and moment of the contacts that were decided so, by decision id."""
    c = contacts.c
    query = select(c.decision_id, c.customer_id, c.action, c.decided_at)
    return {row[0]: (row[1], row[2], row[3]) for row in where_any(connection, query, c.decision_id, decision_ids)}


def report_contacts(connection: Connection, reports: Sequence[tuple[str, str, float]]) -> None:
    """Keep what channels say of contacts; of several reports of one kind, the earliest stays.

    Args:
        connection: in a transaction.
        reports: decision id, `sent`, `seen` or `failed`, and when; a decision that is no contact is left out.
    """
    for kind, column in REPORTED.items():
        if of_kind := [{"id": decision_id, "at": at} for decision_id, said, at in reports if said == kind]:
            c, at = contacts.c, bindparam("at", type_=Double)
            values = {column: case((c[column] <= at, c[column]), else_=at)}
            if kind != "failed":
                values["last_at"] = case((c.last_at >= at, c.last_at), else_=at)
            connection.execute(update(contacts).where(c.decision_id == bindparam("id")).values(values), of_kind)


def write_stated(connection: Connection, rows: Sequence[Row]) -> None:
    """Keep stated texts, of each the latest; of two at the same moment, the one that came later."""
    if rows:
        connection.execute(
            text(
                "INSERT INTO stated (customer_id, name, value, stated_at) "
                "VALUES (:customer_id, :name, :value, :stated_at) ON CONFLICT (customer_id, name) "
                "DO UPDATE SET value = excluded.value, stated_at = excluded.stated_at "
                "WHERE excluded.stated_at >= stated.stated_at"
            ),
            rows,
        )


def known_raw(connection: Connection, source: str, message_ids: Sequence[str]) -> set[str]:
    """Those of the messages of a source that are kept raw."""
    query = select(raw_events.c.message_id).where(raw_events.c.source == source)
    return {row[0] for row in where_any(connection, query, raw_events.c.message_id, message_ids)}


class RawCount(NamedTuple):
    """How many messages of one name were not understood, and when the last one came (seconds since 1970)."""

    source: str
    name: str
    messages: int
    last_at: float


def count_raw_events(connection: Connection) -> list[RawCount]:
    """Messages of other systems that were not understood, by name, the most frequent first."""
    source, name, count = raw_events.c.source, raw_events.c.name, func.count()
    query = select(source, name, count, func.max(raw_events.c.received_at)).group_by(source, name)
    return [RawCount._make(row) for row in connection.execute(query.order_by(count.desc(), source, name))]


def sample_customers(connection: Connection, count: int) -> list[str]:
    """Ids of some customers, drawn at random; all if there are fewer."""
    return list(connection.execute(select(customers.c.customer_id).order_by(func.random()).limit(count)).scalars())


def keep_schema(connection: Connection, schema_id: str, body: str) -> None:
    """Keep the meaning of the arrays of later decisions; known ones are left as they are."""
    dialect_of(connection).write_missing(connection, decision_schemas, {"schema_id": schema_id, "body": body})


def where_any(connection: Connection, query: Any, column: Any, values: Sequence[str]) -> Iterator[Any]:
    """Rows of a query whose column is one of the values, however many there are."""
    dialect = dialect_of(connection)
    for start in range(0, len(values), dialect.most_values):
        yield from connection.execute(query.where(dialect.is_any(column, values[start : start + dialect.most_values])))
