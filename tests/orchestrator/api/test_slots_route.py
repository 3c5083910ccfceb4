"""Several results for a placement."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.audit.integrity import check_database
from orchestrator.config import Cap, ContactPolicy
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database

PLACE = "home_hero"


def test_results_are_different_actions_on_different_subjects_with_a_joint_propensity(ask):
    async def test(served):
        await served.know("c-1")
        subject = {a.id: a.subject for a in served.retailer.catalogue.actions}
        for _ in range(30):
            made = await served.decide("c-1", placement=PLACE, slots=4)
            if made["action"]["id"] == "hold":
                assert made["slots"] == []
                assert made["joint_propensity"] == made["propensity"]
                continue
            ids = [slot["action"]["id"] for slot in made["slots"]]
            assert ids[0] == made["action"]["id"]
            assert made["slots"][0]["propensity"] == made["propensity"]
            assert len(set(ids)) == len(ids) <= 4
            named = [subject[i] for i in ids if subject[i] != "any"]
            assert len(set(named)) == len(named)
            drawn = np.prod([slot["propensity"] for slot in made["slots"]])
            assert made["joint_propensity"] <= drawn * (1 + 1e-12)
            if len(ids) == 4:
                assert made["joint_propensity"] == pytest.approx(drawn)
            record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
            assert record["slots"] == made["slots"]
            assert record["joint_propensity"] == made["joint_propensity"]
            assert record["request"] == {"placement": PLACE, "slots": 4, "same_subject": False, "context": {}}

    ask(test)


def test_two_results_on_one_subject_only_where_asked_for(ask):
    async def test(served):
        await served.know("c-1")

        async def repeats(**more):
            found = 0
            for _ in range(25):
                made = await served.decide("c-1", placement=PLACE, slots=20, **more)
                named = [s["action"]["subject"] for s in made["slots"] if s["action"]["subject"] != "any"]
                found += len(set(named)) < len(named)
            return found

        assert await repeats() == 0
        assert await repeats(same_subject=True) > 0

    ask(test)


def test_a_request_for_one_result_says_nothing_of_slots(ask):
    async def test(served):
        await served.know("c-1")
        made = await served.decide("c-1", placement=PLACE)
        assert "slots" not in made
        assert "joint_propensity" not in made

    ask(test)


def test_results_without_a_placement_are_refused(ask):
    async def test(served):
        await served.know("c-1")
        answer = await served.client.post("/v1/decisions", json={"customer_id": "c-1", "slots": 2})
        assert answer.status_code == 422
        assert "placement" in answer.text

    ask(test)


def test_of_what_a_cap_counts_a_selection_has_one_at_most(serving, retailer):
    cap = Cap(name="site_offers", actions=("site.offer.*", "site.inspire.*"), limit=3, window="7 d")
    capped = replace(retailer, contacts=ContactPolicy(caps=(cap,)))

    async def live():
        async with serving(capped) as served:
            await served.know("c-1")
            counted = 0
            for _ in range(20):
                made = await served.decide("c-1", placement=PLACE, slots=20)
                ids = [s["action"]["id"] for s in made["slots"]]
                of_cap = [i for i in ids if i.startswith(("site.offer.", "site.inspire."))]
                assert len(of_cap) <= 1
                counted += len(of_cap)
            rows = served.rows("contacts")
            assert counted == len(rows) == 3

    asyncio.run(live())


def test_reports_about_other_results_leave_the_contact_in_its_place(serving, retailer):
    cap = Cap(name="offers", actions=("site.offer.*",), limit=1, window="7 d")
    capped = replace(retailer, contacts=ContactPolicy(caps=(cap,)))

    async def live():
        async with serving(capped) as served:
            await served.know("c-1")
            offers, told = 0, 0
            for turn in range(40):
                made = await served.decide("c-1", placement=PLACE, slots=20)
                ids = [slot["action"]["id"] for slot in made["slots"]]
                offers += sum(i.startswith("site.offer.") for i in ids)
                if ids and not ids[0].startswith("site.offer."):
                    told += 1
                    failed = {
                        "outcome_id": f"f-{turn}",
                        "decision_id": made["decision_id"],
                        "type": "failed",
                        "slot": 1,
                    }
                    assert (await served.client.post("/v1/outcomes", json=failed)).status_code == 200
            assert told > 0
            assert offers == 1
            (contact,) = served.rows("contacts")
            assert contact["cancelled_at"] is None
            failed = {
                "outcome_id": "f",
                "decision_id": contact["decision_id"],
                "type": "failed",
                "slot": contact["slot"],
            }
            assert (await served.client.post("/v1/outcomes", json=failed)).status_code == 200
            (contact,) = served.rows("contacts")
            assert contact["cancelled_at"] is not None

    asyncio.run(live())
    engine = open_database(retailer.serving.database)
    assert check_database(engine, ProfileSchema.from_retailer(retailer), sample=10).faults == ()
    engine.dispose()


def test_an_outcome_of_a_result_that_is_not_there_is_refused(ask):
    async def test(served):
        await served.know("c-1")
        made = await served.decide("c-1")
        outcome = {"outcome_id": "o", "decision_id": made["decision_id"], "type": "click", "slot": 2}
        answer = await served.client.post("/v1/outcomes", json=outcome)
        assert answer.status_code == 422
        assert "slot = 2: the decision has 1" in answer.text
        assert (await served.client.post("/v1/outcomes", json={**outcome, "slot": 1})).status_code == 200

    ask(test)
