"""What each contact rule says of a case that can be told in a sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from orchestrator.config import ContactPolicy
from orchestrator.config.catalogue import Action
from orchestrator.eligibility import Blocked, ContactRules
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.errors import ConfigError, ContextError
from tests.orchestrator.eligibility.single_facts import (
    DAY,
    HOUR,
    IDS,
    MINUTE,
    NOON,
    RETAIL,
    SAID,
    Fact,
    Outcome,
    moment_of,
    rules_of,
)
from tests.orchestrator.eligibility.waiting import next_allowed

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
    )
    rules = rules_of(everything)
    assert rules.reasons(moment)[0, 0] == Reason.ELIGIBLE
    assert (rules.reasons(moment)[0, 1:] > 0).all()
    assert next_allowed(rules, moment)[0, 0] == NOON
    assert np.isnan(next_allowed(rules, moment)[0, 1:]).all()
    assert not [blocked for blocked in rules.explain(moment, 0) if blocked.action == "hold"]


def test_no_customers_and_no_rules_are_fine() -> None:
    nobody = moment_of(zones=[])
    assert rules_of({}).reasons(nobody).shape == next_allowed(rules_of(DAILY), nobody).shape == (0, len(IDS))
    assert not rules_of({}).reasons(moment_of()).any()


def test_what_is_sold_out_is_not_said_but_for_thanks_and_service() -> None:
    home = RETAIL.catalogue.categories.index("home")
    in_stock = np.ones((1, len(RETAIL.catalogue.categories)), dtype=bool)
    in_stock[0, home] = False
    found = rules_of({}).reasons(replace(moment_of(zones=["UTC"] * 2), in_stock=in_stock))
    subjects = [action.subject == "home" for action in RETAIL.catalogue.actions]
    assert (found == np.where(subjects, Reason.OUT_OF_STOCK, 0)).all()
    assert np.isnan(next_allowed(rules_of({}), replace(moment_of(), in_stock=in_stock))[0, OFFER])
    thanks = tuple(replace(a, intent="thank") if a.subject == "home" else a for a in RETAIL.catalogue.actions)
    grateful = replace(RETAIL, contacts=ContactPolicy(), catalogue=replace(RETAIL.catalogue, actions=thanks))
    assert not ContactRules(grateful).reasons(replace(moment_of(), in_stock=in_stock)).any()


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
    assert next_allowed(rules, moment)[:, VISIT].tolist() == [monday, NOON, NOON + 2 * HOUR]


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
    assert next_allowed(rules, moment)[0, THANK] == NOON + DAY + 90 * MINUTE


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
    assert datetime.fromtimestamp(next_allowed(rules, moment)[0, EMAIL], UTC) == expected
    for seconds, code in ((-1, Reason.QUIET_HOURS), (0, Reason.ELIGIBLE)):
        at = expected + timedelta(seconds=seconds)
        assert rules.reasons(replace(moment, now=at.timestamp()))[0, EMAIL] == code


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": np.zeros(2, dtype=np.int64)}, r"store has 2 rows, zones has 1"),
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
