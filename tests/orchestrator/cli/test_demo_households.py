"""The demo's last step: a sensible hour for everybody, and the reason of each decision in words."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from simulator.cli.demo_households import reason_in_words, zone_where_it_is

QUIET = {"reason": "quiet_hours", "rule": "night"}
NOT_ASKED = {"reason": "channel_not_asked", "rule": None}
CAP = {"reason": "cap_reached", "rule": "email_daily"}


@given(hour=st.integers(0, 23), now=st.floats(0, 4e9))
def test_at_any_time_there_is_a_zone_where_it_is_the_wanted_hour(hour: int, now: float) -> None:
    assert datetime.fromtimestamp(now, ZoneInfo(zone_where_it_is(hour, now=now))).hour == hour


def action(name: str, score: float, *needs: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "eligible": not needs, "score": score, "needs": list(needs)}


HOLD = action("hold", 0.0)


@pytest.mark.parametrize(
    ("actions", "chosen", "said"),
    [
        ([HOLD, action("a", 0.5), action("b", 0.2)], "a", "best of 2 allowed; next b +0.20"),
        ([HOLD, action("a", 0.5)], "a", "best of 1 allowed"),
        (
            [HOLD, action("a", -0.1), action("b", -0.2)],
            "hold",
            "none of 2 allowed is expected to pay; best a −0.10",  # noqa: RUF001 - a true minus
        ),
        ([HOLD, action("a", 0.5), action("b", 0.2)], "b", "by chance, to go on learning; best was a +0.50"),
        ([HOLD, action("a", 0.5)], "hold", "by chance, to go on learning; best was a +0.50"),
        (
            [HOLD, action("a", 0.5, QUIET), action("b", 0.2, QUIET, CAP), action("c", 0.1, CAP)],
            "hold",
            "no contact is allowed now; not allowed: 2 quiet hours (night), 1 cap reached (email_daily)",
        ),
        ([HOLD, action("a", 0.5), action("b", 0.9, NOT_ASKED, QUIET)], "a", "best of 1 allowed"),
    ],
)
def test_the_reason_of_a_decision_in_words(actions: list[dict[str, Any]], chosen: str, said: str) -> None:
    assert reason_in_words(actions, chosen=chosen) == said
