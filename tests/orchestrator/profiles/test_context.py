from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.load import load_retailer
from orchestrator.profiles import ContextError, ContextSchema

CONFIGS = Path(__file__).parents[3] / "configs"
SCHEMA = ContextSchema.from_retailer(load_retailer(CONFIGS / "retail", environment={}))


def named(context: dict[str, Any]) -> set[str]:
    (row,) = SCHEMA.encode([context])
    return {name for name, value in zip(SCHEMA.columns, row, strict=True) if value}


def test_what_a_request_says_becomes_one_hot_columns() -> None:
    context = {"placement": "home_hero", "device": "mobile", "hour": 19, "category": "beauty"}
    assert named(context) == {"placement=home_hero", "device=mobile", "daypart=evening", "page=beauty"}


def test_what_it_does_not_say_is_zero() -> None:
    assert named({}) == named({"device": None}) == set()
    assert SCHEMA.encode([]).shape == (0, len(SCHEMA.columns))


@pytest.mark.parametrize(
    ("hour", "part"),
    [(0, "night"), (5, "night"), (6, "morning"), (11, "midday"), (14, "afternoon"), (18, "evening"), (23, "evening")],
)
def test_hours_belong_to_parts_of_the_day(hour: int, part: str) -> None:
    assert named({"hour": hour}) == {f"daypart={part}"}


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"placement": "home_hro"}, "placement = 'home_hro': not known; did you mean 'home_hero'"),
        ({"device": "phone"}, "device = 'phone': not known"),
        ({"category": ["home"]}, r"category = \['home'\]: not known"),
        ({"hour": 24}, "hour = 24: must be a whole number from 0 to 23"),
        ({"hour": "9"}, "hour = '9'"),
        ({"plcement": "cart"}, "plcement is not a field; did you mean 'placement'"),
    ],
)
def test_anything_unknown_is_refused(context: dict[str, Any], message: str) -> None:
    with pytest.raises(ContextError, match=f"context 1: {message}"):
        SCHEMA.encode([{}, context])
