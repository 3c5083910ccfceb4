"""Repeating logged decisions: all of an honest log agree, and whatever is changed is found."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from orchestrator.audit.auditing import audit_decisions
from orchestrator.config import Cap, ContactPolicy, Groups, QuietHours
from orchestrator.decision.core import DecisionCore
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from policies.exploration.explorers import Explorer
from policies.learning.baseline_files import save_baseline
from policies.vw.feature_space import Column, FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings
from tests.database_rows import change, read_rows
from tests.orchestrator.conftest import random_policy
from tests.orchestrator.decision.test_groups import rules_preferring

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


def with_actions(retailer, **changes):
    """A retailer some of whose actions are otherwise, by beginning of their ids (`_` for `.`)."""
    actions = [
        replace(
            action, **next((to for start, to in changes.items() if action.id.startswith(start.replace("_", "."))), {})
        )
        for action in retailer.catalogue.actions
    ]
    return replace(retailer, catalogue=replace(retailer.catalogue, actions=tuple(actions)))


@pytest.fixture
def logged(serving, retailer, champion, tmp_path):
    """A log of every kind of decision by two versions of a policy, with facts between; and how to audit it."""
    retailer = with_actions(
        retailer,
        email_inspire={"targeting": "days_since.purchase < 100 or buy.pantry > 0.4"},
        email_offer={"targeting": 'device == "mobile" or cart.pantry > 0.2'},
        email_back={"valid_until": date(2020, 1, 1)},
        email_thank={"valid_from": date(2200, 1, 1)},
        site_offer={"status": "paused"},
    )
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

    def audit(of=of, **more):
        engine = open_database(of.serving.database, create=False)
        found = audit_decisions(engine, of, **{"policy_of": policies.get, **more})
        engine.dispose()
        return found

    return of, audit


def test_every_decision_of_a_mixed_load_is_repeated(logged):
    of, audit = logged
    url = of.serving.database
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


# What is changed in one row, of which kind of decision; and what is said about it.
A_POLICY, A_RANDOM = "group_name = 'policy'", "group_name = 'random'"
A_CONTACT = "decision_id IN (SELECT decision_id FROM contacts)"
UNANSWERED = f"{A_POLICY} AND decision_id NOT IN (SELECT decision_id FROM outcomes)"  # noqa: S608
NO_CONTACT, SEVERAL = f"NOT {A_CONTACT}", "slots IS NOT NULL"
CHANGES = [
    ("propensity = propensity * 1.0000001", A_POLICY, "propensity"),
    ("propensity = 0.9, rules = 'x'", A_POLICY, "rules"),
    ("action = CASE action WHEN 0 THEN 1 ELSE 0 END", NO_CONTACT, "action"),
    ("group_name = 'control'", A_RANDOM, "group_name|distribution"),
    ("group_name = 'business_rules'", A_RANDOM, "rules"),
    ("group_name = 'nobody'", A_RANDOM, "group_name"),
    ("policy_version = CASE policy_version WHEN '1' THEN '2' ELSE '1' END", A_POLICY, "scores"),
    ("decided_at = decided_at + 5", NO_CONTACT, "decided_at"),
    ("customer_id = 'c-999'", NO_CONTACT, "no event|group_name"),
    ("customer_id = 'c-999'", A_CONTACT, "ledger"),
    ("scores = distribution", A_POLICY, "scores: .* bytes"),
    ('request = \'{"context": {"device": "tablet"}}\'', f"{NO_CONTACT} AND slots IS NULL", "features|reasons"),
    ('request = \'{"slots": "abc"}\'', A_POLICY, "request"),
    ("request = '[]'", A_POLICY, "request"),
    ('request = \'{"context": {"category": "none"}}\'', f"{A_POLICY} AND slots IS NULL", "repeated|reasons"),
    ("request = replace(request, 'channels', 'context')", "request LIKE '%\"channels\"%'", "reasons|request|repeated"),
    ("joint_propensity = 0.5", SEVERAL, "joint_propensity"),
    ("joint_propensity = 0.5", "slots IS NULL", "slots"),
    ("slots = '[[999,0.5]]'", SEVERAL, "slots"),
    ("slots = '[1]'", SEVERAL, "slots"),
    ("slots = '5'", SEVERAL, "slots"),
    ("action = 1.4", f"{UNANSWERED} AND slots IS NULL AND action <> 1", "action"),
    ("slots = 'x'", SEVERAL, "JSON"),
]


@pytest.mark.parametrize(("what", "where", "says"), CHANGES)
@pytest.mark.parametrize("policies_left", [True, False])
def test_a_row_that_was_changed_is_found_alone(logged, what, where, says, policies_left):
    of, audit = logged
    url = of.serving.database
    (chosen,) = read_rows(url, f"SELECT decision_id FROM decisions WHERE {where} ORDER BY decision_id LIMIT 1")  # noqa: S608
    change(url, f"UPDATE decisions SET {what} WHERE decision_id = '{chosen['decision_id']}'")  # noqa: S608
    found = audit() if policies_left else audit(policy_of=lambda _: None)
    if not policies_left and says == "scores":
        return  # which policy scored cannot be told once there is none
    assert [fault.decision_id for fault in found.faults] == [chosen["decision_id"]]
    assert re.search(says, found.faults[0].what), found.faults[0].what
    assert found.verified == (found.decisions - 1 if policies_left else 0)


def bytes_of(url, array):
    """An array as SQL."""
    digits = array.tobytes().hex()
    return f"X'{digits}'" if url.startswith("sqlite") else f"decode('{digits}', 'hex')"


@pytest.mark.parametrize(
    ("column", "kind"), [("features", np.float32), ("scores", np.float32), ("distribution", np.float64)]
)
def test_numbers_that_are_none_are_found(logged, column, kind):
    of, audit = logged
    url = of.serving.database
    (row,) = read_rows(url, f"SELECT decision_id, {column} AS it FROM decisions ORDER BY decision_id LIMIT 1")  # noqa: S608
    changed = np.frombuffer(row["it"], dtype=kind).copy()
    changed[0] = np.nan
    change(url, f"UPDATE decisions SET {column} = {bytes_of(url, changed)} WHERE decision_id = '{row['decision_id']}'")  # noqa: S608
    (fault,) = audit().faults
    assert fault.what.startswith(column)


def test_a_reason_that_does_not_follow_is_found(logged):
    of, audit = logged
    url = of.serving.database
    (row,) = read_rows(url, "SELECT decision_id, reasons FROM decisions WHERE request LIKE '%channels%' LIMIT 1")
    reasons = np.frombuffer(row["reasons"], dtype=np.uint8).copy()
    reasons[reasons == Reason.CHANNEL_NOT_ASKED] = Reason.CAP_REACHED
    change(url, f"UPDATE decisions SET reasons = {bytes_of(url, reasons)} WHERE decision_id = '{row['decision_id']}'")  # noqa: S608
    (fault,) = audit().faults
    assert "reasons" in fault.what


def otherwise(of):
    """The configurations after all that may change without another catalogue of actions or other features."""
    moved = {
        **of.channels,
        "email": of.channels["email"].model_copy(update={"placements": ("newsletter", "home_hero")}),
        "site": of.channels["site"].model_copy(update={"placements": ("product_page", "cart")}),
    }
    quiet = QuietHours.model_validate({"name": "q", "channels": ["email", "store"], "from": "00:00", "to": "23:59"})
    return {
        "no contact rules": replace(of, contacts=ContactPolicy()),
        "another time zone": replace(of, contacts=of.contacts.model_copy(update={"time_zone": "Asia/Tokyo"})),
        "quiet hours": replace(of, contacts=of.contacts.model_copy(update={"quiet_hours": (quiet,)})),
        "a required text": with_actions(of, email={"requires": ("first_name",)}),
        "no targeting": with_actions(of, email={"targeting": ""}),
        "more targeting": with_actions(of, store={"targeting": "visits > 2.9"}, site={"targeting": "visits > 2.9"}),
        "other days": with_actions(
            of, email_back={"valid_until": None}, email_inspire={"valid_until": date(2021, 1, 1)}
        ),
        "another status": with_actions(of, site_offer={"status": "live"}, site_inspire={"status": "archived"}),
        "a placement moved": replace(of, channels=moved),
    }


CHANGED_CONTACT_RULES = {"no contact rules", "another time zone", "quiet hours", "a required text"}


def test_decisions_of_another_configuration_are_repeated_as_they_were_made(logged):
    of, audit = logged
    logs = read_rows(of.serving.database, "SELECT reasons FROM decisions")
    seen = {code for row in logs for code in row["reasons"]}
    assert seen >= {
        Reason.NOT_LIVE,
        Reason.NOT_YET_VALID,
        Reason.NO_LONGER_VALID,
        Reason.CHANNEL_NOT_ASKED,
        Reason.NOT_TARGETED,
        Reason.CAP_REACHED,
    }
    for name, changed in otherwise(of).items():
        found = audit(of=changed)
        assert (found.faults, found.verified, found.rebuilt) == ([], len(logs), len(logs)), name
        assert not found.skipped
        # What is never repeated is said, and apart where rules of contacts were others then.
        ((said, count),) = found.taken_as_logged.items()
        assert (count, "other rules" in said) == (len(logs), name in CHANGED_CONTACT_RULES), name


# A reason that is logged, and what is written over it.
FORGED = [
    (Reason.NOT_TARGETED, Reason.CAP_REACHED),
    (Reason.CAP_REACHED, Reason.NOT_TARGETED),
    (Reason.NO_LONGER_VALID, Reason.NOT_LIVE),
    (Reason.NOT_LIVE, Reason.QUIET_HOURS),
    (Reason.CHANNEL_NOT_ASKED, Reason.NOT_TARGETED),
]


@pytest.mark.parametrize(("logged_reason", "forged"), FORGED)
def test_a_forged_reason_is_found_under_any_configuration(logged, logged_reason, forged):
    of, audit = logged
    url = of.serving.database
    rows = read_rows(url, "SELECT decision_id, reasons FROM decisions ORDER BY decision_id")
    row = next(row for row in rows if logged_reason in row["reasons"])
    reasons = np.frombuffer(row["reasons"], dtype=np.uint8).copy()
    reasons[np.flatnonzero(reasons == logged_reason)[0]] = forged
    change(url, f"UPDATE decisions SET reasons = {bytes_of(url, reasons)} WHERE decision_id = '{row['decision_id']}'")  # noqa: S608
    for name, changed in {"the same": of, **otherwise(of)}.items():
        (fault,) = audit(of=changed).faults
        assert (fault.decision_id, fault.what.split(":")[0]) == (row["decision_id"], "reasons"), name


def test_where_there_are_no_contact_rules_none_can_have_forbidden_anything(ask, retailer):
    async def decide(served):
        await served.know("c-1")
        return await served.decide("c-1")

    ask(decide)
    engine, url = open_database(retailer.serving.database), retailer.serving.database
    policy = random_policy(retailer)
    found = audit_decisions(engine, retailer, policy_of=lambda _: policy)
    assert (found.faults, found.verified, found.rebuilt) == ([], 1, 1)
    assert not found.taken_as_logged
    (row,) = read_rows(url, "SELECT reasons FROM decisions")
    reasons = np.frombuffer(row["reasons"], dtype=np.uint8).copy()
    reasons[reasons == Reason.NO_CONSENT] = Reason.QUIET_HOURS
    change(url, f"UPDATE decisions SET reasons = {bytes_of(url, reasons)}")  # noqa: S608
    (fault,) = audit_decisions(engine, retailer, policy_of=lambda _: policy).faults
    engine.dispose()
    assert "reasons" in fault.what


def test_events_that_are_gone_are_found(logged):
    of, audit = logged
    url = of.serving.database
    decided = len(read_rows(url, "SELECT 1 FROM decisions WHERE customer_id = 'c-3'"))
    change(url, "DELETE FROM events WHERE customer_id = 'c-3'")
    assert audit().faulty == decided > 0


def test_profiles_of_another_configuration_are_no_fault(logged):
    of, audit = logged
    profiles = of.profiles.model_copy(update={"want_expires": 1.0})
    found = audit(of=replace(of, profiles=profiles))
    assert (found.faults, found.rebuilt) == ([], 0)
    assert found.verified == found.decisions
    assert list(found.skipped.values()) == [found.decisions]


def test_a_contact_that_left_the_ledger_is_found(logged):
    of, audit = logged
    url = of.serving.database
    gone = read_rows(url, "SELECT decision_id FROM contacts LIMIT 1")[0]["decision_id"]
    change(url, f"DELETE FROM contacts WHERE decision_id = '{gone}'")  # noqa: S608
    (fault,) = audit().faults
    assert fault.decision_id == gone
    assert "ledger" in fault.what


def test_what_cannot_be_repeated_is_counted_and_is_no_fault(logged):
    of, audit = logged
    url = of.serving.database
    rows = read_rows(url, "SELECT policy_version, group_name FROM decisions")
    by_first = sum(row["policy_version"] == "1" for row in rows)
    found = audit(policy_of=lambda version: None if version == "1" else learned_again(version))
    assert found.skipped == {"scores not repeated: policy 1 is not in the registry": by_first}
    assert (found.faults, found.verified) == ([], len(rows) - by_first)
    groups = of.serving.groups.model_copy(update={"shares": {"policy": 1.0}, "business_rules": None})
    found = audit(of=replace(of, serving=of.serving.model_copy(update={"groups": groups})))
    assert sum(found.skipped.values()) == sum(row["group_name"] == "business_rules" for row in rows) > 0
    assert found.faults == []


def learned_again(version):
    from orchestrator.load import load_retailer
    from tests.orchestrator.conftest import ROOT

    retailer = load_retailer(ROOT / "configs" / "retail", environment={})
    return learned(DecisionCore(retailer, ProfileSchema.from_retailer(retailer)), int(version))
