"""Repeating logged decisions: all of an honest log agree, and whatever is changed is found."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.config import Cap, ContactPolicy, Groups
from orchestrator.decisions import DecisionCore
from orchestrator.groups import business_rules
from orchestrator.profiles import ProfileSchema
from orchestrator.service.auditing import audit_decisions
from orchestrator.storage.database import open_database
from policies.baseline_files import save_baseline
from policies.exploration import Explorer
from policies.features import Column, FeatureSpace
from policies.vw_policy import VWPolicy, VWSettings
from tests.database_rows import change, read_rows
from tests.orchestrator.test_groups import rules_preferring

SHARES = {"policy": 0.3, "random": 0.25, "business_rules": 0.2, "control": 0.25}
KINDS = ("view", "cart_add", "purchase", "visit")


def learned(core, seed):
    settings = VWSettings(
        space=FeatureSpace(tuple(Column("U", name) for name in core.columns)),
        explorer=Explorer(kind="epsilon_greedy", epsilon=0.4, hold=0.3),
        reward_name="money",
    )
    policy = VWPolicy(settings, core.actions)
    draws, n = np.random.default_rng(seed), 300
    policy.learn_rows(
        draws.random((n, len(core.columns))).astype(np.float32),
        eligible=np.full(n, len(core.actions)),
        action=draws.integers(0, len(core.actions), n),
        propensity=np.full(n, 1 / len(core.actions)),
        reward=draws.normal(size=n),
    )
    return policy


@pytest.fixture
def logged(serving, retailer, champion, tmp_path):
    """A log of every kind of decision by two versions of a policy, with facts between; and how to audit it."""
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    policies = {"1": learned(core, 1), "2": learned(core, 2)}
    rules = rules_preferring("site.inspire.pantry", core.actions, core.columns)
    save_baseline(rules, tmp_path / "rules")
    caps = ContactPolicy(caps=(Cap(name="few", channels=("email", "store"), limit=3, window="1 d"),))
    groups = Groups.model_validate({"shares": SHARES, "business_rules": tmp_path / "rules"})
    of = replace(retailer, contacts=caps, serving=retailer.serving.model_copy(update={"groups": groups}))
    champion.load = lambda _: policies[champion.current[0]]
    draws = random.Random(3)  # noqa: S311

    async def facts(served, number):
        kinds = [draws.choice(KINDS) for _ in range(20)]
        events = [
            {"event_id": f"e-{number}-{i}", "customer_id": f"c-{draws.randrange(20)}", "type": kind, "value": 9.5}
            | ({"category": "pantry"} if kind != "visit" else {})
            for i, kind in enumerate(kinds)
        ]
        answer = await served.client.post("/v1/events", json=events)
        assert answer.status_code == 200, answer.text

    async def batch(served):
        asked = []
        for _ in range(40):
            customer = f"c-{draws.randrange(20)}"
            what = draws.choice(
                [{}, {"channels": ["site"]}, {"placement": "home_hero", "slots": 3}, {"context": {"hour": 8}}]
            )
            asked.append(served.decide(customer, **what))
        return await asyncio.gather(*asked)

    async def live():
        async with serving(of) as served:
            await served.know(*(f"c-{i}" for i in range(20)))
            consent = [
                {"event_id": f"s-{i}", "customer_id": f"c-{i}", "type": "subscribe", "channel": "email"}
                for i in range(20)
            ]
            assert (await served.client.post("/v1/events", json=consent)).status_code == 200
            for number in range(4):
                await facts(served, number)
                made = await batch(served)
                told = [
                    {"outcome_id": f"o-{m['decision_id']}", "decision_id": m["decision_id"], "type": "click"}
                    for m in made[:5]
                ]
                assert (await served.client.post("/v1/outcomes", json=told)).status_code == 200
            champion.current = ("2", champion.current[1])
            await served.decided_by("2", "c-1")
            await batch(served)

    asyncio.run(live())

    def audit(**more):
        engine = open_database(of.serving.database, create=False)
        given = {"policy_of": policies.get, "rules": business_rules(of), **more}
        found = audit_decisions(engine, core, **given)
        engine.dispose()
        return found

    return of.serving.database, audit


def test_every_decision_of_a_mixed_load_is_repeated(logged):
    url, audit = logged
    rows = read_rows(url, "SELECT group_name, slots, policy_version FROM decisions")
    assert {row["group_name"] for row in rows} == set(SHARES)
    assert sum(row["slots"] is not None for row in rows) > 10
    assert {row["policy_version"] for row in rows} == {"1", "2"}
    found = audit()
    assert found.faults == []
    assert found.decisions == found.verified == found.rebuilt == len(rows)
    assert not found.skipped
    later = audit(since=sorted(r["decided_at"] for r in read_rows(url, "SELECT decided_at FROM decisions"))[-10])
    assert 10 <= later.decisions < len(rows)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("propensity = propensity * 1.0000001", "propensity"),
        ("action = CASE action WHEN 0 THEN 1 ELSE 0 END", "ledger"),
        ("group_name = CASE group_name WHEN 'random' THEN 'control' ELSE 'random' END", "distribution"),
        ("policy_version = CASE policy_version WHEN '1' THEN '2' ELSE '1' END", "scores"),
        ("decision_id = '00' || substr(decision_id, 3)", ""),
        ("customer_id = 'c-999'", "ledger|features"),
        ("scores = distribution", "bytes"),
        ('request = \'{"context": {"device": "tablet"}}\'', "features"),
        ("joint_propensity = 0.5", "joint_propensity|slots"),
    ],
)
def test_a_row_that_was_changed_is_found(logged, what, says):
    url, audit = logged
    # A contact, by the policy: most can be wrong about it. Of rows alike in what is changed, repeating finds nothing.
    chosen = read_rows(
        url,
        "SELECT d.decision_id FROM decisions d JOIN contacts c ON c.decision_id = d.decision_id "
        "WHERE d.group_name = 'policy' ORDER BY d.decision_id LIMIT 1",
    )[0]["decision_id"]
    if what.startswith("decision_id"):
        # Ids of other tables follow, as somebody who changes a log with care would have it.
        for table in ("contacts", "outcomes", "idempotency"):
            change(url, f"DELETE FROM {table}")  # noqa: S608
    change(url, f"UPDATE decisions SET {what} WHERE decision_id = '{chosen}'")  # noqa: S608
    found = audit()
    mine = [fault for fault in found.faults if fault.decision_id[2:] == chosen[2:]]
    assert len(mine) == 1
    assert re.search(says, mine[0].what)


def test_a_contact_that_left_the_ledger_is_found(logged):
    url, audit = logged
    gone = read_rows(url, "SELECT decision_id FROM contacts LIMIT 1")[0]["decision_id"]
    change(url, f"DELETE FROM contacts WHERE decision_id = '{gone}'")  # noqa: S608
    (fault,) = audit().faults
    assert fault.decision_id == gone
    assert "ledger" in fault.what


def test_what_cannot_be_repeated_is_counted_and_is_no_fault(logged):
    url, audit = logged
    by_first = len(read_rows(url, "SELECT 1 FROM decisions WHERE policy_version = '1'"))
    found = audit(policy_of=lambda version: None if version == "1" else learned_again(version))
    assert found.skipped["policy 1 is not in the registry"] == by_first
    found = audit(rules=None)
    ruled = len(read_rows(url, "SELECT 1 FROM decisions WHERE group_name = 'business_rules'"))
    assert sum(found.skipped.values()) == ruled > 0
    assert found.faults == []


def learned_again(version):
    from orchestrator.config import load_retailer
    from tests.orchestrator.conftest import ROOT

    retailer = load_retailer(ROOT / "configs" / "retail", environment={})
    return learned(DecisionCore(retailer, ProfileSchema.from_retailer(retailer)), int(version))
