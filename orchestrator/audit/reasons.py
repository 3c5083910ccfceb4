"""Whether the logged reasons follow from the request, the profile and the catalogue as it was when decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from orchestrator.audit.rows import Faults, asked_of, stacked
from orchestrator.config.catalogue import Action
from orchestrator.eligibility.eligible_actions import Reason, ReasonArray, dated
from orchestrator.log.decision_schema import Layout, LoggedAction
from orchestrator.storage.tables import Row
from policies.arrays import BoolArray, IntArray


def check_reasons(rows: Sequence[Row], layout: Layout, faults: Faults) -> None:
    """Repeat what dates, the request and consent say; of contact rules, only that they speak where there are any.

    All of it follows from the rows and their layout, whatever the configuration is now.

    Args:
        rows: decisions.
        layout: theirs, with `channels`.
        faults: of the rows.
    """
    logged: ReasonArray = stacked(rows, "reasons", np.uint8)
    expected = _expected(rows, layout)
    wrong = np.where(expected > 0, logged != expected, (logged > 0) & (logged < Reason.NOT_TARGETED))
    _add(wrong, layout, faults, "its request, the customer's consent and the catalogue")
    if not layout.contact_rules:
        _add(by_contact_rules(logged), layout, faults, "any contact rule: there was none")


def by_contact_rules(reasons: ReasonArray) -> BoolArray:
    """Which reasons are contact rules': they come after those of the catalogue, but that stock is a fact of its own."""
    of_rules: BoolArray = (reasons > Reason.NOT_TARGETED) & (reasons != Reason.OUT_OF_STOCK)
    return of_rules


def check_targeting(
    rows: Sequence[Row], places: IntArray, layout: Layout, faults: Faults, *, targeted: BoolArray
) -> None:
    """Compare with whom actions are meant for.

    Args:
        rows: decisions.
        places: int64 (k,), which of them.
        layout: theirs, with `channels`.
        faults: of the rows.
        targeted: bool (k, A).
    """
    some = [rows[i] for i in places.tolist()]
    logged: ReasonArray = stacked(some, "reasons", np.uint8)
    wrong = np.zeros((len(rows), len(layout.actions)), dtype=bool)
    wrong[places] = (_expected(some, layout) == 0) & ((logged == Reason.NOT_TARGETED) == targeted)
    _add(wrong, layout, faults, "its targeting and what was known of the customer")


def action_of(logged: LoggedAction) -> Action:
    """The action as far as eligibility goes."""
    return Action(
        id=logged.id,
        channel=logged.channel,
        intent=logged.intent,
        status=logged.status,
        valid_from=_day(logged.valid_from),
        valid_until=_day(logged.valid_until),
        targeting=logged.targeting,
    )


def _expected(rows: Sequence[Row], layout: Layout) -> ReasonArray:
    """What the catalogue and consent say; uint8 (n, A), 0 where they forbid nothing."""
    actions = [action_of(action) for action in layout.actions]
    known = {channel.name: channel for channel in layout.channels}
    column = {name: i for i, name in enumerate(layout.columns)}
    features = stacked(rows, "features", np.float32)
    expected = np.zeros((len(rows), len(actions)), dtype=np.uint8)
    of_channel = {name: np.array([action.channel == name for action in actions]) for name in known}
    for name, channel in known.items():
        if channel.asks_consent:
            expected[np.ix_(features[:, column[f"{name}.consent"]] <= 0, of_channel[name])] = Reason.NO_CONSENT
    placed = {placement: name for name, channel in known.items() for placement in channel.placements}
    for of_row, row in zip(expected, rows, strict=True):
        asked = _channels(asked_of(row), placed, tuple(known))
        for name in known.keys() - asked:
            of_row[of_channel[name]] = Reason.CHANNEL_NOT_ASKED
    days = [datetime.fromtimestamp(row["decided_at"], UTC).date() for row in rows]
    for day in set(days):
        today = np.array([dated(action, day) for action in actions], dtype=np.uint8)
        then = np.array([of_row == day for of_row in days])
        expected[np.ix_(then, today > 0)] = today[today > 0]
    return expected


def _channels(asked: Mapping[str, Any], placed: Mapping[str, str], known: Sequence[str]) -> set[str]:
    if asked.get("placement") is not None:
        return {placed[asked["placement"]]}
    return set(asked.get("channels") or known)


def _add(wrong: BoolArray, layout: Layout, faults: Faults, whence: str) -> None:
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        action = layout.actions[int(wrong[row].argmax())].id
        faults.add(row, f"reasons: that of {action} does not follow from {whence}")


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
