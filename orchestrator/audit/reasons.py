"""Whether the logged reasons follow from the request, the profile and the catalogue as it was when decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from orchestrator.audit.rows import Faults
from orchestrator.config.catalogue import Action
from orchestrator.eligibility.eligible_actions import Reason, ReasonArray, dated
from orchestrator.log.decision_log import LoggedDecisions
from orchestrator.log.decision_schema import LoggedAction
from policies.arrays import BoolArray, IntArray


def check_reasons(logged: LoggedDecisions, faults: Faults) -> None:
    """Repeat what dates, the request and consent say; of contact rules, only that they speak where there are any.

    All of it follows from the decisions and their schema, whatever the configuration is now.
    """
    reasons, expected = logged.reasons, _expected(logged)
    wrong = np.where(expected > 0, reasons != expected, (reasons > 0) & (reasons < Reason.NOT_TARGETED))
    _add(wrong, logged, faults, "its request, the customer's consent and the catalogue")
    if not logged.schema.contact_rules:
        _add(by_contact_rules(reasons), logged, faults, "any contact rule: there was none")


def by_contact_rules(reasons: ReasonArray) -> BoolArray:
    """Which reasons are contact rules': they come after those of the catalogue, but that stock is a fact of its own."""
    of_rules: BoolArray = (reasons > Reason.NOT_TARGETED) & (reasons != Reason.OUT_OF_STOCK)
    return of_rules


def check_targeting(logged: LoggedDecisions, places: IntArray, faults: Faults, *, targeted: BoolArray) -> None:
    """Compare with whom actions are meant for.

    Args:
        logged: decisions.
        places: int64 (k,), which of them.
        faults: of the decisions.
        targeted: bool (k, A).
    """
    some = logged.take(places.tolist())
    wrong = np.zeros(logged.reasons.shape, dtype=bool)
    wrong[places] = (_expected(some) == 0) & ((some.reasons == Reason.NOT_TARGETED) == targeted)
    _add(wrong, logged, faults, "its targeting and what was known of the customer")


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


def _expected(logged: LoggedDecisions) -> ReasonArray:
    """What the catalogue and consent say; uint8 (n, A), 0 where they forbid nothing."""
    schema = logged.schema
    actions = [action_of(action) for action in schema.actions]
    known = {channel.name: channel for channel in schema.channels}
    column = {name: i for i, name in enumerate(schema.columns)}
    expected = np.zeros(logged.reasons.shape, dtype=np.uint8)
    of_channel = {name: np.array([action.channel == name for action in actions]) for name in known}
    for name, channel in known.items():
        if channel.asks_consent:
            silent = logged.features[:, column[f"{name}.consent"]] <= 0
            expected[np.ix_(silent, of_channel[name])] = Reason.NO_CONSENT
    placed = {placement: name for name, channel in known.items() for placement in channel.placements}
    for i, of_row in enumerate(expected):
        asked = _channels(logged.asked(i), placed, tuple(known))
        for name in known.keys() - asked:
            of_row[of_channel[name]] = Reason.CHANNEL_NOT_ASKED
    days = [datetime.fromtimestamp(at, UTC).date() for at in logged.decided_at.tolist()]
    for day in set(days):
        today = np.array([dated(action, day) for action in actions], dtype=np.uint8)
        then = np.array([of_row == day for of_row in days])
        expected[np.ix_(then, today > 0)] = today[today > 0]
    return expected


def _channels(asked: Mapping[str, Any], placed: Mapping[str, str], known: Sequence[str]) -> set[str]:
    if asked.get("placement") is not None:
        return {placed[asked["placement"]]}
    return set(asked.get("channels") or known)


def _add(wrong: BoolArray, logged: LoggedDecisions, faults: Faults, whence: str) -> None:
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        action = logged.schema.actions[int(wrong[row].argmax())].id
        faults.add(row, f"reasons: that of {action} does not follow from {whence}")


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
