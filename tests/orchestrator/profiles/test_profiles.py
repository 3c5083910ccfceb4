from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.config import ConfigError
from orchestrator.load import load_retailer
from orchestrator.profiles import (
    EVENT_TYPES,
    EventError,
    EventRows,
    Events,
    Profiles,
    ProfileSchema,
    apply,
    consent,
    features,
)
from policies.arrays import Float64Array

DAY = 86400.0
START = 1.7e9
CUSTOMERS = 3
CONFIGS = Path(__file__).parents[3] / "configs"
SCHEMA = ProfileSchema.from_retailer(load_retailer(CONFIGS / "retail", environment={}))


def make(*rows: tuple[str, float], customer: str = "ann", **columns: object) -> Events:
    """Events of one customer: (type, days after START), and columns shared by all."""
    return Events.from_columns(
        customer_id=np.array([customer] * len(rows), dtype=object),
        event_id=np.array([f"{customer}-{i}-{row}" for i, row in enumerate(rows)], dtype=object),
        timestamp=np.array([START + days * DAY for _, days in rows]),
        type=np.array([EVENT_TYPES.index(kind) for kind, _ in rows]),
        schema=SCHEMA,
        **columns,  # type: ignore[arg-type]
    )


def seen(*batches: Events, days: float, customer: str = "ann") -> dict[str, float]:
    """Features of one customer after some events, by name."""
    profiles = Profiles(SCHEMA)
    for batch in batches:
        profiles.apply(batch)
    row = profiles.features([customer], now=START + days * DAY)[0]
    return dict(zip(SCHEMA.columns, row.tolist(), strict=True))


def category(name: str) -> int:
    return SCHEMA.categories.index(name)


@st.composite
def batches(draw: st.DrawFn) -> Events:
    """Random events of three customers, attributes among them; times collide often."""
    n = draw(st.integers(1, 25))
    column = st.lists(st.integers(0, 10**6), min_size=n, max_size=n)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    m = draw(st.integers(0, 6))
    attribute = random.integers(0, len(SCHEMA.attributes), m)
    return Events(
        customers=np.array(["a", "b", "c"], dtype=object),
        customer=random.integers(0, CUSTOMERS, n),
        event_id=np.array([str(i) for i in range(n)], dtype=object),
        timestamp=START + np.array(draw(column)) % 40 * 5 * DAY,
        type=random.integers(0, len(EVENT_TYPES), n),
        channel=random.integers(-1, len(SCHEMA.channels), n),
        category=random.integers(-1, len(SCHEMA.categories), n),
        value=random.uniform(0, 200, n),
        quantity=np.ones(n),
        discount=random.uniform(0, 20, n),
        attribute_event=random.integers(0, n, m),
        attribute=attribute,
        attribute_value=random.integers(0, 3, m).astype(float),
    )


def applied(*parts: Events) -> Float64Array:
    states = SCHEMA.empty(CUSTOMERS)
    for part in parts:
        apply(SCHEMA, states, part)
    return states


def same(left: Float64Array, right: Float64Array) -> None:
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=0)


@given(batches())
@settings(deadline=None)
def test_one_by_one_is_the_same_as_one_batch(events: Events) -> None:
    same(applied(*(events.take(np.array([i])) for i in range(len(events)))), applied(events))


@given(batches())
@settings(deadline=None)
def test_events_need_no_ids_to_be_applied(events: Events) -> None:
    rows = EventRows(**{column.name: getattr(events, column.name) for column in fields(EventRows)})
    states = SCHEMA.empty(CUSTOMERS)
    apply(SCHEMA, states, rows)
    assert np.array_equal(states, applied(events))


