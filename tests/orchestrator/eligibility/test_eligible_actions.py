"""Which actions may be taken, and the reason given for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.config import Retailer
from orchestrator.eligibility.eligible_actions import EligibilityRules, Reason
from orchestrator.errors import ContextError
from orchestrator.load import load_retailer
from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema, consent

RETAIL = load_retailer(Path(__file__).parents[3] / "configs" / "retail", environment={})
SCHEMA = ProfileSchema.from_retailer(RETAIL)
JOINED = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()


def with_action(action_id: str, **changes: Any) -> Retailer:
    """The retailer with one action changed."""
    actions = tuple(replace(a, **changes) if a.id == action_id else a for a in RETAIL.catalogue.actions)
    return replace(RETAIL, catalogue=replace(RETAIL.catalogue, actions=actions))


def states(*histories: Sequence[tuple[str, str]]) -> np.ndarray:
    """States of customers with (event type, channel) histories, an hour apart."""
    profiles, names = Profiles(SCHEMA), [f"c{i}" for i in range(len(histories))]
    for name, history in zip(names, histories, strict=True):
        if history:
            profiles.apply(
                Events.from_columns(
                    customer_id=np.array([name] * len(history), dtype=object),
                    event_id=np.array([f"{name}-{i}" for i in range(len(history))], dtype=object),
                    timestamp=JOINED + 3600.0 * np.arange(len(history)),
                    type=np.array([EVENT_TYPES.index(kind) for kind, _ in history]),
                    channel=np.array([SCHEMA.channels.index(channel) for _, channel in history]),
                )
            )
    return profiles.states(names)


def reasons(
    *histories: Sequence[tuple[str, str]],
    retailer: Retailer = RETAIL,
    channels: Sequence[str] = (),
    now: float = NOON,
) -> list[dict[str, Reason]]:
    """Per customer, action id to reason."""
    rules = EligibilityRules(retailer, SCHEMA)
    found = rules.reasons(
        consented=consent(SCHEMA, states(*histories)),
        channels=rules.asked([tuple(channels)] * len(histories)),
        now=now,
    )
    assert found.dtype == np.uint8
    return [dict(zip(retailer.catalogue.ids, map(Reason, row.tolist()), strict=True)) for row in found]


SUBSCRIBED = [("subscribe", "email")]
EMAIL, SITE, STORE = "email.inspire.home", "site.inspire.home", "store.service"


def test_without_a_word_email_needs_consent_and_the_others_do_not() -> None:
    (row,) = reasons([])
    assert row[EMAIL] is Reason.NO_CONSENT
    assert row[SITE] is row[STORE] is row["hold"] is Reason.ELIGIBLE


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (SUBSCRIBED, (Reason.ELIGIBLE, Reason.ELIGIBLE, Reason.ELIGIBLE)),
        ([*SUBSCRIBED, ("unsubscribe", "email")], (Reason.NO_CONSENT, Reason.ELIGIBLE, Reason.ELIGIBLE)),
        ([("unsubscribe", "email"), *SUBSCRIBED], (Reason.ELIGIBLE, Reason.ELIGIBLE, Reason.ELIGIBLE)),
        ([("unsubscribe", "store")], (Reason.NO_CONSENT, Reason.ELIGIBLE, Reason.NO_CONSENT)),
        ([("unsubscribe", "site")], (Reason.NO_CONSENT, Reason.ELIGIBLE, Reason.ELIGIBLE)),
    ],
)
def test_each_channel_follows_the_customers_last_word_about_it(history: Any, expected: Any) -> None:
    (row,) = reasons(history)
    assert (row[EMAIL], row[SITE], row[STORE]) == expected


def test_customers_do_not_share_consent() -> None:
    rows = reasons(SUBSCRIBED, [], SUBSCRIBED)
    assert [row[EMAIL] for row in rows] == [Reason.ELIGIBLE, Reason.NO_CONSENT, Reason.ELIGIBLE]


def test_only_channels_asked_about_are_used_and_none_named_means_all() -> None:
    (row,) = reasons(SUBSCRIBED, channels=["site"])
    by_channel = {a.id: a.channel for a in RETAIL.catalogue.actions if a.status == "live"}
    for action, channel in by_channel.items():
        allowed = channel in ("", "site")
        assert row[action] is (Reason.ELIGIBLE if allowed else Reason.CHANNEL_NOT_ASKED)
    assert reasons(SUBSCRIBED, channels=["email", "site", "store"]) == reasons(SUBSCRIBED)


def test_requests_of_one_batch_are_asked_separately() -> None:
    rules = EligibilityRules(RETAIL, SCHEMA)
    asked = rules.asked([("site",), (), ("store",)])
    found = rules.reasons(consented=consent(SCHEMA, states([], [], [])), channels=asked, now=NOON)
    site, store = RETAIL.catalogue.ids.index(SITE), RETAIL.catalogue.ids.index(STORE)
    assert (found[:, site] == 0).tolist() == [True, True, False]
    assert (found[:, store] == 0).tolist() == [False, True, True]


def test_an_unknown_channel_names_the_request_and_the_nearest_known_one() -> None:
    rules = EligibilityRules(RETAIL, SCHEMA)
    with pytest.raises(ContextError, match=r"request 1: channel = 'emial': not known; did you mean 'email'\?"):
        rules.asked([("site",), ("store", "emial")])


@pytest.mark.parametrize("status", ["draft", "paused", "archived"])
def test_only_live_actions_are_used(status: str) -> None:
    (row,) = reasons(SUBSCRIBED, retailer=with_action(EMAIL, status=status))
    assert row[EMAIL] is Reason.NOT_LIVE
    assert row["email.inspire.fresh"] is Reason.ELIGIBLE


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 6, 9, 23, 59, 59, 999999, tzinfo=UTC), Reason.NOT_YET_VALID),
        (datetime(2026, 6, 10, 0, 0, 0, tzinfo=UTC), Reason.ELIGIBLE),
        (datetime(2026, 6, 20, 23, 59, 59, tzinfo=UTC), Reason.ELIGIBLE),
        (datetime(2026, 6, 21, 0, 0, 0, tzinfo=UTC), Reason.NO_LONGER_VALID),
    ],
)
def test_both_validity_dates_belong_to_it_by_the_utc_calendar(moment: datetime, expected: Reason) -> None:
    dated = with_action(EMAIL, valid_from=date(2026, 6, 10), valid_until=date(2026, 6, 20))
    (row,) = reasons(SUBSCRIBED, retailer=dated, now=moment.timestamp())
    assert row[EMAIL] is expected


def test_the_day_changes_while_the_rules_live() -> None:
    rules = EligibilityRules(with_action(EMAIL, valid_until=date(2026, 6, 20)), SCHEMA)
    column, consented = RETAIL.catalogue.ids.index(EMAIL), consent(SCHEMA, states(SUBSCRIBED))
    days = [datetime(2026, 6, day, 12, tzinfo=UTC).timestamp() for day in (20, 21, 20)]
    found = [rules.reasons(consented=consented, channels=rules.asked([()]), now=now)[0, column] for now in days]
    assert found == [Reason.ELIGIBLE, Reason.NO_LONGER_VALID, Reason.ELIGIBLE]


def test_changing_an_answer_does_not_change_the_next() -> None:
    rules, consented = EligibilityRules(RETAIL, SCHEMA), consent(SCHEMA, states(SUBSCRIBED))
    first = rules.reasons(consented=consented, channels=rules.asked([()]), now=NOON)
    expected = first.copy()
    first[:] = 99
    np.testing.assert_array_equal(rules.reasons(consented=consented, channels=rules.asked([()]), now=NOON), expected)


def test_of_several_reasons_the_first_is_given() -> None:
    early, late = date(2030, 1, 1), date(2020, 1, 1)
    asked: dict[str, Any] = {"channels": ["site"], "now": NOON}
    steps = [
        (with_action(EMAIL, status="paused", valid_from=early), asked, Reason.NOT_LIVE),
        (with_action(EMAIL, valid_from=early), asked, Reason.NOT_YET_VALID),
        (with_action(EMAIL, valid_until=late), asked, Reason.NO_LONGER_VALID),
        (RETAIL, asked, Reason.CHANNEL_NOT_ASKED),
        (RETAIL, {}, Reason.NO_CONSENT),
    ]
    # Each retailer lets one rule less apply; without consent throughout.
    assert [reasons([], retailer=r, **more)[0][EMAIL] for r, more, _ in steps] == [reason for *_, reason in steps]


@given(
    history=st.lists(
        st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), st.sampled_from(["email", "site", "store"])),
        max_size=6,
    ),
    channels=st.lists(st.sampled_from(["email", "site", "store"]), max_size=3),
    now=st.floats(0, 4e9),
)
def test_silence_is_always_possible(history: list[tuple[str, str]], channels: list[str], now: float) -> None:
    (row,) = reasons(history, channels=channels, now=now)
    assert row["hold"] is Reason.ELIGIBLE
