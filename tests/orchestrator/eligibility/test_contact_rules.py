"""Contact rules against a model of single facts, for any policy and any past."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import given, settings, strategies as st

from orchestrator.config import OUTCOMES
from orchestrator.eligibility.eligible_actions import Reason
from tests.orchestrator.eligibility.single_facts import (
    DAY,
    GRAIN,
    HOUR,
    IDS,
    NOON,
    RETAIL,
    SAID,
    ZONES,
    Fact,
    Outcome,
    blocking,
    in_scope,
    moment_of,
    rules_of,
    seconds,
)
from tests.orchestrator.eligibility.waiting import next_allowed

SCOPES = st.sampled_from(
    [
        {},
        {"channels": ["email"]},
        {"channels": ["site", "store"]},
        {"intents": ["offer"]},
        {"actions": ["email.*"]},
        {"channels": ["email"], "intents": ["inspire"]},
        {"actions": ["email.thank", "store.inspire.home"]},
    ]
)
LENGTHS = st.sampled_from(["30 min", "1 h", "12 h", "1 d", "7 d"])
COUNTS = st.sampled_from(["decided", "sent", "seen"])
TIMES = st.integers(0, 47).map(lambda half: f"{half // 2:02}:{30 * (half % 2):02}")


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    def several(prefix: str, rule: st.SearchStrategy[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        return [{"name": f"{prefix}{i}", **drawn} for i, drawn in enumerate(draw(st.lists(rule, max_size=most)))]

    caps = st.fixed_dictionaries({"limit": st.integers(1, 4), "window": LENGTHS, "counts": COUNTS})
    gaps = st.fixed_dictionaries({"gap": LENGTHS, "counts": COUNTS})
    after = st.lists(st.sampled_from(["unsubscribe", "return", "dismiss"]), min_size=1)
    suppressions = st.fixed_dictionaries({"after": after, "for": LENGTHS})
    quiet = st.fixed_dictionaries({"channels": st.just(["email"]), "from": TIMES, "to": TIMES})
    found = {
        "time_zone": draw(st.sampled_from(ZONES)),
        "reserved_for": draw(st.sampled_from(["30 min", "12 h", "1 d"])),
        "caps": several("cap", st.builds(lambda a, b: a | b, caps, SCOPES), 3),
        "gaps": several("gap", st.builds(lambda a, b: a | b, gaps, SCOPES), 2),
        "suppressions": several("quiet_after", st.builds(lambda a, b: a | b, suppressions, SCOPES), 2),
        "quiet_hours": several("night", quiet.filter(lambda rule: rule["from"] != rule["to"]), 2),
    }
    if draw(st.booleans()):
        hours = st.builds(lambda a, b: f"{a}-{b}", TIMES, TIMES).filter(lambda text: text[:5] != text[6:])
        week = {"every_day": draw(hours), "sunday": draw(hours | st.just("closed")), "monday": draw(hours)}
        found["store_hours"] = {"channels": ["store"], "hours": week}
    return found


def facts(rows: int, now: int) -> st.SearchStrategy[list[Fact]]:
    grains = st.integers(0, 20) | st.integers(0, 16 * 24)
    later = st.none() | st.integers(0, 60).map(lambda k: k * GRAIN)

    def made(row: int, action: int, ago: int, delays: tuple[int | None, ...]) -> Fact:
        decided = now - ago * GRAIN
        known = (None if delay is None or decided + delay > now else decided + delay for delay in delays)
        return Fact(row, action, decided, *known)

    one = st.builds(made, st.integers(0, rows - 1), st.sampled_from(SAID), grains, st.tuples(later, later, later))
    return st.lists(one, max_size=12)


def outcomes(rows: int, now: int) -> st.SearchStrategy[list[Outcome]]:
    at = st.integers(0, 400).map(lambda ago: now - ago * GRAIN)
    return st.lists(st.builds(Outcome, st.integers(0, rows - 1), st.sampled_from(OUTCOMES), at), max_size=6)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Fact], list[Outcome], int, list[str]]:
    # Around both changes of the clocks, so that nights of 23 and 25 hours are among them.
    around = draw(st.sampled_from(["2026-03-08", "2026-03-29", "2026-06-14", "2026-10-25", "2026-11-01"]))
    now = int(datetime.fromisoformat(around).replace(tzinfo=UTC).timestamp()) + GRAIN * draw(st.integers(-60, 60))
    zones = draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=3))
    return draw(facts(len(zones), now)), draw(outcomes(len(zones), now)), now, zones


def of_row(facts: Sequence[Any], row: int) -> list[Any]:
    return [fact for fact in facts if fact.row == row]


@given(policy=policies(), situation=situations())
def test_every_reason_is_the_first_that_facts_give_one_by_one(policy: dict[str, Any], situation: Any) -> None:
    facts, outcomes, now, zones = situation
    found = rules_of(policy).reasons(moment_of(facts, outcomes, now=now, zones=zones))
    assert found.shape == (len(zones), len(IDS))
    assert found.dtype == np.uint8
    for row, zone in enumerate(zones):
        for column in (0, *SAID):
            action, mine = RETAIL.catalogue.actions[column], (of_row(facts, row), of_row(outcomes, row))
            blocks = list(blocking(policy, *mine, now=now, zone=zone, action=action))
            expected = min((reason for reason, _ in blocks), default=Reason.ELIGIBLE)
            assert Reason(found[row, column]) is expected, (action.id, row)


@given(policy=policies(), situation=situations())
def test_next_allowed_is_the_first_moment_without_a_blocking_rule(policy: dict[str, Any], situation: Any) -> None:
    facts, outcomes, now, zones = situation
    rules, moment = rules_of(policy), moment_of(facts, outcomes, now=now, zones=zones)
    found = next_allowed(rules, moment)
    for row, zone in enumerate(zones):
        for column in (0, *SAID):
            first = found[row, column]

            def blocked(at: float, row: int = row, column: int = column, zone: str = zone) -> bool:
                mine = of_row(facts, row), of_row(outcomes, row)
                action = RETAIL.catalogue.actions[column]
                by_model = any(blocking(policy, *mine, now=math.floor(at), zone=zone, action=action))
                assert by_model == (rules.reasons(replace(moment, now=at))[row, column] > 0)
                return by_model

            if math.isnan(first):
                # Only hours that never meet: then every half hour of a fortnight is blocked.
                assert all(
                    any(blocking(policy, [], [], now=at, zone=zone, action=RETAIL.catalogue.actions[column]))
                    for at in range(now + 8 * DAY, now + 22 * DAY, GRAIN)
                )
                continue
            assert first >= now
            assert not blocked(first)
            if first > now:
                assert blocked(first - 1)
                assert blocked(np.nextafter(first, 0))
                assert all(blocked(at) for at in np.linspace(now, first - 1, 7))


@given(policy=policies(), situation=situations())
@settings(max_examples=50)
def test_an_explanation_names_every_rule_that_blocks(policy: dict[str, Any], situation: Any) -> None:
    facts, outcomes, now, zones = situation
    moment = moment_of(facts, outcomes, now=now, zones=zones)
    for row, zone in enumerate(zones):
        said = rules_of(policy).explain(moment, row)
        for column in (0, *SAID):
            action, mine = RETAIL.catalogue.actions[column], (of_row(facts, row), of_row(outcomes, row))
            expected = set(blocking(policy, *mine, now=now, zone=zone, action=action))
            assert {(b.reason, b.rule) for b in said if b.action == action.id} == expected
        assert all((b.count is None) == (b.limit is None) for b in said)
        assert all(b.count >= b.limit for b in said if b.count is not None and b.limit is not None)


CAPS = {
    "reserved_for": "12 h",
    "caps": [
        {"name": "sends", "channels": ["email"], "limit": 2, "window": "1 d", "counts": "sent"},
        {"name": "sights", "limit": 3, "window": "2 d", "counts": "seen"},
        {"name": "offers", "intents": ["offer"], "limit": 1, "window": "6 h"},
    ],
    "gaps": [{"name": "apart", "channels": ["store"], "gap": "5 h", "counts": "sent"}],
}


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_no_limit_is_ever_exceeded_by_decisions_that_obey(data: st.DataObject, seed: int) -> None:
    """Reports come late, in any order, or never; each within the time it is reserved for."""
    random, rules, reserved = np.random.default_rng(seed), rules_of(CAPS), 12 * HOUR
    hurried = data.draw(st.integers(1, 8), label="half hours between decisions, at most")
    planned: list[Fact] = []
    now = NOON
    for _ in range(60):
        now += GRAIN * int(random.integers(0, hurried + 1))

        def by_now(at: int | None, now: int = now) -> int | None:
            return None if at is None or at > now else at

        known = [replace(f, sent=by_now(f.sent), seen=by_now(f.seen), cancelled=by_now(f.cancelled)) for f in planned]
        allowed = np.flatnonzero(rules.reasons(moment_of(known, now=now))[0, SAID] == 0)
        if len(allowed):
            action = SAID[random.choice(allowed)]
            sent = now + int(random.integers(0, reserved))
            seen = sent + int(random.integers(0, reserved))
            fate = random.random()
            planned.append(
                Fact(0, action, now, cancelled=sent)
                if fate < 0.2
                else Fact(0, action, now, sent=sent, seen=seen if fate < 0.8 else None)
            )
    counted = [(rule, rule["limit"], rule["window"]) for rule in CAPS["caps"]]  # type: ignore[attr-defined]
    counted += [(rule, 1, rule["gap"]) for rule in CAPS["gaps"]]  # type: ignore[attr-defined]
    for rule, limit, window in counted:
        name = rule.get("counts", "decided")
        about = [f for f in planned if in_scope(rule, RETAIL.catalogue.actions[f.action])]
        times = [getattr(f, name) for f in about if getattr(f, name) is not None]
        if name == "decided":
            times = [f.decided for f in about if f.cancelled is None]
        for end in times:
            assert sum(end - seconds(window) < at <= end for at in times) <= limit, rule["name"]
    assert len(planned) > 3