@given(batches(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_any_order_gives_the_same_state(events: Events, random: object) -> None:
    order = list(range(len(events)))
    random.shuffle(order)  # type: ignore[attr-defined]
    cut = len(order) // 2
    shuffled = [events.take(np.array(part, dtype=np.int64)) for part in (order[:cut], order[cut:])]
    same(applied(*shuffled), applied(events))


@given(batches(), st.floats(0, 400), st.floats(0, 400))
@settings(deadline=None)
def test_sums_are_what_their_definition_says_however_late_one_looks(events: Events, first: float, more: float) -> None:
    latest = float(events.timestamp.max())
    now = latest + (first + more) * DAY
    profiles = Profiles(SCHEMA)
    profiles.apply(events)
    profiles.features(["a"], now=latest + first * DAY)  # looking changes nothing
    found = profiles.features(["a"], now=now)[0]
    mine = events.customer == 0
    bought = mine & (events.type == EVENT_TYPES.index("purchase"))
    weight = 0.5 ** ((now - events.timestamp) / (90 * DAY))
    expected = {"spend": np.log1p(np.sum((weight * events.value)[bought])) / 4}
    for name in ("home", "fresh"):
        of_category = bought & (events.category == category(name))
        expected[f"buy.{name}"] = np.log1p(np.sum(weight[of_category])) / 1.5
    for name, value in expected.items():
        assert found[SCHEMA.columns.index(name)] == pytest.approx(min(value, 3), rel=1e-5)


@given(batches(), st.floats(-500, 5000))
@settings(deadline=None)
def test_features_are_finite_and_small_whatever_happened(events: Events, days: float) -> None:
    found = features(SCHEMA, applied(events), START + days * DAY)
    assert found.dtype == np.float32
    assert found.shape == (CUSTOMERS, len(SCHEMA.columns))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 3


@given(batches())
@settings(deadline=None)
def test_an_event_counts_once_in_one_batch_and_across_batches(events: Events) -> None:
    n = len(events)
    twice = events.take(np.concatenate([np.arange(n), np.arange(n)]))
    profiles = Profiles(SCHEMA)
    assert profiles.apply(twice) == n
    assert profiles.apply(events) == 0
    once = Profiles(SCHEMA)
    once.apply(events)
    assert np.array_equal(profiles.states(["a", "b", "c"]), once.states(["a", "b", "c"]))


def test_of_two_events_with_one_id_the_first_counts() -> None:
    events = make(("purchase", 0), ("purchase", 0), value=np.array([10.0, 99.0]))
    same_id = replace(events, event_id=np.array(["x", "x"], dtype=object))
    assert seen(same_id, days=0)["spend"] == pytest.approx(np.log1p(10) / 4, rel=1e-6)


def test_states_grow_with_customers_and_do_not_mix() -> None:
    profiles = Profiles(SCHEMA)
    for i in range(40):
        profiles.apply(make(("purchase", i), customer=f"c{i}", value=float(i)))
    spend = profiles.features([f"c{i}" for i in range(40)], now=START + 50 * DAY)[:, SCHEMA.columns.index("spend")]
    expected = [np.log1p(i * 0.5 ** ((50 - i) / 90)) / 4 for i in range(40)]
    np.testing.assert_allclose(spend, expected, rtol=1e-5)
    assert profiles.customers == tuple(f"c{i}" for i in range(40))


def test_somebody_unknown_has_an_empty_state_and_stays_unknown() -> None:
    profiles = Profiles(SCHEMA)
    row = dict(zip(SCHEMA.columns, profiles.features(["nobody"], now=START)[0].tolist(), strict=True))
    assert row["known.purchase"] == row["recency.purchase"] == row["tenure"] == 0
    assert row["email.response_rate"] == pytest.approx(0.2)
    assert len(profiles) == 0


def test_a_want_is_open_until_bought_or_expired() -> None:
    want = make(("want", 0), category=category("home"))
    assert seen(want, days=29)["want.home"] == 1
    assert seen(want, days=31)["want.home"] == 0
    assert seen(want, make(("purchase", 1), category=category("home")), days=2)["want.home"] == 0
    assert seen(want, make(("purchase", 1), category=category("beauty")), days=2)["want.home"] == 1
    assert seen(want, make(("purchase", -1), category=category("home")), days=2)["want.home"] == 1


def test_a_cart_is_open_until_bought_emptied_or_expired() -> None:
    cart = make(("cart_add", 0), category=category("apparel"))
    assert seen(cart, days=13)["cart.apparel"] == 1
    assert seen(cart, days=15)["cart.apparel"] == 0
    for kind in ("cart_remove", "purchase"):
        assert seen(cart, make((kind, 1), category=category("apparel")), days=2)["cart.apparel"] == 0


def test_contacts_tire_and_unanswered_ones_lower_the_response_rate_of_their_own_channel() -> None:
    email = SCHEMA.channels.index("email")
    sent = make(*(("sent", day) for day in range(5)), channel=email)
    tired = seen(sent, days=5)
    assert tired["email.fatigue"] > seen(sent, days=19)["email.fatigue"] > 0
    assert tired["email.response_rate"] < 0.1
    assert tired["store.fatigue"] == 0
    assert tired["store.response_rate"] == pytest.approx(0.2)
    clicked = seen(sent, make(("click", 4.5), channel=email), days=5)
    opened = seen(sent, make(("open", 4.5), channel=email), days=5)
    assert clicked["email.response_rate"] > opened["email.response_rate"] > tired["email.response_rate"]
    assert clicked["email.recency_response"] > 0.9


def test_discounts_and_returns_are_shares_of_spend() -> None:
    bought = make(("purchase", 0), value=80.0, discount=20.0)
    row = seen(bought, make(("return", 0), value=40.0, customer="ann"), days=0)
    assert row["discount_share"] == pytest.approx(20 / 101)
    assert row["return_share"] == pytest.approx(40 / 81)


@pytest.mark.parametrize(
    ("history", "email", "store"),
    [
        ([], False, True),
        ([("subscribe", 0)], True, True),
        ([("subscribe", 0), ("unsubscribe", 1)], False, False),
        ([("unsubscribe", 0), ("subscribe", 1)], True, True),
        ([("unsubscribe", 1), ("subscribe", 1)], False, False),
    ],
)
def test_the_latest_word_on_consent_decides(history: list[tuple[str, float]], email: bool, store: bool) -> None:
    profiles = Profiles(SCHEMA)
    for code in range(len(SCHEMA.channels)):
        events = make(*history, channel=code)
        profiles.apply(replace(events, event_id=events.event_id + f"-{code}"))
    assert profiles.consent(["ann"]).tolist() == [[email, True, store]]
    row = dict(zip(SCHEMA.columns, profiles.features(["ann"], now=START)[0].tolist(), strict=True))
    # The site never asks, so it has no column.
    assert {name: value for name, value in row.items() if name.endswith(".consent")} == {
        "email.consent": email,
        "store.consent": store,
    }
    assert SCHEMA.columns[-2:] == ("email.consent", "store.consent")


def test_the_latest_statement_of_an_attribute_wins_even_if_it_arrives_first() -> None:
    new = make(("profile", 2), attributes={"age": ["25-34"], "store_distance": [9.0]})
    old = make(("profile", 1), attributes={"age": ["65+"], "store_distance": [99.0]})
    row = seen(new, old, days=3)
    assert row["age=25-34"] == 1
    assert row["age=65+"] == 0
    assert row["store_distance"] == pytest.approx(np.log1p(9) / np.log1p(10))
    assert row["known.store_distance"] == 1
    assert seen(make(("visit", 0)), days=0)["known.store_distance"] == 0


def test_a_code_out_of_range_is_refused_and_nothing_applied() -> None:
    events = make(("sent", 0), channel=len(SCHEMA.channels))
    states = SCHEMA.empty(1)
    with pytest.raises(EventError, match="channel 3 does not exist"):
        apply(SCHEMA, states, events)
    with pytest.raises(EventError, match="customer 0 does not exist"):
        apply(SCHEMA, SCHEMA.empty(0), make(("visit", 0)))
    with pytest.raises(EventError, match="C-contiguous"):
        apply(SCHEMA, np.asfortranarray(SCHEMA.empty(2)), make(("visit", 0)))
    assert np.array_equal(states, SCHEMA.empty(1))


def test_blocks_of_many_customers_give_what_each_gives_alone() -> None:
    random = np.random.default_rng(0)
    n = 5000
    events = Events.from_columns(
        customer_id=np.array([str(i) for i in range(n)], dtype=object),
        event_id=np.array([str(i) for i in range(n)], dtype=object),
        timestamp=START + random.uniform(0, 100, n) * DAY,
        type="purchase",
        category=random.integers(0, len(SCHEMA.categories), n),
        value=random.uniform(0, 100, n),
    )
    states = SCHEMA.empty(n)
    apply(SCHEMA, states, events)
    now = START + random.uniform(100, 200, n) * DAY
    together = features(SCHEMA, states, now)
    for i in (0, 2047, 2048, 4999):
        assert np.array_equal(features(SCHEMA, states[[i]], now[i])[0], together[i])
    assert consent(SCHEMA, states).shape == (n, len(SCHEMA.channels))


def test_stored_states_are_told_apart_when_the_configuration_changes_their_meaning() -> None:
    retailer = load_retailer(CONFIGS / "retail", environment={})
    assert ProfileSchema.from_retailer(retailer).fingerprint == SCHEMA.fingerprint
    for variable, value in {
        "JOURNEY__PROFILES__HALF_LIVES__PURCHASE": "80 d",
        "JOURNEY__PROFILES__ATTRIBUTES__AGE__VALUES": "[65+, 19-24]",
        "JOURNEY__CATALOG__CATEGORIES": "[" + ", ".join(reversed(SCHEMA.categories)) + "]",
    }.items():
        changed = ProfileSchema.from_retailer(load_retailer(CONFIGS / "retail", environment={variable: value}))
        assert changed.fingerprint != SCHEMA.fingerprint
    harmless = load_retailer(CONFIGS / "retail", environment={"JOURNEY__PROFILES__WANT_EXPIRES": "9 d"})
    assert ProfileSchema.from_retailer(harmless).fingerprint == SCHEMA.fingerprint


def test_an_attribute_named_like_another_feature_is_refused() -> None:
    clash = load_retailer(CONFIGS / "retail", environment={"JOURNEY__PROFILES__ATTRIBUTES__SPEND": "{scale: 10}"})
    with pytest.raises(ConfigError, match="feature 'spend' would exist twice"):
        ProfileSchema.from_retailer(clash)


def test_a_schema_travels_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(SCHEMA))  # noqa: S301 -- our own bytes
    assert copy == SCHEMA
    assert np.array_equal(copy.empty(2), SCHEMA.empty(2))


def test_pressure_grows_by_the_same_with_every_contact_and_halves_with_the_half_life_of_fatigue() -> None:
    email = SCHEMA.channels.index("email")
    one, two, four = (seen(make(*[("sent", 0.0)] * k, channel=email), days=0)["email.pressure"] for k in (1, 2, 4))
    assert one > 0
    assert (two, four) == (pytest.approx(2 * one), pytest.approx(4 * one))
    later = seen(make(*[("sent", 0.0)] * 4, channel=email), days=SCHEMA.half_lives.fatigue / DAY)
    assert later["email.pressure"] == pytest.approx(two)
    assert later["store.pressure"] == later["site.pressure"] == 0


def test_value_follows_spend_and_halves_with_the_half_life_of_purchases() -> None:
    half_life = SCHEMA.half_lives.purchase / DAY
    small, large = (seen(make(("purchase", 0), value=value), days=0)["value"] for value in (60.0, 240.0))
    assert large == pytest.approx(4 * small)
    assert small > 0
    assert seen(make(("purchase", 0), value=240.0), days=half_life)["value"] == pytest.approx(large / 2)
    assert seen(make(("purchase", 0), value=1e6), days=0)["value"] == 3


@pytest.mark.parametrize("contacts", [0, 2, 30])
@pytest.mark.parametrize("spend", [0.0, 150.0, 1e5])
def test_burden_is_pressure_times_value_and_no_larger_than_any_feature(contacts: int, spend: float) -> None:
    email = SCHEMA.channels.index("email")
    bought = make(("purchase", 0), value=spend)
    row = seen(make(*[("sent", 0.0)] * contacts, channel=email), bought, days=0)
    assert row["email.burden"] == pytest.approx(min(row["email.pressure"] * row["value"], 3))
    assert row["store.burden"] == 0
