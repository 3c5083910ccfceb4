"""What one row of the log must look like, and whether its draw is what its distribution and id make it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.decision.core import DRAW_STREAM, draw_results, id_words
from orchestrator.decision.groups import Group
from orchestrator.log.decision_schema import Layout
from orchestrator.storage.tables import Row
from policies.arrays import BoolArray, Float64Array
from policies.exploration.draws import draw, uniforms
from policies.exploration.slots import NOTHING

MOST_SLOTS = 20
_WHOLE = 1e-9  # how far probabilities may be from adding up to 1
GROUPS = {group.label: group for group in Group}


class Faults:
    """What is wrong with each of some decisions; of each, the first thing found.

    Attributes:
        ids: of the decisions.
        of: what is wrong, by decision id.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.ids = [row["decision_id"] for row in rows]
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


def group_of(row: Row) -> Group:
    """Who decided; rows of before there were groups are the policy's."""
    return GROUPS[row["group_name"] or Group.POLICY.label]


def stacked(rows: Sequence[Row], name: str, dtype: Any) -> Any:
    """One array of a column of bytes, (n, width)."""
    return np.frombuffer(b"".join(row[name] for row in rows), dtype=dtype).reshape(len(rows), -1)


def eligible_of(rows: Sequence[Row], actions: int) -> BoolArray:
    """What was eligible, bool (n, A)."""
    return np.unpackbits(stacked(rows, "eligible", np.uint8), axis=1, count=actions).astype(bool)


def asked_of(row: Row) -> dict[str, Any]:
    """The request, as JSON."""
    return dict(json.loads(row["request"]))


def chosen_of(row: Row) -> list[int]:
    """The actions of a decision by slot."""
    return [action for action, _ in json.loads(row["slots"])] if row["slots"] else [row["action"]]


def broken(row: Row, layout: Layout) -> str:
    """What makes a row unreadable or impossible; empty if nothing does."""
    actions = len(layout.actions)
    return (
        _broken_arrays(row, actions=actions, columns=len(layout.columns))
        or _broken_names(row)
        or _broken_texts(row, actions)
    )


def _broken_arrays(row: Row, *, actions: int, columns: int) -> str:
    sizes = {
        "features": 4 * columns,
        "scores": 4 * actions,
        "distribution": 8 * actions,
        "reasons": actions,
        "eligible": -(-actions // 8),
    }
    wrong = [
        f"{name}: {len(row[name])} bytes, its layout says {size}"
        for name, size in sizes.items()
        if len(row[name]) != size
    ]
    if wrong:
        return wrong[0]
    for name, kind in (("features", np.float32), ("scores", np.float32), ("distribution", np.float64)):
        if not np.isfinite(np.frombuffer(row[name], dtype=kind)).all():
            return f"{name}: not all are finite numbers"
    allowed = np.frombuffer(row["reasons"], dtype=np.uint8) == 0
    if not np.array_equal(eligible_of([row], actions)[0], allowed) or not allowed[0]:
        return "eligible: not the actions without a reason, or not even `hold`"
    return "" if 0 <= row["action"] < actions else f"action {row['action']}: its layout has {actions}"


def _broken_names(row: Row) -> str:
    if (row["group_name"] or Group.POLICY.label) not in GROUPS:
        return f"group_name {row['group_name']!r}: no such group"
    if bool(row["rules"]) != (group_of(row) is Group.BUSINESS_RULES):
        return "rules: named exactly where they decide"
    if int(row["decision_id"].replace("-", "")[:12], 16) != int(row["decided_at"] * 1000):
        return "decided_at: not the moment its id was made"
    return ""


def _broken_texts(row: Row, actions: int) -> str:
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
    for pair in slots:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], int) or not 0 <= pair[0] < actions:
            return "slots: no actions of its layout with their propensities"
    if several == 1 and (row["slots"] is not None or row["joint_propensity"] is not None):
        return "slots: one result was asked for"
    return ""


def check_draws(rows: Sequence[Row], layout: Layout, faults: Faults) -> None:
    """Repeat the draws from the logged distributions."""
    distribution: Float64Array = stacked(rows, "distribution", np.float64)
    eligible = eligible_of(rows, len(layout.actions))
    bad = (distribution < 0) | ((distribution > 0) & ~eligible)
    total = distribution.sum(axis=1)
    for row in np.flatnonzero(bad.any(axis=1) | (np.abs(total - 1) > _WHOLE)).tolist():
        faults.add(row, "distribution: none over the eligible actions")
    action = draw(distribution, uniforms(id_words(faults.ids), stream=DRAW_STREAM))
    faults.differ("action", np.array([[row["action"]] for row in rows]), action[:, None])
    chosen = distribution[np.arange(len(rows)), action]
    faults.differ("propensity", np.array([[row["propensity"]] for row in rows]), chosen[:, None])
    _check_slots(rows, layout, distribution, faults)


def _check_slots(rows: Sequence[Row], layout: Layout, distribution: Float64Array, faults: Faults) -> None:
    asked = [asked_of(row) for row in rows]
    several = [i for i, request in enumerate(asked) if request.get("slots", 1) > 1]
    if not several:
        return
    drawn = draw_results(
        distribution[several],
        id_words([faults.ids[i] for i in several]),
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


def check_contacts(
    rows: Sequence[Row], layout: Layout, ledger: Mapping[str, tuple[str, str, float]], faults: Faults
) -> None:
    """The ledger must name exactly what was decided and is counted.

    Args:
        rows: decisions.
        layout: theirs.
        ledger: customer, action and moment of contacts, by decision id.
        faults: of the rows.
    """
    for i, row in enumerate(rows):
        counted = next((layout.actions[a].id for a in chosen_of(row) if layout.actions[a].counted), None)
        expected = None if counted is None else (row["customer_id"], counted, row["decided_at"])
        if (found := ledger.get(row["decision_id"])) != expected:
            faults.add(i, f"the ledger of contacts says {_told(found)}, decided was {_told(expected)}")


def _told(contact: tuple[str, str, float] | None) -> str:
    """Without the customer: what an audit prints is no place for ids of customers."""
    return "nothing" if contact is None else f"{contact[1]} at {contact[2]!r}"
