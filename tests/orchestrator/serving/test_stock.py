"""What is out of stock is not spoken of: by whichever service, as soon as one was told, and the log proves it."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pytest

from orchestrator.audit.auditing import audit_decisions
from orchestrator.audit.integrity import check_database
from orchestrator.config import ContactPolicy
from orchestrator.decision.core import DecisionCore
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.log.facts import serialise
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import change, read_rows
from tests.held_customers import fill
from tests.orchestrator.conftest import random_policy
from tests.orchestrator.talkative import Talkative

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


class Clock:
    """Every reading is a little later."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        self.now += 0.002
        return self.now


@pytest.fixture
def grateful(retailer):
    """The retailer with thanks and help about home among its actions, as well as everything that sells home."""
    changed = {"email.inspire.home": "thank", "site.inspire.home": "service"}
    actions = tuple(
        replace(action, intent=changed[action.id]) if action.id in changed else action
        for action in retailer.catalogue.actions
    )
    return replace(retailer, catalogue=replace(retailer.catalogue, actions=actions))


@pytest.fixture
def live(serving, retailer, champion):
    """`live(test)` runs `test(served, clock)`, by a policy that says whatever it may, and checks the log afterwards."""

    def run(test, *, of=retailer, services=1):
        clock = Clock()
        core = DecisionCore(of, ProfileSchema.from_retailer(of))
        policy = Talkative(core.actions, core.columns)
        champion.load = lambda _: policy

        async def inside():
            async with serving(of, clock=clock) as one, serving(of, clock=clock) as two:
                subscribed = {"event_id": "sub", "customer_id": "c-1", "type": "subscribe", "channel": "email"}
                await one.know("c-1", "c-2")
                assert (await one.client.post("/v1/events", json=subscribed)).status_code == 200
                await (test(one, clock) if services == 1 else test(one, two))

        asyncio.run(inside())
        engine = open_database(of.serving.database)
        assert check_database(engine, ProfileSchema.from_retailer(of), sample=1000).faults == ()
        found = audit_decisions(engine, of, policy_of={"1": policy}.get)
        engine.dispose()
        assert found.faults == []
        assert found.decisions == found.verified == found.rebuilt > 0

    return run


numbers = count()


