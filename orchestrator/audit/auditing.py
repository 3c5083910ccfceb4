"""Repeating logged decisions: features from events, scores from the policy, and the draw, bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, Engine

from orchestrator.audit.features import FeatureAudit
from orchestrator.audit.reasons import check_reasons
from orchestrator.audit.rows import GROUPS, Faults, check_contacts, check_draws, impossible
from orchestrator.audit.stock import StockAudit
from orchestrator.config import Retailer
from orchestrator.decision.core import DecisionCore
from orchestrator.decision.groups import Experiment, business_rules
from orchestrator.errors import OrchestratorError
from orchestrator.log.decision_log import LoggedDecisions, count_decisions, iterate_decisions
from orchestrator.log.decision_schema import DecisionSchema, contact_digest
from orchestrator.log.facts import read_contact_actions
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.dialects import dialect_of
from policies.errors import PolicyError
from policies.policy import Policy, priced

MOST_FAULTS = 1000
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
    with engine.connect().execution_options(**dialect_of(engine).snapshot()) as connection:
        total = count_decisions(connection, since=since)
        progress(0, total)
        for logged, unreadable in iterate_decisions(connection, since=since):
            found.report(unreadable)
            found.decisions += len(unreadable)
            if logged is not None:
                for same in _of_one_kind(logged):
                    auditor.check(connection, same, found)
                found.decisions += len(logged)
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

    def check(self, connection: Connection, logged: LoggedDecisions, found: Audit) -> None:
        """Repeat decisions of one policy version, over one schema and by the same rules, if by any."""
        try:
            self._check(connection, logged, found)
        except _UNREADABLE as error:
            # One decision that cannot be repeated must not hide the others.
            if len(logged) == 1:
                found.report({logged.decision_id[0]: f"cannot be repeated: {type(error).__name__}: {error}"})
                return
            for i in range(len(logged)):
                self.check(connection, logged.take([i]), found)

    def _check(self, connection: Connection, logged: LoggedDecisions, found: Audit) -> None:
        wrong = impossible(logged)
        logged = logged.take([i for i, decision_id in enumerate(logged.decision_id) if decision_id not in wrong])
        faults, left, not_rebuilt = Faults(logged), "", dict[str, str]()
        if len(logged):
            check_draws(logged, faults)
            left = self._check_policy(logged, faults)
            check_contacts(logged, read_contact_actions(connection, faults.ids), faults)
            self._stock.check(connection, logged, faults)
            check_reasons(logged, faults)
            not_rebuilt = self._features.check(connection, logged, faults)
        # Nothing is counted before all of it is known: what raises is done again one by one.
        found.report(wrong | faults.of)
        rules = logged.schema.contact_rules
        for decision_id in faults.ids:
            if decision_id in faults.of:
                continue
            if rules:
                same = rules == self._contact_rules
                found.taken_as_logged[_AS_LOGGED if same else f"{_AS_LOGGED}; other rules than now were in force"] += 1
            if left:
                found.skipped[left] += 1
                continue
            found.verified += 1
            if decision_id in not_rebuilt:
                found.skipped[not_rebuilt[decision_id]] += 1
            else:
                found.rebuilt += 1

    def _check_policy(self, logged: LoggedDecisions, faults: Faults) -> str:
        """Repeat scores and distributions; why they could not be, empty if they could."""
        schema, x = logged.schema, logged.features
        policy = self._policy(logged.policy_version[0], schema)
        experiment = self._experiment(schema, fingerprint=logged.rules[0])
        if isinstance(policy, str):
            return policy
        if isinstance(experiment, str):
            return experiment
        position = {name: i for i, name in enumerate(schema.columns)}
        same = policy.columns == schema.columns
        scores = priced(policy, policy.scores(x if same else x[:, [position[name] for name in policy.columns]]))
        distribution = policy.distribution(scores, logged.eligible)
        group = np.array([GROUPS[name] for name in logged.group_name], dtype=np.uint8)
        experiment.redistribute(distribution, group=group, features=x, eligible=logged.eligible)
        faults.differ("scores", logged.scores, scores)
        faults.differ("distribution", logged.distribution, distribution)
        return ""

    def _policy(self, version: str, schema: DecisionSchema) -> Policy | str:
        """The policy over the schema's actions, or why there is none."""
        key = version, schema.id
        if key not in self._known:
            self._known[key] = self._loaded(version, schema)
        return self._known[key]

    def _loaded(self, version: str, schema: DecisionSchema) -> Policy | str:
        try:
            policy = self._policy_of(version)
            if policy is None:
                return f"scores not repeated: policy {version} is not in the registry"
            if policy.actions == schema.action_set:
                return policy
            if not hasattr(policy, "with_actions"):
                return f"scores not repeated: policy {version} is over other actions"
            bound: Policy = policy.with_actions(schema.action_set)
        except (OrchestratorError, PolicyError) as error:
            return f"scores not repeated: policy {version} cannot be used: {error}"
        return bound

    def _experiment(self, schema: DecisionSchema, *, fingerprint: str) -> Experiment | str:
        """What decided for other groups than the policy's, or why that is not known."""
        experiment = Experiment.of(
            self._rules if fingerprint else None, actions=schema.action_set, columns=schema.columns
        )
        if experiment.fingerprint != fingerprint:
            named = experiment.fingerprint or "none"
            return f"scores not repeated: business rules {fingerprint} decided; serving.yaml names {named}"
        return experiment


def _of_one_kind(logged: LoggedDecisions) -> Iterator[LoggedDecisions]:
    kinds: dict[tuple[str, str], list[int]] = {}
    for i, kind in enumerate(zip(logged.policy_version, logged.rules, strict=True)):
        kinds.setdefault(kind, []).append(i)
    for places in kinds.values():
        yield logged.take(places)
