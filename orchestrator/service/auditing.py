"""Repeating logged decisions: features from events, scores from the policy, and the draw, bit for bit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from orchestrator.decisions import DRAW_STREAM, DecisionCore, draw_results, id_words
from orchestrator.errors import OrchestratorError
from orchestrator.groups import Experiment, Group
from orchestrator.profiles import apply, features
from orchestrator.service.layout import Layout, digest
from orchestrator.service.replaying import replayed
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.log import read_contact_actions, read_events_of
from orchestrator.storage.tables import Row, decisions, layouts
from policies.arrays import BoolArray, Float64Array
from policies.baselines import BusinessRules
from policies.draws import draw, uniforms
from policies.errors import PolicyError
from policies.policy import Policy, priced
from policies.slots import NOTHING

CHUNK = 2000
MOST_FAULTS = 1000
# A profile built event by event and one built at once differ in the last digits of sums.
_ALIKE = 1e-4
_GROUPS = {group.label: int(group) for group in Group}


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
        verified: decisions whose scores, distribution, draw and propensity were repeated, and all agree.
        rebuilt: of these, decisions whose features were rebuilt from events too.
        skipped: why others could not be repeated, with how many.
        faults: the first of them, at most `MOST_FAULTS`.
        faulty: decisions with a fault.
    """

    decisions: int = 0
    verified: int = 0
    rebuilt: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    faulty: int = 0

    def report(self, wrong: Mapping[str, str]) -> None:
        """Add decisions with what is wrong with them."""
        self.faulty += len(wrong)
        self.faults += [Fault(i, what) for i, what in wrong.items()][: MOST_FAULTS - len(self.faults)]


