"""Targeting in catalog.yaml, from text to customers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from orchestrator.config import Retailer
from orchestrator.eligibility import Targeting
from orchestrator.load import load_retailer
from orchestrator.profiles import ContextSchema, Events, Profiles, ProfileSchema, features

RETAIL = load_retailer(Path(__file__).parents[3] / "configs" / "retail", environment={})
SCHEMA = ProfileSchema.from_retailer(RETAIL)
CONTEXT = ContextSchema.from_retailer(RETAIL)
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
NOW = NOON.timestamp()


def with_targeting(*texts: str) -> Retailer:
    """The retailer with conditions on its first actions."""
    actions = list(RETAIL.catalogue.actions)
    for i, text in enumerate(texts, start=1):
        actions[i] = replace(actions[i], targeting=text)
    return replace(RETAIL, catalogue=replace(RETAIL.catalogue, actions=tuple(actions)))


def customers() -> Profiles:
    """Anna, who shops and says much, and somebody nothing is known of."""
    records = {
        40: {"type": "purchase", "category": "home", "value": 80.0},
        30: {"type": "subscribe", "channel": "email"},
        20: {"type": "profile", "attributes": {"age": "25-34", "store_distance": 4.0}},
        3: {"type": "visit"},
    }
    events = [
        {"customer_id": "anna", "event_id": str(days), "timestamp": (NOON - timedelta(days=days)).isoformat(), **record}
        for days, record in records.items()
    ]
    profiles = Profiles(SCHEMA)
    profiles.apply(Events.from_records(SCHEMA, events))
    return profiles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("buy.home > 0.1", [True, False]),
        ("store_distance == 4", [True, False]),  # as stated, not as policies see it
        ("store_distance < 100", [True, False]),
        ("not store_distance < 100", [False, True]),
        ("known.store_distance", [True, False]),
        ("39.9 < days_since.purchase < 40.1", [True, False]),
        ("days_since.purchase > 30", [True, True]),  # never is long ago
        ("known.purchase and days_since.purchase > 30", [True, False]),
        ("days_since.visit <= 3", [True, False]),
        ('age == "25-34"', [True, False]),
        ('age != "25-34"', [False, True]),
        ("email.consent and value > 0", [True, False]),
        ('device == "mobile"', [False, True]),
        ('page in ("home", "beauty")', [True, False]),
    ],
)
def test_conditions_are_about_what_is_known_of_customers(text: str, expected: list[bool]) -> None:
    targeting = Targeting(with_targeting(text), SCHEMA)
    states = customers().states(["anna", "nobody"])
    context = CONTEXT.encode([{"category": "home"}, {"device": "mobile"}])
    columns = np.hstack([features(SCHEMA, states, NOW), context])
    assert targeting.holds(features=columns, states=states, now=NOW)[:, 0].tolist() == expected
    # Of some rows of many states, as gathered requests have them.
    rows, many = np.array([3, 1]), np.vstack([states[1], states[1], states[1], states[0]])
    assert targeting.holds(features=columns, states=many, now=NOW, rows=rows)[:, 0].tolist() == expected


def test_each_condition_is_judged_once_whatever_actions_share_it() -> None:
    targeting = Targeting(with_targeting("value > 1", "cart.home", "value > 1"), SCHEMA)
    assert targeting.expressions == ("value > 1", "cart.home")
    nobody = SCHEMA.empty(3)
    columns = np.hstack([features(SCHEMA, nobody, NOW), np.zeros((3, len(CONTEXT.columns)), dtype=np.float32)])
    held = targeting.holds(features=columns, states=nobody, now=NOW)
    assert held.shape == (3, 2)
    assert not held.any()


def test_without_conditions_there_is_nothing_to_judge() -> None:
    targeting = Targeting(RETAIL, SCHEMA)
    assert targeting.holds(features=np.zeros((2, 0), dtype=np.float32), states=SCHEMA.empty(2), now=NOW).shape == (2, 0)