async def tell(served, category, in_stock, at=None):
    body = {"stock_id": f"s-{next(numbers)}", "category": category, "in_stock": in_stock}
    if at is not None:
        body["timestamp"] = datetime.fromtimestamp(at, UTC).isoformat()
    answer = await served.client.put("/v1/stock", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 1


async def refused(served, decision_id):
    """The actions that a decision found out of stock."""
    record = (await served.client.get(f"/v1/decisions/{decision_id}")).json()
    return {action["id"] for action in record["actions"] if action["reason"] == "out_of_stock"}


async def decided(served, customer="c-1", **more):
    made = await served.decide(customer, **{"channels": ["email", "site", "store"], **more})
    found = await refused(served, made["decision_id"])
    assert made["action"]["id"] not in found
    return found


def selling(retailer, *categories):
    """The actions about categories, through channels every one of which may be used, that need them in stock."""
    return {
        action.id
        for action in retailer.catalogue.actions
        if action.subject in categories and action.intent not in ("service", "thank") and action.status == "live"
    }


def test_a_category_out_of_stock_is_spoken_of_again_when_it_is_back(live, retailer):
    async def test(served, clock):
        assert await decided(served) == set()
        await tell(served, "home", False)
        assert await decided(served) == selling(retailer, "home")
        await tell(served, "beauty", False)
        assert await decided(served) == selling(retailer, "home", "beauty")
        await tell(served, "home", True)
        assert await decided(served) == selling(retailer, "beauty")
        await tell(served, "beauty", True)
        assert await decided(served) == set()

    live(test)


def test_help_and_thanks_are_said_all_the_same(live, grateful):
    async def test(served, clock):
        await tell(served, "home", False)
        found = await decided(served)
        assert found == selling(grateful, "home")
        assert found
        assert not found & {"email.inspire.home", "site.inspire.home"}
        made = await served.decide("c-1", channels=["email"])
        record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
        assert {a["id"]: a["eligible"] for a in record["actions"]}["email.inspire.home"]

    live(test, of=grateful)


def test_an_older_fact_that_comes_late_changes_nothing(live, retailer):
    async def test(served, clock):
        await tell(served, "home", False, at=NOON - HOUR)
        await tell(served, "home", True, at=NOON - 2 * HOUR)
        assert await decided(served) == selling(retailer, "home")
        await tell(served, "home", True, at=NOON - HOUR / 2)
        await tell(served, "home", False, at=NOON - 3 * HOUR)
        assert await decided(served) == set()

    live(test)


def test_what_was_decided_before_stays_as_it_was_under_its_key(live, retailer):
    async def test(served, clock):
        headers = {"Idempotency-Key": "k"}
        first = await served.client.post("/v1/decisions", json={"customer_id": "c-1"}, headers=headers)
        await tell(served, "home", False)
        again = await served.client.post("/v1/decisions", json={"customer_id": "c-1"}, headers=headers)
        assert again.text == first.text
        assert await refused(served, first.json()["decision_id"]) == set()

    live(test)


def test_a_batch_knows_what_is_out_of_stock(live, retailer):
    async def test(served, clock):
        await tell(served, "home", False)
        lines = b"".join(
            json.dumps({"customer_id": f"c-{1 + i % 2}", "channels": ["site"]}).encode() + b"\n" for i in range(300)
        )
        answer = await served.client.post(
            "/v1/decisions/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}
        )
        made = [json.loads(line) for line in answer.text.splitlines()]
        assert len(made) == 300
        assert "home" not in {one["action"]["subject"] for one in made}
        assert "beauty" in {one["action"]["subject"] for one in made}
        for one in made[::50]:
            found = await refused(served, one["decision_id"])
            assert found == {a for a in selling(retailer, "home") if a.startswith("site.")}

    live(test)


def test_an_explanation_says_that_the_category_must_be_in_stock_and_nothing_else(live, retailer):
    async def explained(served):
        body = {"customer_id": "c-1", "channels": ["email", "site", "store"]}
        answer = await served.client.post("/v1/explain", json=body)
        assert answer.status_code == 200, answer.text
        return {action["id"]: action for action in answer.json()["actions"]}

    async def test(served, clock):
        await tell(served, "home", False)
        found = await explained(served)
        need = {"reason": "out_of_stock", "rule": "stock of home", "change": "the category must be in stock"}
        nothing = {"count": None, "limit": None, "allowed_at": None}
        assert found["site.inspire.home"]["needs"] == [{**need, **nothing}]
        assert found["site.inspire.home"]["reason"] == "out_of_stock"
        assert found["site.inspire.beauty"]["needs"] == []
        assert {a for a, said in found.items() if said["reason"] == "out_of_stock"} == await decided(served)
        await tell(served, "home", True)
        assert (await explained(served))["site.inspire.home"]["needs"] == []

    live(test)


def test_a_caps_reason_comes_after_that_of_stock(live, retailer):
    caps = {"caps": [{"name": "daily", "channels": ["email", "site", "store"], "limit": 1, "window": "1 d"}]}
    of = replace(retailer, contacts=ContactPolicy.model_validate(caps))

    async def test(served, clock):
        assert await decided(served) == set()  # and reaches the cap
        await tell(served, "home", False)
        made = await served.decide("c-1", channels=["site"])
        record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
        reasons = {action["id"]: action["reason"] for action in record["actions"]}
        assert (reasons["site.inspire.home"], reasons["site.inspire.beauty"]) == ("out_of_stock", "cap_reached")

    live(test, of=of)


def test_whichever_service_was_told_both_know_at_once_and_the_audit_repeats_all(live, retailer):
    async def test(one, two):
        draws, both = random.Random(5), (one, two)  # noqa: S311
        for _ in range(25):
            categories = draws.sample(retailer.catalogue.categories, 2)
            now_in_stock = [draws.random() < 0.4 for _ in categories]
            told = [tell(draws.choice(both), c, s) for c, s in zip(categories, now_in_stock, strict=True)]
            # Some are asked beside the facts, and know them or do not; the audit says whether what they did fits.
            beside = [served.decide(f"c-{1 + i % 2}") for i, served in enumerate(both * 3)]
            await asyncio.gather(*told, *beside)
            gone = {
                c["category"] for c in (await one.client.get("/v1/stock")).json()["categories"] if not c["in_stock"]
            }
            assert {c for c, s in zip(categories, now_in_stock, strict=True) if not s} <= gone
            assert gone.isdisjoint(c for c, s in zip(categories, now_in_stock, strict=True) if s)
            for served in both:
                assert await decided(served) == selling(retailer, *gone)

    live(test, services=2)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time anyway
def test_a_fact_is_acknowledged_only_when_no_decision_is_under_way_that_may_not_know_it(live, retailer):
    async def test(served, clock):
        engine = open_database(retailer.serving.database)
        with engine.connect() as elsewhere:
            serialise(elsewhere, customer_ids=["c-77"], keys=[], fact_ids=[])  # as a batch of another server does
            telling = asyncio.create_task(tell(served, "home", False))
            await asyncio.wait({telling}, timeout=0.3)
            assert not telling.done()
            elsewhere.rollback()
            await telling
        engine.dispose()
        assert await decided(served) == selling(retailer, "home")

    live(test)


def test_erasing_a_customer_leaves_stock_alone(live, retailer):
    async def test(served, clock):
        await fill(served.client, "c-9")
        await tell(served, "home", False)
        before = served.rows("stock")
        exported = (await served.client.get("/v1/customers/c-9/export")).text
        assert '"table":"stock"' not in exported
        answer = await served.client.delete("/v1/customers/c-9")
        assert answer.status_code == 200
        assert "stock" not in answer.json()["erased"]
        assert served.rows("stock") == before
        assert await decided(served) == selling(retailer, "home")

    live(test)


def bytes_of(url, array):
    """An array as SQL."""
    digits = array.tobytes().hex()
    return f"X'{digits}'" if url.startswith("sqlite") else f"decode('{digits}', 'hex')"


@pytest.mark.parametrize("until", ["0", "2"])
def test_a_decision_that_says_it_knew_of_other_stock_is_found(live, retailer, until):
    url = retailer.serving.database

    async def test(served, clock):
        await tell(served, "home", False)
        await decided(served)
        await tell(served, "home", True)

    live(test)
    (row,) = read_rows(url, "SELECT decision_id, stock_until FROM decisions")
    assert row["stock_until"] == 1
    change(url, f"UPDATE decisions SET stock_until = {until}")  # noqa: S608
    engine = open_database(url)
    found = audit_decisions(engine, retailer, policy_of=lambda _: None)
    engine.dispose()
    assert [fault.decision_id for fault in found.faults] == [row["decision_id"]]
    assert "in stock" in found.faults[0].what


def test_a_decision_that_spoke_of_what_was_out_of_stock_is_found(live, retailer):
    url = retailer.serving.database

    async def test(served, clock):
        await tell(served, "home", False)
        await decided(served)

    live(test)
    (row,) = read_rows(url, "SELECT decision_id, reasons FROM decisions")
    reasons = np.frombuffer(row["reasons"], dtype=np.uint8).copy()
    assert (reasons == Reason.OUT_OF_STOCK).any()
    reasons[reasons == Reason.OUT_OF_STOCK] = Reason.CAP_REACHED
    change(url, f"UPDATE decisions SET reasons = {bytes_of(url, reasons)}")  # noqa: S608
    engine = open_database(url)
    found = audit_decisions(engine, retailer, policy_of=lambda _: None)
    engine.dispose()
    assert found.faulty == 1
    assert "out of stock" in found.faults[0].what


def test_a_server_that_was_not_told_itself_knows_once_another_one_has_answered(server, retailer):
    def ask(running, method, path, body):
        with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)) as connection:
            connection.request(method, path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
            return json.loads(content)

    with server() as one, server() as two:
        ask(one, "POST", "/v1/events", {"event_id": "e", "customer_id": "c-1", "type": "visit"})
        for turn in range(20):
            in_stock = bool(turn % 2)
            fact = {"stock_id": f"s-{turn}", "category": "home", "in_stock": in_stock}
            ask((one, two)[turn % 3 == 0], "PUT", "/v1/stock", fact)
            for running in (one, two):
                made = ask(running, "POST", "/v1/decisions", {"customer_id": "c-1", "channels": ["site"]})
                spoken_of = {candidate["id"] for candidate in made["candidates"]}
                assert ("site.inspire.home" in spoken_of) == in_stock
    engine = open_database(retailer.serving.database)
    found = audit_decisions(engine, retailer, policy_of={"1": random_policy(retailer)}.get)
    engine.dispose()
    assert (found.faults, found.verified, found.rebuilt) == ([], 40, 40)
