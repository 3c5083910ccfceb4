"""Logged decisions in columns: the only place that reads and writes their rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select, func, select

from orchestrator.log.decision_schema import DecisionSchema, LoggedAction, digest
from orchestrator.log.facts import where_any, write_rows
from orchestrator.storage.tables import Row, decision_schemas, decisions
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray

# The most results one decision may have.
MOST_SLOTS = 20
# Rows read at once.
PAGE = 500


@dataclass(frozen=True)
class LoggedDecisions:
    """n decisions over one schema; A actions, F features.

    Attributes:
        schema: what positions in the arrays mean.
        decision_id: n ids.
        customer_id: whom each is about.
        decided_at: float64 (n,), seconds since 1970 UTC.
        policy_version: of the policy that served.
        action: int64 (n,), index into the schema's actions.
        propensity: float64 (n,), `distribution[action]`.
        request: what was asked, as JSON without the customer.
        features: float32 (n, F).
        eligible: bool (n, A).
        reasons: uint8 (n, A), why not eligible; 0 where eligible.
        scores: float32 (n, A), expected reward.
        distribution: float64 (n, A), of the first slot.
        group_name: what decided, `Group.label`.
        experiment: digest of the groups' salt and shares.
        rules: fingerprint of the rules that decided in the group of business rules, empty in others.
        events_until: int64 (n,), sequence of the last event in the log then, of anybody.
        stock_until: int64 (n,), sequence of the last fact about stock that was known.
        slots: where several results were asked for, the action of each and its probability given those before it.
        joint_propensity: probability of the whole selection; None where one result was asked for.
    """

    schema: DecisionSchema
    decision_id: tuple[str, ...]
    customer_id: tuple[str, ...]
    decided_at: Float64Array
    policy_version: tuple[str, ...]
    action: IntArray
    propensity: Float64Array
    request: tuple[str, ...]
    features: Float32Array
    eligible: BoolArray
    reasons: Any
    scores: Float32Array
    distribution: Float64Array
    group_name: tuple[str, ...]
    experiment: tuple[str, ...]
    rules: tuple[str, ...]
    events_until: IntArray
    stock_until: IntArray
    slots: tuple[Sequence[tuple[int, float]], ...]
    joint_propensity: tuple[float | None, ...]

    def __len__(self) -> int:
        return len(self.decision_id)

    def take(self, places: Sequence[int]) -> LoggedDecisions:
        """Some of the decisions, in this order."""
        index = np.asarray(places, dtype=np.int64)
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, column in columns.items():
            if isinstance(column, np.ndarray):
                columns[name] = column[index]
            elif name != "schema":
                columns[name] = tuple(column[i] for i in places)
        return LoggedDecisions(**columns)

    def asked(self, i: int) -> dict[str, Any]:
        """The request of one decision."""
        return dict(json.loads(self.request[i]))

    def chosen(self, i: int) -> list[int]:
        """The actions of one decision, by slot."""
        return [action for action, _ in self.slots[i]] or [int(self.action[i])]


def write_decisions(connection: Connection, made: LoggedDecisions) -> None:
    """Add decisions; their schema is in the log already (`keep_schema`)."""
    columns = {
        "decision_id": made.decision_id,
        "customer_id": made.customer_id,
        "decided_at": made.decided_at.tolist(),
        "policy_version": made.policy_version,
        "schema_id": [made.schema.id] * len(made),
        "action": made.action.tolist(),
        "propensity": made.propensity.tolist(),
        "request": made.request,
        "features": [row.tobytes() for row in made.features],
        "eligible": [row.tobytes() for row in np.packbits(made.eligible, axis=1)],
        "reasons": [row.tobytes() for row in made.reasons],
        "scores": [row.tobytes() for row in made.scores],
        "distribution": [row.tobytes() for row in made.distribution],
        "group_name": made.group_name,
        "experiment": made.experiment,
        "events_until": made.events_until.tolist(),
        "stock_until": made.stock_until.tolist(),
        "rules": [rules or None for rules in made.rules],
        "slots": [json.dumps(slots) if slots else None for slots in made.slots],
        "joint_propensity": made.joint_propensity,
    }
    write_rows(
        connection, decisions, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    )


class Decoded(NamedTuple):
    """Decisions read back, all over one schema, and what is wrong with those that cannot be: id to fault."""

    decisions: LoggedDecisions | None
    unreadable: dict[str, str]


def read_decisions(connection: Connection, decision_ids: Sequence[str]) -> Iterator[LoggedDecisions]:
    """The decisions that exist, in no order, a batch per schema.

    Raises:
        ValueError: a row cannot be what this program wrote.
    """
    query = select(decisions)
    found = [dict(row._mapping) for row in where_any(connection, query, decisions.c.decision_id, decision_ids)]
    yield from _readable(_decoded(connection, found))


def read_decisions_of(connection: Connection, customer_ids: Sequence[str]) -> Iterator[LoggedDecisions]:
    """All decisions about some customers, in the order of their ids, a batch per schema and page.

    Raises:
        ValueError: a row cannot be what this program wrote.
    """
    for page in _pages(connection, select(decisions).where(decisions.c.customer_id.in_(customer_ids))):
        yield from _readable(_decoded(connection, page))


def count_decisions(connection: Connection, *, since: float) -> int:
    """How many decisions were made from a moment on, seconds since 1970."""
    query = select(func.count()).select_from(decisions).where(decisions.c.decided_at >= since)
    return int(connection.execute(query).scalar_one())


def iterate_decisions(connection: Connection, *, since: float) -> Iterator[Decoded]:
    """All decisions from a moment on, in the order of their ids, a batch per schema and page; also what is broken."""
    for page in _pages(connection, select(decisions).where(decisions.c.decided_at >= since)):
        yield from _decoded(connection, page)


@dataclass(frozen=True, slots=True)
class ChosenActions:
    """What became of one decision, without the arrays it was made from.

    Attributes:
        decision_id: its id.
        customer_id: whom it is about.
        decided_at: seconds since 1970 UTC.
        policy_version: of the policy that served.
        group_name: what decided.
        schema: its actions.
        chosen: indices of the actions of its results, by slot.
    """

    decision_id: str
    customer_id: str
    decided_at: float
    policy_version: str
    group_name: str
    schema: DecisionSchema
    chosen: tuple[int, ...]

    @property
    def actions(self) -> list[LoggedAction]:
        """The actions of its results, by slot."""
        return [self.schema.actions[a] for a in self.chosen]

    @property
    def contact(self) -> int:
        """Which of its results is in the ledger of contacts, from 1; 1 if none is."""
        return next((slot for slot, action in enumerate(self.actions, start=1) if action.counted), 1)


def read_chosen(connection: Connection, decision_ids: Sequence[str]) -> dict[str, ChosenActions]:
    """What was chosen by the decisions that exist, by decision id."""
    if not decision_ids:  # the statement alone takes as long to build as some decisions take
        return {}
    found = where_any(connection, _CHOSEN, decisions.c.decision_id, decision_ids)
    return {chosen.decision_id: chosen for chosen in _chosen(connection, found)}


def read_chosen_for(
    connection: Connection, customer_ids: Sequence[str], *, latest: int | None = None
) -> Iterator[ChosenActions]:
    """What was chosen for some customers, the last decision first; only the `latest` ones if that is given."""
    d = decisions.c
    query = _CHOSEN.where(d.customer_id.in_(customer_ids)).order_by(d.decided_at.desc(), d.decision_id.desc())
    return _chosen(connection, connection.execute(query.limit(latest)).all())


def iterate_chosen(connection: Connection, *, experiment: str, until: float) -> Iterator[ChosenActions]:
    """What was chosen in an experiment up to a moment (seconds since 1970), in the order of decision ids."""
    d = decisions.c
    query = _CHOSEN.where(d.decided_at <= until, d.experiment == experiment).order_by(d.decision_id)
    for part in connection.execute(query.execution_options(yield_per=10 * PAGE)).partitions():
        yield from _chosen(connection, part)


_CHOSEN = select(
    *(decisions.c[name] for name in ("decision_id", "customer_id", "decided_at", "policy_version", "group_name")),
    *(decisions.c[name] for name in ("schema_id", "action", "slots")),
)


def _chosen(connection: Connection, rows: Iterable[Any]) -> Iterator[ChosenActions]:
    rows = list(rows)
    schemas = {
        schema_id: DecisionSchema.from_json(schema_id, body)
        for schema_id, body in _bodies(connection, {row.schema_id for row in rows}).items()
    }
    for row in rows:
        chosen = tuple(a for a, _ in json.loads(row.slots)) if row.slots else (row.action,)
        schema = schemas.get(row.schema_id)
        if schema is None or any(a not in range(len(schema.actions)) for a in chosen):
            continue  # what it meant is lost; `journey audit` and `journey db check` say so
        yield ChosenActions(
            decision_id=row.decision_id,
            customer_id=row.customer_id,
            decided_at=row.decided_at,
            policy_version=row.policy_version,
            group_name=row.group_name,
            schema=schema,
            chosen=chosen,
        )


def _pages(connection: Connection, query: Select[Any]) -> Iterator[list[Row]]:
    d, last = decisions.c, ""
    query = query.order_by(d.decision_id).limit(PAGE)
    while rows := [dict(row._mapping) for row in connection.execute(query.where(d.decision_id > last))]:
        yield rows
        last = rows[-1]["decision_id"]


def _readable(found: Iterable[Decoded]) -> Iterator[LoggedDecisions]:
    for decoded in found:
        if decoded.unreadable:
            raise ValueError(f"decision {next(iter(decoded.unreadable.items()))}; run `journey audit`")
        if decoded.decisions is not None:
            yield decoded.decisions


def _bodies(connection: Connection, schema_ids: Iterable[str]) -> dict[str, str]:
    s = decision_schemas.c
    query = select(s.schema_id, s.body)
    return {row[0]: row[1] for row in where_any(connection, query, s.schema_id, list(schema_ids))}


def _decoded(connection: Connection, rows: Sequence[Row]) -> Iterator[Decoded]:
    of_schema: dict[str, list[Row]] = {}
    for row in rows:
        of_schema.setdefault(row["schema_id"], []).append(row)
    bodies = _bodies(connection, of_schema)
    for schema_id, some in of_schema.items():
        try:
            if digest(bodies[schema_id]) != schema_id:
                raise ValueError("its digest is another")
            schema = DecisionSchema.from_json(schema_id, bodies[schema_id])
        except (ValueError, KeyError, TypeError):
            yield Decoded(None, {row["decision_id"]: "its schema is not what its id says" for row in some})
            continue
        unreadable = {row["decision_id"]: what for row in some if (what := _unreadable(row, schema))}
        good = [row for row in some if row["decision_id"] not in unreadable]
        yield Decoded(_from_rows(good, schema) if good else None, unreadable)


def _from_rows(rows: Sequence[Row], schema: DecisionSchema) -> LoggedDecisions:
    def texts(name: str) -> tuple[str, ...]:
        return tuple(row[name] or "" for row in rows)

    def numbers(name: str, dtype: Any) -> Any:
        return np.array([row[name] for row in rows], dtype=dtype)

    def arrays(name: str, dtype: Any) -> Any:
        return np.frombuffer(b"".join(row[name] for row in rows), dtype=dtype).reshape(len(rows), -1)

    return LoggedDecisions(
        schema=schema,
        decision_id=texts("decision_id"),
        customer_id=texts("customer_id"),
        decided_at=numbers("decided_at", np.float64),
        policy_version=texts("policy_version"),
        action=numbers("action", np.int64),
        propensity=numbers("propensity", np.float64),
        request=texts("request"),
        features=arrays("features", np.float32),
        eligible=np.unpackbits(arrays("eligible", np.uint8), axis=1, count=len(schema.actions)).astype(bool),
        reasons=arrays("reasons", np.uint8),
        scores=arrays("scores", np.float32),
        distribution=arrays("distribution", np.float64),
        group_name=texts("group_name"),
        experiment=texts("experiment"),
        rules=texts("rules"),
        events_until=numbers("events_until", np.int64),
        stock_until=numbers("stock_until", np.int64),
        slots=tuple([(a, p) for a, p in json.loads(row["slots"] or "[]")] for row in rows),
        joint_propensity=tuple(row["joint_propensity"] for row in rows),
    )


def _unreadable(row: Row, schema: DecisionSchema) -> str:
    """Why a row cannot be what this program wrote; empty if it can."""
    actions = len(schema.actions)
    return _unreadable_arrays(row, actions=actions, columns=len(schema.columns)) or _unreadable_texts(row, actions)


def _unreadable_arrays(row: Row, *, actions: int, columns: int) -> str:
    sizes = {
        "features": 4 * columns,
        "scores": 4 * actions,
        "distribution": 8 * actions,
        "reasons": actions,
        "eligible": -(-actions // 8),
    }
    for name, size in sizes.items():
        if not isinstance(row[name], bytes) or len(row[name]) != size:
            return f"{name}: not the {size} bytes that its schema says"
    kinds = {"decided_at": float, "propensity": float, "action": int, "events_until": int, "stock_until": int}
    for name, kind in kinds.items():
        if not isinstance(row[name], kind):
            return f"{name} {row[name]!r}: no {kind.__name__}"
    eligible = np.unpackbits(np.frombuffer(row["eligible"], dtype=np.uint8), count=actions).astype(bool)
    allowed = np.frombuffer(row["reasons"], dtype=np.uint8) == 0
    if not np.array_equal(eligible, allowed) or not allowed[0]:
        return "eligible: not the actions without a reason, or not even `hold`"
    return "" if 0 <= row["action"] < actions else f"action {row['action']}: its schema has {actions}"


def _unreadable_texts(row: Row, actions: int) -> str:
    try:
        asked, slots = json.loads(row["request"]), json.loads(row["slots"] or "[]")
    except ValueError:
        return "request or slots: no JSON"
    several = asked.get("slots", 1) if isinstance(asked, dict) else 0
    if (
        not (isinstance(several, int) and 1 <= several <= MOST_SLOTS)
        or not isinstance(asked.get("same_subject", False), bool)
        or not isinstance(asked.get("context", {}), dict)
        or not isinstance(asked.get("channels", []), list)
    ):
        return "request: not one that is answered"
    if not isinstance(slots, list):
        return "slots: no list"
    for pair in slots:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], int) or not 0 <= pair[0] < actions:
            return "slots: no actions of its schema with their propensities"
    if several == 1 and (row["slots"] is not None or row["joint_propensity"] is not None):
        return "slots: one result was asked for"
    return ""
