"""POST /v1/explain, and what GET /v1/decisions/{id} explains."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.config import Cap, ContactPolicy, Groups, QuietHours
from orchestrator.decision.core import DecisionCore
from orchestrator.profiles import ProfileSchema
from policies.learning.baseline_files import save_baseline
from policies.vw.feature_space import Column, FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings
from tests.orchestrator.conftest import random_policy
from tests.orchestrator.decision.test_groups import rules_preferring

NOON = 1_768_996_800.0  # 2026-01-21 12:00 UTC
TABLES = ("customers", "events", "decisions", "contacts", "idempotency", "outcomes", "decision_schemas", "stated")


@pytest.fixture
def learned(retailer):
    """A small Vowpal Wabbit policy that has learned something."""
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    policy = VWPolicy(
        VWSettings(space=FeatureSpace(tuple(Column("U", name) for name in core.columns)), reward_name="money"),
        core.actions,
    )
    random = np.random.default_rng(0)
    n = 400
    policy.learn_rows(
        random.random((n, len(core.columns))).astype(np.float32),
        eligible=np.full(n, len(core.actions)),
        action=random.integers(0, len(core.actions), n),
        propensity=np.full(n, 1 / len(core.actions)),
        reward=random.normal(size=n),
    )
    return policy


async def explain(served, **body):
    answer = await served.client.post("/v1/explain", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def of(found, action):
    return next(a for a in found["actions"] if a["id"] == action)


def test_an_explanation_says_what_a_decision_then_does_and_leaves_no_trace(ask):
    async def test(served):
        await served.know("c-1")
        before = {table: served.rows(table) for table in TABLES}
        asked = {"customer_id": "c-1", "channels": ["site"], "context": {"hour": 9}}
        found = await explain(served, **asked)
        assert {table: served.rows(table) for table in TABLES} == before
        made = await served.decide(**{"customer": "c-1", **{k: v for k, v in asked.items() if k != "customer_id"}})
        record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
        assert found["group"] == made["group"]
        assert found["policy_version"] == made["policy_version"]
        names = ("id", "eligible", "reason", "probability", "price")
        assert [[a[n] for n in names] for a in found["actions"]] == [[a[n] for n in names] for a in record["actions"]]
        assert all((a["needs"] == []) == a["eligible"] for a in found["actions"])

    ask(test)


def test_everything_that_must_change_is_named_with_what_would_help(serving, retailer):
    cap = Cap(name="one_daily", channels=("email",), limit=1, window="1 d")
    night = QuietHours.model_validate({"name": "night", "channels": ["email"], "from": "11:00", "to": "13:00"})
    capped = replace(retailer, contacts=ContactPolicy(caps=(cap,), quiet_hours=(night,)))
    clock = [NOON - 7200]

    async def live():
        async with serving(capped, clock=lambda: clock[0]) as served:
            subscribed = {"event_id": "s", "customer_id": "c-1", "type": "subscribe", "channel": "email"}
            await served.client.post("/v1/events", json=[{**subscribed, "timestamp": "2026-01-01T00:00:00Z"}])
            while (made := await served.decide("c-1", channels=["email"]))["action"]["id"] == "hold":
                pass
            clock[0] = NOON
            found = await explain(served, customer_id="c-1", channels=["email"])
            await served.know("c-2")
            return made, found, await explain(served, customer_id="c-2", channels=["site"])

    made, found, other = asyncio.run(live())
    thank = of(found, "email.thank")
    assert thank["reason"] == "cap_reached"
    needs = {need["reason"]: need for need in thank["needs"]}
    assert set(needs) == {"cap_reached", "quiet_hours"}
    assert (needs["cap_reached"]["rule"], needs["cap_reached"]["count"], needs["cap_reached"]["limit"]) == (
        "one_daily",
        1,
        1,
    )
    assert needs["cap_reached"]["allowed_at"] == "2026-01-22T10:00:00Z"
    assert needs["quiet_hours"]["allowed_at"] == "2026-01-21T13:00:00Z"
    assert made["action"]["channel"] == "email"
    winter = {need["reason"]: need["change"] for need in of(found, "email.winter.home")["needs"]}
    assert "draft" in winter["not_live"]
    site = {need["reason"] for need in of(found, "site.inspire.pantry")["needs"]}
    assert site == {"channel_not_asked"}
    silent = {need["reason"]: need["change"] for need in of(other, "email.thank")["needs"]}
    assert "subscribe" in silent["no_consent"]
    assert "email" in silent["channel_not_asked"]


def test_contributions_and_the_intercept_make_up_the_score(serving, retailer, champion, learned):
    champion.load = lambda _: learned

    async def live():
        async with serving() as served:
            await served.know("c-1")
            found = await explain(served, customer_id="c-1", context={"hour": 9, "device": "mobile"})
            made = await served.decide("c-1", context={"hour": 9, "device": "mobile"})
            record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
            champion.current = ("2", champion.current[1])
            await served.decided_by("2")
            later = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
            return found, record, later

    found, record, later = asyncio.run(live())
    features = np.array([found["features"][c] for c in learned.columns], dtype=np.float32)
    parts = learned.contributions(features)
    intercept = learned.scores(np.zeros((1, len(features)), dtype=np.float32))[0]
    np.testing.assert_allclose(parts.sum(axis=0) + intercept, learned.scores(features[None])[0], atol=1e-5)
    for a, action in enumerate(found["actions"]):
        gain = parts[:, a] - parts[:, 0]
        told = {part["column"]: part["amount"] for part in action["contributions"]}
        largest = np.sort(np.abs(gain))[::-1][: len(told)]
        np.testing.assert_allclose(np.abs(list(told.values())), largest, rtol=1e-6)
        assert all(np.isclose(gain[learned.columns.index(c)], amount) for c, amount in told.items())
    assert any(action["contributions"] for action in found["actions"])
    assert record["actions"][1]["contributions"] is not None
    assert later["actions"][1]["contributions"] is None


def test_nobody_known_and_no_policy_are_refused_as_in_a_decision(ask):
    async def test(served):
        answer = await served.client.post("/v1/explain", json={"customer_id": "nobody"})
        assert answer.status_code == 404

    ask(test)


def test_whatever_is_asked_an_explanation_is_what_the_decision_then_is(serving, retailer, tmp_path):
    policy = random_policy(retailer)
    save_baseline(rules_preferring("site.inspire.pantry", policy.actions, policy.columns), tmp_path / "rules")
    shares = {"policy": 0.25, "random": 0.25, "business_rules": 0.25, "control": 0.25}
    groups = Groups.model_validate({"shares": shares, "business_rules": tmp_path / "rules"})
    caps = ContactPolicy(
        caps=(Cap(name="one", channels=("email", "store"), limit=1, window="7 d"),),
        quiet_hours=(
            QuietHours.model_validate({"name": "noon", "channels": ["store"], "from": "11:00", "to": "13:00"}),
        ),
    )
    of = replace(retailer, contacts=caps, serving=retailer.serving.model_copy(update={"groups": groups}))
    asked = [
        {},
        {"channels": ["email"]},
        {"channels": ["store", "site"], "context": {"hour": 7}},
        {"placement": "home_hero", "context": {"device": "mobile"}},
    ]
    clock = [NOON]

    async def live():
        async with serving(of, clock=lambda: clock[0]) as served:
            customers = [f"c-{i}" for i in range(12)]
            await served.know(*customers)
            consent = [
                {"event_id": f"s-{c}", "customer_id": c, "type": "subscribe", "channel": "email"}
                for c in customers[::2]
            ]
            assert (await served.client.post("/v1/events", json=consent)).status_code == 200
            seen, names = set(), ("id", "eligible", "reason", "score", "probability", "price")
            for clock[0] in (NOON, NOON + 7200, NOON + 14400):
                for i, customer in enumerate(customers):
                    request = asked[i % len(asked)]
                    found = await explain(served, customer_id=customer, **request)
                    made = await served.decide(customer, **request)
                    record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
                    assert found["group"] == made["group"]
                    assert found["features"] == record["features"]
                    for now, then in zip(found["actions"], record["actions"], strict=True):
                        assert [now[n] for n in names] == [then[n] for n in names]
                        assert (now["needs"] == []) == now["eligible"]
                        assert now["eligible"] or now["reason"] in {need["reason"] for need in now["needs"]}
                        seen |= {now["reason"]}
                    seen |= {found["group"]}
            return seen

    seen = asyncio.run(live())
    assert set(shares) <= seen
    assert {"channel_not_asked", "no_consent", "cap_reached", "quiet_hours", "not_live"} <= seen
