"""Whether the draw of a logged decision is what its distribution and id make it, and the ledger what was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from orchestrator.decision.core import DRAW_STREAM, draw_results, id_words
from orchestrator.decision.groups import Group
from orchestrator.log.decision_log import LoggedDecisions
from policies.exploration.draws import draw, uniforms
from policies.exploration.slots import NOTHING

_WHOLE = 1e-9  # how far probabilities may be from adding up to 1
GROUPS: dict[str, Group] = {group.label: group for group in Group}


class Faults:
    """What is wrong with each of some decisions; of each, the first thing found.

    Attributes:
        ids: of the decisions.
        of: what is wrong, by decision id.
    """

    def __init__(self, logged: LoggedDecisions) -> None:
        self.ids = logged.decision_id
        self.of: dict[str, str] = {}

    def add(self, row: int, what: str) -> None:
        """Something is wrong with the decision in this place."""
        self.of.setdefault(self.ids[row], what)

    def differ(self, name: str, logged: Any, repeated: Any) -> None:
        """Compare numbers, (n, k) each, to the last bit."""
        wrong = logged != repeated
        for row in np.flatnonzero(wrong.any(axis=1)).tolist():
            a = int(wrong[row].argmax())
            place = f"[{a}]" if logged.shape[1] > 1 else ""
            self.add(row, f"{name}{place} is {logged[row, a].item()!r}, repeated {repeated[row, a].item()!r}")


def impossible(logged: LoggedDecisions) -> dict[str, str]:
    """Decisions that say what no decision can, by id."""
    found = {}
    for i, decision_id in enumerate(logged.decision_id):
        if what := _impossible(logged, i):
            found[decision_id] = what
    return found


def _impossible(logged: LoggedDecisions, i: int) -> str:
    for name in ("features", "scores", "distribution"):
        if not np.isfinite(getattr(logged, name)[i]).all():
            return f"{name}: not all are finite numbers"
    if logged.group_name[i] not in GROUPS:
        return f"group_name {logged.group_name[i]!r}: no such group"
    if bool(logged.rules[i]) != (logged.group_name[i] == Group.BUSINESS_RULES.label):
        return "rules: named exactly where they decide"
    if int(logged.decision_id[i].replace("-", "")[:12], 16) != int(logged.decided_at[i] * 1000):
        return "decided_at: not the moment its id was made"
    return ""


def check_draws(logged: LoggedDecisions, faults: Faults) -> None:
    """Repeat the draws from the logged distributions."""
    distribution = logged.distribution
    bad = (distribution < 0) | ((distribution > 0) & ~logged.eligible)
    total = distribution.sum(axis=1)
    for row in np.flatnonzero(bad.any(axis=1) | (np.abs(total - 1) > _WHOLE)).tolist():
        faults.add(row, "distribution: none over the eligible actions")
    action = draw(distribution, uniforms(id_words(logged.decision_id), stream=DRAW_STREAM))
    faults.differ("action", logged.action[:, None], action[:, None])
    chosen = distribution[np.arange(len(logged)), action]
    faults.differ("propensity", logged.propensity[:, None], chosen[:, None])
    _check_slots(logged, faults)


def _check_slots(logged: LoggedDecisions, faults: Faults) -> None:
    asked = [logged.asked(i) for i in range(len(logged))]
    several = [i for i, request in enumerate(asked) if request.get("slots", 1) > 1]
    if not several:
        return
    drawn = draw_results(
        logged.distribution[several],
        id_words([logged.decision_id[i] for i in several]),
        slots=np.array([asked[i]["slots"] for i in several]),
        same_subject=np.array([asked[i].get("same_subject", False) for i in several]),
        subjects=[action.subject for action in logged.schema.actions],
        counted=np.array([action.counted for action in logged.schema.actions]),
    )
    for place, i in enumerate(several):
        pairs = zip(drawn.action[place].tolist(), drawn.propensity[place].tolist(), strict=True)
        if list(logged.slots[i]) != [(a, p) for a, p in pairs if a != NOTHING]:
            faults.add(i, "slots: repeating the draw gives others")
        joint, repeated = logged.joint_propensity[i], drawn.joint[place].item()
        if joint != repeated:
            faults.add(i, f"joint_propensity is {joint!r}, repeated {repeated!r}")


def check_contacts(logged: LoggedDecisions, ledger: Mapping[str, tuple[str, str, float]], faults: Faults) -> None:
    """The ledger must name exactly what was decided and is counted.

    Args:
        logged: decisions.
        ledger: customer, action and moment of contacts, by decision id.
        faults: of the decisions.
    """
    for i, decision_id in enumerate(logged.decision_id):
        chosen = [logged.schema.actions[a] for a in logged.chosen(i)]
        counted = next((action.id for action in chosen if action.counted), None)
        decided = logged.customer_id[i], counted, float(logged.decided_at[i])
        expected = None if counted is None else decided
        if (found := ledger.get(decision_id)) != expected:
            faults.add(i, f"the ledger of contacts says {_told(found)}, decided was {_told(expected)}")


def _told(contact: tuple[str, str | None, float] | None) -> str:
    """Without the customer: what an audit prints is no place for ids of customers."""
    return "nothing" if contact is None else f"{contact[1]} at {contact[2]!r}"
