"""Contact rules against a model that looks at one customer, one action and one fact at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import OUTCOMES, ContactPolicy, load_retailer
from orchestrator.config.catalogue import Action
from orchestrator.contacts import Blocked, ContactHistory, ContactMoment, ContactRules, CustomerZones, OutcomeHistory
from orchestrator.eligibility import Reason
from orchestrator.errors import ConfigError, ContextError

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
) -> ContactMoment:
    def times(name: str) -> np.ndarray:
        return np.array([getattr(f, name) for f in facts], dtype=np.float64)  # none becomes nan

    return ContactMoment(
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
    found = rules.next_allowed(moment)
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


EMAIL, THANK, OFFER, BANNER, VISIT = SAID[0], SAID[2], SAID[1], SAID[3], SAID[4]


def reason(policy: dict[str, Any], *facts: Fact, now: float = NOON, action: int = EMAIL, **given: Any) -> Reason:
    moment = replace(moment_of(facts, now=now), **given)
    return Reason(rules_of(policy).reasons(moment)[0, action])


DAILY = {"caps": [{"name": "daily", "channels": ["email"], "limit": 1, "window": "1 d", "counts": "sent"}]}


def test_a_contact_exactly_a_window_ago_no_longer_counts() -> None:
    sent = Fact(0, THANK, NOON - 3 * DAY, sent=NOON - DAY)
    assert reason(DAILY, sent) is Reason.ELIGIBLE
    assert reason(DAILY, sent, now=NOON - 1) is Reason.CAP_REACHED
    assert reason(DAILY, sent, now=NOON - 1, action=BANNER) is Reason.ELIGIBLE


def test_an_unreported_contact_is_reserved_until_it_is_reported_cancelled_or_too_old() -> None:
    decided = NOON - 10 * HOUR
    policy = {**DAILY, "reserved_for": "12 h"}
    assert reason(policy, Fact(0, THANK, decided)) is Reason.CAP_REACHED
    assert reason(policy, Fact(0, THANK, decided, cancelled=NOON - HOUR)) is Reason.ELIGIBLE
    assert reason(policy, Fact(0, THANK, decided), now=decided + 12 * HOUR) is Reason.ELIGIBLE
    late = Fact(0, THANK, decided, sent=decided + 11 * HOUR)
    assert reason(policy, late, now=decided + 34 * HOUR) is Reason.CAP_REACHED
    assert reason(policy, late, now=decided + 35 * HOUR) is Reason.ELIGIBLE


def test_what_was_sent_stays_counted_when_it_is_cancelled_later() -> None:
    assert reason(DAILY, Fact(0, THANK, NOON - HOUR, sent=NOON - 60, cancelled=NOON - 30)) is Reason.CAP_REACHED


@pytest.mark.parametrize("counts", ["decided", "sent"])
def test_a_cancellation_frees_only_what_was_not_sent(counts: str) -> None:
    policy = {"caps": [{"name": "one", "channels": ["email"], "limit": 1, "window": "1 d", "counts": counts}]}
    at = NOON - HOUR
    assert reason(policy, Fact(0, THANK, at)) is Reason.CAP_REACHED
    assert reason(policy, Fact(0, THANK, at, cancelled=at + 60)) is Reason.ELIGIBLE
    assert reason(policy, Fact(0, THANK, at, sent=at + 30, cancelled=at + 60)) is Reason.CAP_REACHED
    assert reason(policy, Fact(0, THANK, at, seen=at + 30, cancelled=at + 60)) is Reason.CAP_REACHED


def test_a_contact_of_another_servers_faster_clock_counts_already() -> None:
    assert reason(DAILY, Fact(0, THANK, NOON + 5)) is Reason.CAP_REACHED


def test_one_customers_contacts_do_not_count_for_another() -> None:
    found = rules_of(DAILY).reasons(moment_of([Fact(1, THANK, NOON)], zones=["UTC", "UTC"]))
    assert found[:, EMAIL].tolist() == [Reason.ELIGIBLE, Reason.CAP_REACHED]


def test_an_overall_cap_is_about_channels_that_contact() -> None:
    policy = {"caps": [{"name": "overall", "limit": 1, "window": "1 d"}]}
    assert reason(policy, Fact(0, BANNER, NOON)) is Reason.ELIGIBLE
    assert reason(policy, Fact(0, VISIT, NOON)) is Reason.CAP_REACHED
    assert reason(policy, Fact(0, VISIT, NOON), action=BANNER) is Reason.ELIGIBLE


def test_actions_that_left_the_catalogue_still_count() -> None:
    former = Action(id="email.easter", channel="email", intent="offer")
    offers = {"caps": [{"name": "offers", "intents": ["offer"], "limit": 1, "window": "1 d"}]}
    rules = rules_of(offers, former=[former])
    found = rules.reasons(moment_of([Fact(0, rules.codes["email.easter"], NOON - HOUR)]))
    assert found.shape == (1, len(IDS))
    assert found[0, [EMAIL, OFFER]].tolist() == [Reason.ELIGIBLE, Reason.CAP_REACHED]
    with pytest.raises(ConfigError, match="former action is in the catalogue"):
        rules_of(offers, former=[RETAIL.catalogue.actions[1]])


def test_hold_is_never_blocked() -> None:
    everything = {
        "time_zone": "Asia/Kathmandu",
        "caps": [{"name": "one", "limit": 1, "window": "30 d"}],
        "gaps": [{"name": "gap", "actions": ["*"], "gap": "30 d"}],
        "suppressions": [{"name": "off", "after": ["unsubscribe"], "for": "30 d"}],
        "quiet_hours": [{"name": "always", "channels": list(RETAIL.channels), "from": "00:00", "to": "23:59"}],
        "store_hours": {"channels": list(RETAIL.channels), "hours": {"every_day": "closed"}},
    }
    moment = replace(
        moment_of(
            [Fact(0, EMAIL, NOON), Fact(0, BANNER, NOON), Fact(0, VISIT, NOON)], [Outcome(0, "unsubscribe", NOON)]
        ),
        in_stock=np.zeros((1, len(RETAIL.catalogue.categories)), dtype=bool),
        minutes=np.zeros(1),
    )
    rules = rules_of(everything)
    assert rules.reasons(moment)[0, 0] == Reason.ELIGIBLE
    assert (rules.reasons(moment)[0, 1:] > 0).all()
    assert rules.next_allowed(moment)[0, 0] == NOON
    assert np.isnan(rules.next_allowed(moment)[0, 1:]).all()
    assert not [blocked for blocked in rules.explain(moment, 0) if blocked.action == "hold"]


def test_no_customers_and_no_rules_are_fine() -> None:
    nobody = moment_of(zones=[])
    assert rules_of({}).reasons(nobody).shape == rules_of(DAILY).next_allowed(nobody).shape == (0, len(IDS))
    assert not rules_of({}).reasons(moment_of()).any()


def test_what_is_sold_out_is_not_said_but_for_thanks_and_service() -> None:
    home = RETAIL.catalogue.categories.index("home")
    in_stock = np.ones((1, len(RETAIL.catalogue.categories)), dtype=bool)
    in_stock[0, home] = False
    found = rules_of({}).reasons(replace(moment_of(zones=["UTC"] * 2), in_stock=in_stock))
    subjects = [action.subject == "home" for action in RETAIL.catalogue.actions]
    assert (found == np.where(subjects, Reason.OUT_OF_STOCK, 0)).all()
    assert np.isnan(rules_of({}).next_allowed(replace(moment_of(), in_stock=in_stock))[0, OFFER])
    thanks = tuple(replace(a, intent="thank") if a.subject == "home" else a for a in RETAIL.catalogue.actions)
    grateful = replace(RETAIL, contacts=ContactPolicy(), catalogue=replace(RETAIL.catalogue, actions=thanks))
    assert not ContactRules(grateful).reasons(replace(moment_of(), in_stock=in_stock)).any()


def test_an_associate_needs_the_minutes_an_action_takes() -> None:
    minutes = {i: a.associate_minutes for i, a in enumerate(RETAIL.catalogue.actions)}
    found = rules_of({}).reasons(replace(moment_of(zones=["UTC"] * 2), minutes=np.array([6.0, 5.9])))
    for column, needed in minutes.items():
        assert found[:, column].tolist() == [Reason.NO_MINUTES * (needed > left) for left in (6.0, 5.9)]


def test_a_template_whose_fields_are_missing_is_not_printed() -> None:
    actions = tuple(
        replace(a, requires=("first_name",)) if a.id == "email.thank" else a for a in RETAIL.catalogue.actions
    )
    retailer = replace(
        RETAIL,
        contacts=ContactPolicy(),
        catalogue=replace(RETAIL.catalogue, actions=actions),
        profiles=RETAIL.profiles.model_copy(update={"content_fields": ("last_name", "first_name")}),
    )
    content = np.array([[False, True], [True, False]])
    found = ContactRules(retailer).reasons(replace(moment_of(zones=["UTC"] * 2), content=content))
    assert found[:, THANK].tolist() == [Reason.ELIGIBLE, Reason.CONTENT_MISSING]
    unknown = ContactRules(retailer).reasons(moment_of())
    assert unknown[0, [THANK, EMAIL]].tolist() == [Reason.CONTENT_MISSING, Reason.ELIGIBLE]


def test_who_is_not_targeted_does_not_get_it_and_forgetting_to_ask_is_an_error() -> None:
    texts = {"email.thank": "value > 1", "store.thank": "value > 1", "email.recall.cart": "cart.home"}
    actions = tuple(replace(a, targeting=texts.get(a.id, "")) for a in RETAIL.catalogue.actions)
    retailer = replace(RETAIL, contacts=ContactPolicy(), catalogue=replace(RETAIL.catalogue, actions=actions))
    rules = ContactRules(retailer)
    # In the order of the catalogue: the cart's condition first.
    found = rules.reasons(replace(moment_of(), targeted=np.array([[True, False]])))
    assert [name for name, code in zip(IDS, found[0], strict=True) if code] == ["email.thank", "store.thank"]
    with pytest.raises(ContextError, match=r"targeted is missing.*Targeting\.holds"):
        rules.reasons(moment_of())


STORES = {
    "time_zone": "Europe/Berlin",
    "store_hours": {
        "channels": ["store"],
        "hours": {"every_day": "09:00-20:00", "sunday": "closed", "friday": "18:00-02:00"},
        "stores": {"kiosk": {"hours": {"every_day": "00:00-24:00"}}}
        | {"outlet": {"time_zone": "America/New_York", "hours": {"every_day": "closed", "sunday": "10:00-12:00"}}},
    },
}


@pytest.mark.parametrize(
    ("local", "closed"),
    [
        ("2026-06-15 08:59:59", True),
        ("2026-06-15 09:00", False),
        ("2026-06-15 19:59:59", False),
        ("2026-06-15 20:00", True),
        ("2026-06-14 12:00", True),  # Sunday
        ("2026-06-19 12:00", True),  # Friday opens late
        ("2026-06-20 01:59", False),  # and closes on Saturday
        ("2026-06-20 02:00", True),
    ],
)
def test_a_store_keeps_its_hours_by_its_own_clock(local: str, closed: bool) -> None:
    now = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    expected = Reason.STORE_CLOSED if closed else Reason.ELIGIBLE
    assert reason(STORES, now=now, action=VISIT) is expected
    assert reason(STORES, now=now, action=EMAIL) is Reason.ELIGIBLE


def test_each_customers_own_store_is_asked() -> None:
    rules = rules_of(STORES)
    store = np.array([-1, rules.stores["kiosk"], rules.stores["outlet"]])
    # Sunday 14:00 in Berlin is 08:00 in New York.
    moment = replace(moment_of(zones=["UTC"] * 3), store=store)
    assert rules.reasons(moment)[:, VISIT].tolist() == [Reason.STORE_CLOSED, 0, Reason.STORE_CLOSED]
    monday = datetime(2026, 6, 15, 9, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert rules.next_allowed(moment)[:, VISIT].tolist() == [monday, NOON, NOON + 2 * HOUR]


def test_the_longest_lasting_reason_is_reported_and_all_are_explained() -> None:
    policy = {
        **DAILY,
        "gaps": [{"name": "apart", "channels": ["email"], "gap": "4 h"}],
        "quiet_hours": [{"name": "noon", "channels": ["email"], "from": "12:00", "to": "13:30"}],
        "suppressions": [{"name": "after_return", "after": ["return"], "for": "2 d", "actions": ["email.thank"]}],
    }
    moment = moment_of([Fact(0, EMAIL, NOON - HOUR)], [Outcome(0, "return", NOON - DAY)])
    rules = rules_of(policy)
    assert rules.reasons(moment)[0, [THANK, EMAIL]].tolist() == [Reason.SUPPRESSED, Reason.CAP_REACHED]
    told = [blocked for blocked in rules.explain(moment, 0) if blocked.action == "email.thank"]
    assert told == [
        Blocked("email.thank", "after_return", Reason.SUPPRESSED, None, None, NOON + DAY),
        Blocked("email.thank", "daily", Reason.CAP_REACHED, 1, 1, NOON + 23 * HOUR),
        Blocked("email.thank", "apart", Reason.TOO_SOON, 1, 1, NOON + 3 * HOUR),
        Blocked("email.thank", "noon", Reason.QUIET_HOURS, None, None, NOON + 90 * MINUTE),
    ]
    # Free again at noon of the next day, when it is quiet.
    assert rules.next_allowed(moment)[0, THANK] == NOON + DAY + 90 * MINUTE


NIGHT = {"quiet_hours": [{"name": "night", "channels": ["email"], "from": "21:00", "to": "08:00"}]}
DOZE = {"quiet_hours": [{"name": "doze", "channels": ["email"], "from": "01:00", "to": "02:30"}]}


@pytest.mark.parametrize(
    ("policy", "zone", "asked", "first"),
    [
        # Nights of 23, 25 and 24 hours end at 8 all the same.
        (NIGHT, "Europe/Berlin", "2026-03-28T22:00+01:00", "2026-03-29T08:00+02:00"),
        (NIGHT, "Europe/Berlin", "2026-10-24T22:00+02:00", "2026-10-25T08:00+01:00"),
        (NIGHT, "America/New_York", "2026-03-07T23:00-05:00", "2026-03-08T08:00-04:00"),
        (NIGHT, "America/New_York", "2026-10-31T23:00-04:00", "2026-11-01T08:00-05:00"),
        (NIGHT, "Asia/Kathmandu", "2026-03-28T22:00+05:45", "2026-03-29T08:00+05:45"),
        # 02:30 does not exist on the day clocks jump from 2 to 3, and exists twice when they are set back.
        (DOZE, "Europe/Berlin", "2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"),
        (DOZE, "Europe/Berlin", "2026-10-25T01:30+02:00", "2026-10-25T02:30+02:00"),
        (DOZE, "Europe/Berlin", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"),
    ],
)
def test_quiet_hours_end_by_the_customers_clock(policy: dict[str, Any], zone: str, asked: str, first: str) -> None:
    rules, moment = rules_of(policy), moment_of(now=datetime.fromisoformat(asked).timestamp(), zones=[zone])
    expected = datetime.fromisoformat(first)
    assert rules.reasons(moment)[0, EMAIL] == Reason.QUIET_HOURS
    assert datetime.fromtimestamp(rules.next_allowed(moment)[0, EMAIL], UTC) == expected
    for seconds, code in ((-1, Reason.QUIET_HOURS), (0, Reason.ELIGIBLE)):
        at = expected + timedelta(seconds=seconds)
        assert rules.reasons(replace(moment, now=at.timestamp()))[0, EMAIL] == code


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": np.zeros(2)}, r"minutes has 2 rows, zones has 1"),
        ({"targeted": np.ones((3, 1), dtype=bool)}, r"targeted has 3 rows"),
        ({"in_stock": np.ones((2, 9), dtype=bool)}, r"in_stock has 2 rows.*one row, or one each"),
        ({"history": moment_of([Fact(1, 1, NOON)], zones=["UTC"] * 2).history}, r"history\.row is from 1 to 1"),
        ({"history": moment_of([Fact(0, 99, NOON)]).history}, r"history\.action is from 99 to 99; there are 50 codes"),
        ({"store": np.array([3])}, r"store is up to 3"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ContextError, match=message):
        rules_of({}).reasons(replace(moment_of(), **changes))
