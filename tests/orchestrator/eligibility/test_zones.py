"""Local clocks: offsets from UTC and hours of the week."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, strategies as st

import orchestrator.eligibility.expressions
import orchestrator.eligibility.zones
from orchestrator.eligibility import CustomerZones, offsets
from orchestrator.eligibility.rules.open_hours import OpenHours
from orchestrator.eligibility.zones import Clock
from orchestrator.errors import ContextError

DAY = 86400
# A zone with half an hour of summer time and one that skipped a whole day.
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "UTC")
SINCE_2005 = st.integers(1104537600, 2051222400)


def offset_of(zone: str, at: float) -> int:
    return int(datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)).utcoffset().total_seconds())  # type: ignore[union-attr]


def test_examples_in_docstrings_run() -> None:
    for module in (orchestrator.eligibility.expressions, orchestrator.eligibility.zones):
        tried = doctest.testmod(module)
        assert tried.attempted > 0
        assert tried.failed == 0


@given(zones=st.lists(st.sampled_from(ZONES)), at=SINCE_2005)
def test_offsets_are_those_of_the_tz_database(zones: list[str], at: int) -> None:
    assert offsets(zones, at).tolist() == [offset_of(zone, at) for zone in zones]


def test_offsets_change_with_the_clocks_to_the_second() -> None:
    change = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
    assert [offsets(["Europe/Berlin"], change + d)[0] for d in (-1, -1e-6, 0, 1)] == [3600, 3600, 7200, 7200]


def test_a_customer_without_a_zone_has_the_retailers() -> None:
    zones = CustomerZones.of(["", "Asia/Kathmandu", ""], default="Europe/Berlin")
    assert zones.offsets(1767225600).tolist() == [3600, 20700, 3600]
    assert len(CustomerZones.of([])) == 0
    assert CustomerZones.same("UTC", 3).offsets(0).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["Europe/Berln", "../etc/passwd", "Mars/Olympus", "/UTC", "Europe"])
def test_an_unknown_zone_is_told_with_its_row(name: str) -> None:
    with pytest.raises(ContextError, match=r"request 1: time_zone = '.*no such time zone"):
        offsets(["UTC", name], 0)


@given(zone=st.sampled_from(ZONES), start=SINCE_2005, days=st.integers(0, 400), data=st.data())
def test_a_clock_knows_its_zones_offsets_and_changes(zone: str, start: int, days: int, data: st.DataObject) -> None:
    clock = Clock.of(zone, start=start, end=start + days * DAY)
    at = data.draw(st.integers(start, start + days * DAY))
    assert clock.offset(np.array([at]))[0] == offset_of(zone, at)
    change = clock.next_change(np.array([float(at)]))[0]
    assert change > at
    if np.isfinite(change):
        assert offset_of(zone, change - 1) == offset_of(zone, at) != offset_of(zone, change)


@given(
    week=st.lists(st.tuples(st.integers(0, 24), st.integers(1, 30)), min_size=7, max_size=7),
    wall=st.integers(-10 * DAY, 20000 * DAY),
)
def test_hours_of_a_week_are_those_of_its_days(week: list[tuple[int, int]], wall: int) -> None:
    days = [(3600 * start, 3600 * min(start + length, 47)) for start, length in week]
    hours = OpenHours.of_week(days)

    def is_open(at: int) -> bool:
        weekday, clock = (at // DAY + 3) % 7, at % DAY
        before = (weekday - 1) % 7
        return days[weekday][0] <= clock < days[weekday][1] or days[before][0] <= clock + DAY < days[before][1]

    assert bool(hours.open(np.array(wall))) == is_open(wall)
    if not is_open(wall):
        wait = int(hours.wait(np.array(wall)))
        assert is_open(wall + wait)
        assert not is_open(wall + wait - 1)
        assert not any(is_open(at) for at in range(wall, wall + wait, 1800))


def test_what_never_opens_is_not_waited_for() -> None:
    never = OpenHours.of_week([(0, 0)] * 7)
    assert np.isnan(never.open_from(np.array([0.0, 1e9]), zone="Europe/Berlin")).all()
