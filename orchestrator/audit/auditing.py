"""Repeating logged decisions: features from events, scores from the policy, and the draw, bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from orchestrator.audit.features import FeatureAudit
from orchestrator.audit.reasons import check_reasons
from orchestrator.audit.rows import (
    Faults,
    broken,
    check_contacts,
    check_draws,
    eligible_of,
    group_of,
    stacked,
)
from orchestrator.audit.stock import StockAudit
from orchestrator.config import Retailer
from orchestrator.decision.core import DecisionCore
from orchestrator.decision.groups import Experiment, business_rules
from orchestrator.errors import OrchestratorError
from orchestrator.log.decision_schema import Layout, contact_digest, digest
from orchestrator.log.facts import read_contact_actions
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import Row, decisions, layouts
from policies.errors import PolicyError
from policies.policy import Policy, priced

CHUNK = 500
MOST_FAULTS = 1000
_BEFORE_RULES = "reasons not repeated: decided before the log says what they follow from"
_AS_LOGGED = "what contact rules said is taken as logged"
# What a row that was meddled with can make of code that trusts it.
_UNREADABLE = (OrchestratorError, PolicyError, ValueError, KeyError, TypeError, IndexError, AttributeError)


@dataclass(frozen=True)
class Fault:
    """A decision whose row says something else than repeating it does."""

    decision_id: str
    what: str


@dataclass
class Audit:
    """What was found.

    Attributes:
        decisions: looked at.
        verified: decisions that were repeated whole, from scores to contact, and all agrees.
        rebuilt: of these, decisions whose features were rebuilt from events too.
        skipped: what could not be repeated of others, with how many; all else of them was.
        taken_as_logged: what is never repeated, with how many decisions without a fault it was part of.
        faults: the first of them, at most `MOST_FAULTS`.
        faulty: decisions with a fault.
    """

    decisions: int = 0
    verified: int = 0
    rebuilt: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    taken_as_logged: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    faulty: int = 0

    def report(self, wrong: dict[str, str]) -> None:
        """Add decisions with what is wrong with them."""
        self.faulty += len(wrong)
        self.faults += [Fault(i, what) for i, what in wrong.items()][: MOST_FAULTS - len(self.faults)]


def audit_decisions(
    engine: Engine,
    retailer: Retailer,
    *,
    policy_of: Callable[[str], Policy | None],
    since: float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> Audit:
    """Repeat every logged decision and compare; the database may be in use.

    Scores, distributions, draws and propensities must agree to the last bit; features, rebuilt from the events that
    had been received, up to rounding; reasons, groups and the ledger with what was asked, in stock and decided. What
    contact rules said (caps, hours, missing texts) is not repeated: they look at facts that may have been reported
    since.
    Repeating on another kind of processor than decided may round scores otherwise.

    Args:
        engine: an open database.
        retailer: the configuration; features are rebuilt for decisions that were made with it.
        policy_of: the policy of a version, as registered; none if it is gone.
        since: decisions from this moment on, seconds since 1970.
        progress: called with how many decisions are done, of how many.

    Raises:
        ConfigError: the configuration names business rules that cannot be read.
    """
    found, auditor = Audit(), _Auditor(retailer, policy_of=policy_of)
    d = decisions.c
    with engine.connect().execution_options(**dialect_of(engine).snapshot()) as connection:
        bodies = {row[0]: row[1] for row in connection.execute(select(layouts.c.layout_id, layouts.c.body))}
        total = connection.execute(
            select(func.count()).select_from(decisions).where(d.decided_at >= since)
        ).scalar_one()
        progress(0, total)
        last = ""
        while rows := _next_rows(connection, after=last, since=since):
            last = rows[-1]["decision_id"]
            for same in _of_one_kind(rows):
                auditor.check(connection, same, bodies[same[0]["layout_id"]], found)
            found.decisions += len(rows)
            progress(found.decisions, total)
    return found


class _Auditor:
    def __init__(self, retailer: Retailer, *, policy_of: Callable[[str], Policy | None]) -> None:
        self._features = FeatureAudit(DecisionCore(retailer, ProfileSchema.from_retailer(retailer)), retailer)
        self._stock = StockAudit()
        self._rules = business_rules(retailer)
        self._contact_rules = contact_digest(retailer)
        self._policy_of = policy_of
        self._known: dict[tuple[str, str], Policy | str] = {}

    def check(self, connection: Connection, rows: Sequence[Row], body: str, found: Audit) -> None:
        """Repeat decisions of one policy version, over one layout and by the same rules, if by any."""
        try:
            self._check(connection, rows, body, found)
        except _UNREADABLE as error:
            # One row that cannot be repeated must not hide the others.
            if len(rows) == 1:
                found.report({rows[0]["decision_id"]: f"cannot be repeated: {type(error).__name__}: {error}"})
                return
            for row in rows:
                self.check(connection, [row], body, found)

    def _check(self, connection: Connection, rows: Sequence[Row], body: str, found: Audit) -> None:
        layout = Layout.from_json(rows[0]["layout_id"], body)
        if digest(body) != layout.id:
            found.report({row["decision_id"]: "its layout is not what its id says" for row in rows})
            return
        unreadable = {row["decision_id"]: what for row in rows if (what := broken(row, layout))}
        rows = [row for row in rows if row["decision_id"] not in unreadable]
        faults = Faults(rows)
        left: dict[str, str] = {}
        if rows:
            check_draws(rows, layout, faults)
            why = self._check_policy(rows, layout, faults)
            if layout.action_set is not None:
                check_contacts(rows, layout, read_contact_actions(connection, faults.ids), faults)
            self._stock.check(connection, rows, layout, faults)
            left = dict.fromkeys(faults.ids, why) if why else {}
            not_rebuilt: dict[str, str] = {}
            if layout.channels:
                check_reasons(rows, layout, faults)
            else:
                not_rebuilt = dict.fromkeys(faults.ids, _BEFORE_RULES)
            not_rebuilt |= self._features.check(connection, rows, layout, faults)
        # Nothing is counted before all of it is known: what raises is done again row by row.
        found.report(unreadable | faults.of)
        for decision_id in faults.ids:
            if decision_id in faults.of:
                continue
            if layout.contact_rules:
                same = layout.contact_rules == self._contact_rules
                found.taken_as_logged[_AS_LOGGED if same else f"{_AS_LOGGED}; other rules than now were in force"] += 1
            if decision_id in left:
                found.skipped[left[decision_id]] += 1
                continue
            found.verified += 1
            if decision_id in not_rebuilt:
                found.skipped[not_rebuilt[decision_id]] += 1
            else:
                found.rebuilt += 1

    def _check_policy(self, rows: Sequence[Row], layout: Layout, faults: Faults) -> str:
        """Repeat scores and distributions; why they could not be, empty if they could."""
        policy = self._policy(rows[0]["policy_version"], layout)
        experiment = self._experiment(layout, fingerprint=rows[0]["rules"] or "")
        if isinstance(policy, str):
            return policy
        if isinstance(experiment, str):
            return experiment
        x = stacked(rows, "features", np.float32)
        position = {name: i for i, name in enumerate(layout.columns)}
        same = policy.columns == layout.columns
        scores = priced(policy, policy.scores(x if same else x[:, [position[name] for name in policy.columns]]))
        eligible = eligible_of(rows, len(layout.actions))
        distribution = policy.distribution(scores, eligible)
        group = np.array([group_of(row) for row in rows], dtype=np.uint8)
        experiment.redistribute(distribution, group=group, features=x, eligible=eligible)
        faults.differ("scores", stacked(rows, "scores", np.float32), scores)
        faults.differ("distribution", stacked(rows, "distribution", np.float64), distribution)
        return ""

    def _policy(self, version: str, layout: Layout) -> Policy | str:
        """The policy over the layout's actions, or why there is none."""
        key = version, layout.id
        if key not in self._known:
            self._known[key] = self._loaded(version, layout)
        return self._known[key]

    def _loaded(self, version: str, layout: Layout) -> Policy | str:
        if layout.action_set is None:
            return "scores not repeated: decided before costs and features of actions were logged"
        try:
            policy = self._policy_of(version)
            if policy is None:
                return f"scores not repeated: policy {version} is not in the registry"
            if policy.actions == layout.action_set:
                return policy
            if not hasattr(policy, "with_actions"):
                return f"scores not repeated: policy {version} is over other actions"
            bound: Policy = policy.with_actions(layout.action_set)
        except (OrchestratorError, PolicyError) as error:
            return f"scores not repeated: policy {version} cannot be used: {error}"
        return bound

    def _experiment(self, layout: Layout, *, fingerprint: str) -> Experiment | str:
        """What decided for other groups than the policy's, or why that is not known."""
        if layout.action_set is None:
            return ""
        experiment = Experiment.of(
            self._rules if fingerprint else None, actions=layout.action_set, columns=layout.columns
        )
        if experiment.fingerprint != fingerprint:
            named = experiment.fingerprint or "none"
            return f"scores not repeated: business rules {fingerprint} decided; serving.yaml names {named}"
        return experiment


def _next_rows(connection: Connection, *, after: str, since: float) -> list[Row]:
    query = (
        select(decisions)
        .where(decisions.c.decision_id > after, decisions.c.decided_at >= since)
        .order_by(decisions.c.decision_id)
        .limit(CHUNK)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def _of_one_kind(rows: Sequence[Row]) -> Iterator[list[Row]]:
    kinds: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row["policy_version"], row["layout_id"], row["rules"] or ""), []).append(row)
    yield from kinds.values()