def audit_decisions(
    engine: Engine,
    core: DecisionCore,
    *,
    policy_of: Callable[[str], Policy | None],
    rules: BusinessRules | None,
    since: float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> Audit:
    """Repeat every logged decision and compare; the database may be in use.

    Scores, distributions, draws and propensities must agree to the last bit; features, rebuilt from the events that
    had been received, up to rounding. Repeating on another kind of processor than decided may round scores otherwise.

    Args:
        engine: an open database.
        core: of the configuration; features are rebuilt for decisions over its columns.
        policy_of: the policy of a version, as registered; none if it is gone.
        rules: those of the group of business rules, where there are any.
        since: decisions from this moment on, seconds since 1970.
        progress: called with how many decisions are done, of how many.
    """
    found = Audit()
    auditor = _Auditor(core, policy_of=policy_of, rules=rules)
    with engine.connect().execution_options(**dialect_of(engine).snapshot()) as connection:
        d = decisions.c
        total = connection.execute(
            select(func.count()).select_from(decisions).where(d.decided_at >= since)
        ).scalar_one()
        progress(0, total)
        last = ""
        while rows := _next_rows(connection, after=last, since=since):
            last = rows[-1]["decision_id"]
            for same in _of_one_kind(rows):
                auditor.check(connection, same, found)
            progress(found.decisions, total)
    return found


class _Auditor:
    def __init__(
        self, core: DecisionCore, *, policy_of: Callable[[str], Policy | None], rules: BusinessRules | None
    ) -> None:
        self._core = core
        self._policy_of = policy_of
        self._rules = rules
        self._known: dict[tuple[str, str], Policy | str] = {}

    def check(self, connection: Connection, rows: Sequence[Row], found: Audit) -> None:
        """Repeat decisions of one policy version, over one layout and by the same rules, if by any."""
        found.decisions += len(rows)
        layout = Layout.from_json(rows[0]["layout_id"], rows[0]["layout"])
        broken = _broken(rows, layout)
        found.report(broken)
        if not (rows := [row for row in rows if row["decision_id"] not in broken]):
            return
        faults = _Faults([row["decision_id"] for row in rows])
        rebuilt = self._check_features(connection, rows, layout, faults)
        _check_contacts(connection, rows, layout, faults)
        policy = self._policy(rows[0]["policy_version"], layout)
        if not isinstance(policy, str):
            experiment = self._experiment(layout, fingerprint=rows[0]["rules"] or "")
            if isinstance(experiment, str):
                policy = experiment
            else:
                _check_draws(rows, layout, policy, experiment, faults)
        found.report(faults.of)
        good = len(rows) - len(faults.of)
        if isinstance(policy, str):
            found.skipped[policy] += good
            return
        found.verified += good
        found.rebuilt += min(rebuilt, good)

    def _policy(self, version: str, layout: Layout) -> Policy | str:
        """The policy over the layout's actions, or why there is none."""
        key = version, layout.id
        if key not in self._known:
            self._known[key] = self._loaded(version, layout)
        return self._known[key]

    def _loaded(self, version: str, layout: Layout) -> Policy | str:
        if layout.action_set is None:
            return "decided before costs and features of actions were logged"
        try:
            policy = self._policy_of(version)
        except (OrchestratorError, PolicyError) as error:
            return f"policy {version} cannot be read: {error}"
        if policy is None:
            return f"policy {version} is not in the registry"
        if policy.actions == layout.action_set:
            return policy
        if not hasattr(policy, "with_actions"):
            return f"policy {version} is over other actions"
        bound: Policy = policy.with_actions(layout.action_set)
        return bound

    def _check_features(self, connection: Connection, rows: Sequence[Row], layout: Layout, faults: _Faults) -> int:
        """Compare features with what the events received until then make of them; how many could be compared."""
        core = self._core
        if layout.columns != core.columns:
            return 0
        customers = list(dict.fromkeys(row["customer_id"] for row in rows))
        events: dict[str, list[Row]] = {}
        for event in read_events_of(connection, customers):
            events.setdefault(event["customer_id"], []).append(event)
        known = [i for i, row in enumerate(rows) if row["customer_id"] in events]
        if not known:
            return 0
        # Each decision stands for a customer of its own, who is known as far as the decision knew.
        told = [
            {**event, "customer_id": str(place)}
            for place, i in enumerate(known)
            for event in events[rows[i]["customer_id"]]
            if event["received_at"] <= rows[i]["decided_at"]
        ]
        states = core.schema.empty(len(known))
        if told:
            applied = replayed(connection, core.schema, told)
            apply(core.schema, states, replace(applied, customer=applied.customers.astype(np.int64)[applied.customer]))
        now = np.array([rows[i]["decided_at"] for i in known])
        expected = np.empty((len(known), len(core.columns)), dtype=np.float32)
        width = len(core.schema.columns)
        expected[:, :width] = features(core.schema, states, now)
        expected[:, width:] = core.context.encode([_context(rows[i]["request"]) for i in known])
        logged = _stacked([rows[i] for i in known], "features", np.float32)
        wrong = ~np.isclose(logged, expected, rtol=_ALIKE, atol=_ALIKE)
        for place in np.flatnonzero(wrong.any(axis=1)).tolist():
            column = int(wrong[place].argmax())
            faults.add(
                known[place],
                f"features: {core.columns[column]} is {logged[place, column]:g}; its events and its request make it "
                f"{expected[place, column]:g}",
            )
        return len(known)

    def _experiment(self, layout: Layout, *, fingerprint: str) -> Experiment | str:
        """What decided for other groups than the policy's, or why that is not known."""
        assert layout.action_set is not None  # noqa: S101 - there is no policy over such a layout
        rules = self._rules if fingerprint else None
        try:
            experiment = Experiment.of(rules, actions=layout.action_set, columns=layout.columns)
        except OrchestratorError as error:
            return str(error)
        if experiment.fingerprint != fingerprint:
            return f"business rules {fingerprint} decided; serving.yaml names {experiment.fingerprint or 'none'}"
        return experiment


class _Faults:
    """What is wrong with each of some decisions; the first thing found stays."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids
        self.of: dict[str, str] = {}

    def add(self, row: int, what: str) -> None:
        self.of.setdefault(self.ids[row], what)

    def differ(self, name: str, logged: Any, repeated: Any) -> None:
        """Rows of which a number is not the same to the last bit."""
        wrong = (logged != repeated) & ~(np.isnan(logged) & np.isnan(repeated))
        for row in np.flatnonzero(wrong.any(axis=1)).tolist():
            a = int(wrong[row].argmax())
            place = f"[{a}]" if logged.shape[1] > 1 else ""
            self.add(row, f"{name}{place} is {logged[row, a].item()!r}, repeated {repeated[row, a].item()!r}")


def _check_draws(rows: Sequence[Row], layout: Layout, policy: Policy, experiment: Experiment, faults: _Faults) -> None:
    x = _stacked(rows, "features", np.float32)
    position = {name: i for i, name in enumerate(layout.columns)}
    same = policy.columns == layout.columns
    scores = priced(policy, policy.scores(x if same else x[:, [position[name] for name in policy.columns]]))
    eligible = _eligible(rows, len(layout.actions))
    distribution = policy.distribution(scores, eligible)
    group = np.array([_GROUPS[row["group_name"] or Group.POLICY.label] for row in rows], dtype=np.uint8)
    experiment.redistribute(distribution, group=group, features=x, eligible=eligible)
    action = draw(distribution, uniforms(id_words(faults.ids), stream=DRAW_STREAM))
    faults.differ("scores", _stacked(rows, "scores", np.float32), scores)
    faults.differ("distribution", _stacked(rows, "distribution", np.float64), distribution)
    faults.differ("action", np.array([[row["action"]] for row in rows]), action[:, None])
    chosen = distribution[np.arange(len(rows)), action]
    faults.differ("propensity", np.array([[row["propensity"]] for row in rows]), chosen[:, None])
    _check_slots(rows, layout, distribution, faults)


def _check_slots(rows: Sequence[Row], layout: Layout, distribution: Float64Array, faults: _Faults) -> None:
    asked = [json.loads(row["request"]) for row in rows]
    several = [i for i, request in enumerate(asked) if request.get("slots", 1) > 1]
    for i in set(range(len(rows))) - set(several):
        if rows[i]["slots"] is not None or rows[i]["joint_propensity"] is not None:
            faults.add(i, "slots: one result was asked for")
    if not several:
        return
    drawn = draw_results(
        distribution[several],
        id_words([rows[i]["decision_id"] for i in several]),
        slots=np.array([asked[i]["slots"] for i in several]),
        same_subject=np.array([asked[i].get("same_subject", False) for i in several]),
        subjects=[action.subject for action in layout.actions],
        counted=np.array([action.counted for action in layout.actions]),
    )
    joint = drawn.joint
    for place, i in enumerate(several):
        pairs = zip(drawn.action[place].tolist(), drawn.propensity[place].tolist(), strict=True)
        if json.loads(rows[i]["slots"] or "[]") != [[a, p] for a, p in pairs if a != NOTHING]:
            faults.add(i, "slots: repeating the draw gives others")
        if rows[i]["joint_propensity"] != joint[place]:
            faults.add(i, f"joint_propensity is {rows[i]['joint_propensity']!r}, repeated {joint[place].item()!r}")


def _broken(rows: Sequence[Row], layout: Layout) -> dict[str, str]:
    """Decisions whose row cannot even be read, with what is wrong."""
    if digest(rows[0]["layout"]) != layout.id:
        return {row["decision_id"]: "its layout is not what its id says" for row in rows}
    actions, columns = len(layout.actions), len(layout.columns)
    sizes = {
        "features": 4 * columns,
        "scores": 4 * actions,
        "distribution": 8 * actions,
        "reasons": actions,
        "eligible": -(-actions // 8),
    }
    broken: dict[str, str] = {}
    for row in rows:
        wrong = [
            f"{name}: {len(row[name])} bytes, not {size}" for name, size in sizes.items() if len(row[name]) != size
        ]
        if not 0 <= row["action"] < actions:
            wrong.append(f"action {row['action']}: its layout has {actions}")
        if not wrong and not np.array_equal(
            _eligible([row], actions)[0], np.frombuffer(row["reasons"], dtype=np.uint8) == 0
        ):
            wrong.append("eligible: not the actions without a reason")
        if (row["group_name"] or Group.POLICY.label) not in _GROUPS:
            wrong.append(f"group_name {row['group_name']!r}: no such group")
        try:
            json.loads(row["request"])
            json.loads(row["slots"] or "[]")
        except ValueError:
            wrong.append("request or slots: no JSON")
        if wrong:
            broken[row["decision_id"]] = wrong[0]
    return broken


def _check_contacts(connection: Connection, rows: Sequence[Row], layout: Layout, faults: _Faults) -> None:
    """The ledger must name exactly what was decided and is counted."""
    if layout.action_set is None:
        return
    ledger = read_contact_actions(connection, [row["decision_id"] for row in rows])
    for i, row in enumerate(rows):
        chosen = [action for action, _ in json.loads(row["slots"] or "[]")] or [row["action"]]
        counted = next((layout.actions[a].id for a in chosen if layout.actions[a].counted), None)
        expected = None if counted is None else (row["customer_id"], counted, row["decided_at"])
        if ledger.get(row["decision_id"]) != expected:
            faults.add(i, f"the ledger of contacts says {ledger.get(row['decision_id'])}, decided was {expected}")


def _context(request: str) -> Mapping[str, Any]:
    said = json.loads(request)
    return {"placement": said.get("placement"), **said.get("context", {})}


def _stacked(rows: Sequence[Row], name: str, dtype: Any) -> Any:
    return np.frombuffer(b"".join(row[name] for row in rows), dtype=dtype).reshape(len(rows), -1)


def _eligible(rows: Sequence[Row], actions: int) -> BoolArray:
    return np.unpackbits(_stacked(rows, "eligible", np.uint8), axis=1, count=actions).astype(bool)


def _next_rows(connection: Connection, *, after: str, since: float) -> list[Row]:
    query = (
        select(decisions, layouts.c.body.label("layout"))
        .join(layouts)
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
