"""What each experiment group is worth against another: money per customer, whenever one looks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from sqlalchemy import Connection, Engine, Table, select

from orchestrator.config import Goals
from orchestrator.decision.groups import Group
from orchestrator.errors import OrchestratorError, suggestion
from orchestrator.log.decision_log import iterate_chosen
from orchestrator.profiles import EVENT_TYPES
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import events, outcomes
from policies.arrays import Float64Array, IntArray
from policies.evaluation.confidence_sequences import DifferenceSequence, difference_sequence

DAY = 86400.0
TIGHTEST = 10_000
_AT_ONCE = 10_000  # rows held in memory


@dataclass(frozen=True)
class GroupResult:
    """What customers of one group did.

    Attributes:
        group: `Group.label`.
        customers: whose time is over.
        money: mean money per customer, costs of actions subtracted.
        contacts: mean number of actions taken per customer, `hold` left out.
        unsubscribes: per 1,000 customers.
        lift: money per customer above the reference group's; none for the reference itself, or with too few customers.
    """

    group: str
    customers: int
    money: float
    contacts: float
    unsubscribes: float
    lift: DifferenceSequence | None


@dataclass(frozen=True)
class Lift:
    """All groups.

    Attributes:
        reference: the group others are compared with; empty if nobody is in another than the policy's.
        window: seconds each customer is looked at, from the first decision on.
        waiting: customers whose time is not over.
        groups: results, the reference first.
    """

    reference: str
    window: float
    waiting: int
    groups: tuple[GroupResult, ...]


def measure_lift(
    engine: Engine,
    goals: Goals,
    *,
    experiment: str,
    window: float,
    now: float,
    against: str | None = None,
    tightest: int = TIGHTEST,
    alpha: float = 0.05,
) -> Lift:
    """Compare groups by what customers brought from their first decision of the experiment on.

    Decisions made with another salt or other shares are left out, for then other customers were compared. A customer
    counts in the group of the first decision, with all that followed within the window, whoever decided later: what is
    compared was assigned by chance. Customers come in as their windows close; until then they wait. Facts that reach
    the service later than that still count.

    Args:
        engine: an open database, which may be in use.
        goals: what outcomes are worth.
        experiment: `Assignment.experiment` of salt and shares.
        window: seconds.
        now: seconds since 1970.
        against: reference group; by default the first of control, business_rules, random that has customers.
        tightest: customers at which bounds shall be tightest; chosen before looking, and kept.
        alpha: chance that any bound of a comparison is ever wrong.

    Raises:
        OrchestratorError: there is no such group to compare with, or nobody is in it.
    """
    with engine.connect().execution_options(**dialect_of(engine).snapshot()) as connection:
        customers = _customers(connection, goals, experiment=experiment, window=window, now=now)
    done = customers.first + window <= now
    sizes: dict[str, int] = {g.label: int((done & (customers.group == g)).sum()) for g in Group}
    reference = against or next((name for name in _REFERENCES if sizes[name]), "")
    if against and against not in sizes:
        raise OrchestratorError(f"no such group: {against!r}; {suggestion(against, sizes)}")
    if against and not sizes[against]:
        raise OrchestratorError(f"nobody in the group {against!r} yet; choose one of {_some(sizes)}")
    order = np.argsort(customers.first, kind="stable")
    order = order[done[order]]
    chosen = sorted((g for g in Group if sizes[g.label]), key=lambda g: (g.label != reference, g))
    return Lift(
        reference=reference,
        window=window,
        waiting=int((~done).sum()),
        groups=tuple(_result(customers, order, g, reference=reference, tightest=tightest, alpha=alpha) for g in chosen),
    )


_REFERENCES = (Group.CONTROL.label, Group.BUSINESS_RULES.label, Group.RANDOM.label)


@dataclass(frozen=True)
class _Customers:
    """One row per customer who was decided for: first decision, group there, and what followed in the window."""

    first: Float64Array
    group: IntArray
    money: Float64Array
    contacts: Float64Array
    unsubscribed: Float64Array


def _result(
    customers: _Customers, order: IntArray, group: Group, *, reference: str, tightest: int, alpha: float
) -> GroupResult:
    mine = order[customers.group[order] == group]
    lift = None
    if reference and group.label != reference:
        codes: dict[str, Group] = {g.label: g for g in Group}
        two = order[np.isin(customers.group[order], [group, codes[reference]])]
        treated = customers.group[two] == group
        lift = difference_sequence(customers.money[two], treated, tightest=tightest, alpha=alpha)
    return GroupResult(
        group=group.label,
        customers=len(mine),
        money=float(customers.money[mine].mean()),
        contacts=float(customers.contacts[mine].mean()),
        unsubscribes=1000 * float(customers.unsubscribed[mine].mean()),
        lift=lift,
    )


def _customers(connection: Connection, goals: Goals, *, experiment: str, window: float, now: float) -> _Customers:
    codes: dict[str, int] = {g.label: int(g) for g in Group}
    row: dict[str, int] = {}
    first: list[float] = []
    group: list[int] = []
    spent: list[float] = []
    contacts: list[float] = []
    for decision in iterate_chosen(connection, experiment=experiment, until=now):
        place = row.setdefault(decision.customer_id, len(row))
        if place == len(first):
            first.append(decision.decided_at)
            group.append(codes[decision.group_name])
            spent.append(0.0)
            contacts.append(0.0)
        if decision.decided_at < first[place] + window:
            spent[place] += sum(decision.schema.action_set.cost[list(decision.chosen)].tolist())
            contacts[place] += sum(a != 0 for a in decision.chosen)
    begins = np.array(first)
    money, unsubscribed = -np.array(spent), np.zeros(len(row))
    facts = (_facts(connection, goals, table, now) for table in (events, outcomes))
    for customer, at, kind, worth in chain.from_iterable(facts):
        place = row.get(customer, -1)
        if place >= 0 and begins[place] < at < begins[place] + window:
            money[place] += worth
            unsubscribed[place] = unsubscribed[place] or kind == "unsubscribe"
    return _Customers(begins, np.array(group), money, np.array(contacts), unsubscribed)


def _facts(connection: Connection, goals: Goals, table: Table, now: float) -> Iterator[tuple[str, float, str, float]]:
    """Customer, moment, type and worth of facts worth something; outcomes that are events are left to those."""
    types = {kind for kind in (*goals.outcomes, "unsubscribe") if (kind in EVENT_TYPES) == (table is events)}
    c = table.c
    query = select(c.customer_id, c.timestamp, c.type, c.body).where(c.type.in_(sorted(types)), c.timestamp <= now)
    query = query.execution_options(yield_per=_AT_ONCE)
    for customer, at, kind, body in connection.execute(query):
        yield customer, at, kind, goals.worth(kind, value=json.loads(body).get("value") or 0.0)


def _some(sizes: Mapping[str, int]) -> str:
    return ", ".join(name for name, size in sizes.items() if size) or "none: no customer's time is over yet"
