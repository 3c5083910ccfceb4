"""A model of contact rules that looks at one customer, one action and one fact at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.config import OUTCOMES, ContactPolicy
from orchestrator.config.catalogue import Action
from orchestrator.eligibility import ContactHistory, ContactRules, CustomerZones, EligibilityContext, OutcomeHistory
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.load import load_retailer

RETAIL = load_retailer(Path(__file__).parents[3] / "configs" / "retail", environment={})
IDS = RETAIL.catalogue.ids
MINUTE, HOUR, DAY = 60, 3600, 86400
# Sunday noon; half an hour is the grain of every time here, so that limits are met exactly.
NOON = int(datetime(2026, 6, 14, 12, tzinfo=UTC).timestamp())
GRAIN = 30 * MINUTE
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu")
SAID = [
    next(i for i, action in enumerate(RETAIL.catalogue.actions) if action.id == name)
    for name in ("email.inspire.home", "email.offer.home", "email.thank", "site.offer.home", "store.inspire.home")
]


@dataclass(frozen=True)
class Fact:
    row: int
    action: int
    decided: int
    sent: int | None = None
    seen: int | None = None
    cancelled: int | None = None


@dataclass(frozen=True)
class Outcome:
    row: int
    type: str
    at: int


def seconds(duration: str) -> int:
    number, unit = duration.split()
    return int(number) * {"min": MINUTE, "h": HOUR, "d": DAY}[unit]


def time_of(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * HOUR + int(minute) * MINUTE


def in_scope(rule: dict[str, Any], action: Action) -> bool:
    if action.id == "hold":
        return False
    if not {"channels", "intents", "actions"} & set(rule):
        return RETAIL.channels[action.channel].contacts
    patterns = rule.get("actions", [action.id])
    return (
        action.channel in rule.get("channels", [action.channel])
        and action.intent in rule.get("intents", [action.intent])
        and any(action.id == p or (p.endswith("*") and action.id.startswith(p[:-1])) for p in patterns)
    )


def counts_at(fact: Fact, counts: str, window: int, reserved_for: int, now: int) -> bool:
    sent = fact.sent if fact.sent is not None else fact.seen
    if counts == "decided":
        withdrawn = fact.cancelled is not None and sent is None
        return not withdrawn and now - fact.decided < window
    reported = sent if counts == "sent" else fact.seen
    if reported is not None:
        return now - reported < window
    latest = fact.sent if counts == "seen" and fact.sent is not None else fact.decided
    return fact.cancelled is None and now - latest < reserved_for


def wall(now: int, zone: str) -> tuple[int, int]:
    """Weekday and seconds since midnight."""
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(zone))
    return local.weekday(), local.hour * HOUR + local.minute * MINUTE + local.second


def is_quiet(rule: dict[str, Any], now: int, zone: str) -> bool:
    start, end, (_, clock) = time_of(rule["from"]), time_of(rule["to"]), wall(now, zone)
    return start <= clock < end if start < end else clock >= start or clock < end


def is_closed(hours: dict[str, str], now: int, zone: str) -> bool:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    weekday, clock = wall(now, zone)
    for day, since in ((weekday, clock), ((weekday - 1) % 7, clock + DAY)):
        text = hours.get(days[day], hours["every_day"])
        if text != "closed":
            start, end = (time_of(part) for part in text.split("-"))
            if start <= since < (end if end > start else end + DAY):
                return False
    return True


def blocking(
    policy: dict[str, Any], facts: Sequence[Fact], outcomes: Sequence[Outcome], *, now: int, zone: str, action: Action
) -> Iterator[tuple[Reason, str]]:
    """Every rule that blocks an action for the one customer whose facts and outcomes these are."""
    reserved_for = seconds(policy.get("reserved_for", "1 d"))
    for rule in policy.get("suppressions", []):
        recent = [o for o in outcomes if o.type in rule["after"] and now - o.at < seconds(rule["for"])]
        if recent and in_scope(rule, action):
            yield Reason.SUPPRESSED, rule["name"]
    counted = [(rule, rule["limit"], rule["window"], Reason.CAP_REACHED) for rule in policy.get("caps", [])]
    counted += [(rule, 1, rule["gap"], Reason.TOO_SOON) for rule in policy.get("gaps", [])]
    for rule, limit, window, reason in counted:
        total = 0
        for fact in facts:
            if in_scope(rule, RETAIL.catalogue.actions[fact.action]):
                total += counts_at(fact, rule.get("counts", "decided"), seconds(window), reserved_for, now)
        if total >= limit and in_scope(rule, action):
            yield reason, rule["name"]
    for rule in policy.get("quiet_hours", []):
        if action.channel in rule["channels"] and is_quiet(rule, now, zone):
            yield Reason.QUIET_HOURS, rule["name"]
    stores = policy.get("store_hours", {"channels": []})
    if action.channel in stores["channels"] and is_closed(stores["hours"], now, policy["time_zone"]):
        yield Reason.STORE_CLOSED, "store_hours"


def rules_of(policy: dict[str, Any], **kwargs: Any) -> ContactRules:
    return ContactRules(replace(RETAIL, contacts=ContactPolicy.model_validate(policy)), **kwargs)


def moment_of(
    facts: Sequence[Fact] = (), outcomes: Sequence[Outcome] = (), *, now: float = NOON, zones: Sequence[str] = ("UTC",)
) -> EligibilityContext:
    def times(name: str) -> np.ndarray:
        return np.array([getattr(f, name) for f in facts], dtype=np.float64)  # none becomes nan

    return EligibilityContext(
        now=now,
        zones=CustomerZones.of(zones),
        history=ContactHistory(
            row=np.array([f.row for f in facts], dtype=np.int64),
            action=np.array([f.action for f in facts], dtype=np.int64),
            decided=times("decided"),
            sent=times("sent"),
            seen=times("seen"),
            cancelled=times("cancelled"),
        ),
        outcomes=OutcomeHistory(
            row=np.array([o.row for o in outcomes], dtype=np.int64),
            type=np.array([OUTCOMES.index(o.type) for o in outcomes], dtype=np.int64),
            at=np.array([o.at for o in outcomes], dtype=np.float64),
        ),
    )
