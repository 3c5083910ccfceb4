"""/metrics counts what happened, and names nobody."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.experiments import lift_watcher
from tests.orchestrator.serving.locks import locked


async def numbers(served):
    """Samples by name and labels."""
    answer = await served.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_what_was_decided_is_counted_as_logged(ask):
    async def test(served):
        customers = [f"c-{i}" for i in range(6)]
        await served.know(*customers)
        made = await asyncio.gather(*(served.decide(c) for c in customers for _ in range(3)))
        several = await served.decide("c-1", placement="home_hero", slots=2)
        asked = [await served.client.get(f"/v1/decisions/{m['decision_id']}") for m in (*made, several)]
        return await numbers(served), made, several, [answer.json() for answer in asked]

    found, made, several, records = ask(test)
    # A `hold` drawn first is the decision, and no result.
    results = [slot["action"]["id"] for slot in several["slots"]] or ["hold"]
    actions = Counter([m["action"]["id"] for m in made] + results)
    told = {key[1]: n for key, n in found.items() if key[0] == "journey_actions_total" and n}
    assert told == actions
    assert found["journey_decisions_total", "policy"] == len(records)
    assert found[("journey_holds_total",)] == sum(r["action"]["id"] == "hold" for r in (*made, several))
    reasons = Counter(c["reason"] for record in records for c in record["actions"] if c["reason"])
    assert {k[1]: n for k, n in found.items() if k[0] == "journey_ineligible_total" and n} == reasons
    eligible = [sum(c["reason"] is None for c in record["actions"]) for record in records]
    assert found[("journey_eligible_actions_sum",)] == sum(eligible)
    assert found[("journey_eligible_actions_count",)] == len(eligible)
    for bound in range(max(eligible) + 1):
        assert found["journey_eligible_actions_bucket", f"{bound}.0"] == sum(e <= bound for e in eligible)


def test_facts_repeats_refusals_and_requests_are_counted(ask):
    async def test(served):
        await served.know("c-1", "c-2")
        await served.know("c-1")  # known already
        for _ in range(2):
            answer = await served.client.post(
                "/v1/decisions", json={"customer_id": "c-1"}, headers={"Idempotency-Key": "k"}
            )
        outcome = {"outcome_id": "o", "decision_id": answer.json()["decision_id"], "type": "click"}
        await served.client.post("/v1/outcomes", json=outcome)
        await served.client.post("/v1/decisions", json={"customer_id": "nobody"})
        await served.client.post("/v1/decisions/batch", content=b'{"customer_id": "nobody"}\n{}\n', headers=NDJSON)
        await served.client.get("/v1/decisions/some-decision")
        await served.client.get("/nowhere")
        await served.client.request("BREW", "/v1/events")
        return await numbers(served)

    found = ask(test)
    assert found["journey_facts_total", "accepted", "event"] == 2
    assert found["journey_facts_total", "duplicate", "event"] == 1
    assert found["journey_facts_total", "accepted", "outcome"] == 1
    assert found[("journey_decisions_repeated_total",)] == 1
    assert found["journey_decisions_total", "policy"] == 1
    assert found["journey_refusals_total", "unknown-customer"] == 2
    assert found["journey_refusals_total", "invalid-request"] == 1
    assert found["journey_request_seconds_count", *sorted(("/v1/decisions", "POST", "200"))] == 2
    assert found["journey_request_seconds_count", *sorted(("/v1/decisions", "POST", "404"))] == 1
    assert found["journey_request_seconds_count", *sorted(("/v1/decisions/{decision_id}", "GET", "404"))] == 1
    assert found["journey_request_seconds_count", *sorted(("", "GET", "404"))] == 1
    # However a method is called, labels stay few.
    assert [key for key in found if "BREW" in key] == []
    for stage in ("waiting", "reading", "recording", "deciding", "writing", "committing"):
        assert found["journey_stage_seconds_count", stage] > 0
        assert found["journey_stage_seconds_bucket", *sorted(("+Inf", stage))] > 0
    assert found[("journey_queue_requests_limit",)] == 4096
    assert found["journey_policy_info", "1", "random"] == 1
    assert found[("journey_stopping",)] == 0


def test_messages_kept_raw_are_counted_once_by_their_source(ask):
    async def test(served):
        before = await numbers(served)
        odd = [{"type": "track", "messageId": f"m-{i}", "userId": "c-1", "event": "Odd"} for i in range(3)]
        understood = {"type": "page", "messageId": "p-1", "userId": "c-1"}
        for batch in ([*odd, odd[0], understood], odd):
            await served.client.post("/v1/batch", json={"batch": batch})
        return before, await numbers(served)

    before, after = ask(test)
    # Told before there is one, or the first one would be no change.
    assert before["journey_raw_messages_total", "segment"] == 0
    assert after["journey_raw_messages_total", "segment"] == 3
    assert after["journey_facts_total", "accepted", "event"] == 1


NDJSON = {"content-type": "application/x-ndjson"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_ages_are_told_by_the_given_clock_and_say_when_the_registry_is_out_of_reach(serving):
    now = [1_000_000.0]

    async def test():
        async with serving(clock=lambda: now[0]) as served:
            now[0] += 100
            while (fresh := await numbers(served))[("journey_registry_look_age_seconds",)] > 0:
                await asyncio.sleep(0.005)
            served.champion.current = OSError("no registry")
            await asyncio.sleep(0.05)
            now[0] += 50
            await asyncio.sleep(0.05)
            return fresh, await numbers(served)

    fresh, later = asyncio.run(test())
    assert fresh[("journey_policy_age_seconds",)] == 100
    assert later[("journey_policy_age_seconds",)] == 150
    assert later[("journey_registry_look_age_seconds",)] == 50


def test_what_groups_are_worth_is_measured_in_the_background(serving, retailer, monkeypatch):
    monkeypatch.setattr(lift_watcher, "_POLITE", 0)  # behind other tests it would wait for minutes
    groups = retailer.serving.groups.model_copy(update={"shares": {"policy": 0.5, "control": 0.5}})
    operations = retailer.serving.operations.model_copy(update={"lift_minutes": 0.002, "lift_days": 1e-9})
    serving_settings = retailer.serving.model_copy(update={"groups": groups, "operations": operations})

    async def test():
        async with serving(replace(retailer, serving=serving_settings)) as served:
            customers = [f"c-{i}" for i in range(400)]
            await served.know(*customers)
            lines = "".join(json.dumps({"customer_id": c}) + "\n" for c in customers)
            await served.client.post("/v1/decisions/batch", content=lines, headers=NDJSON)
            deadline = time.monotonic() + 90
            while True:
                found = await numbers(served)
                sizes = {k[1]: n for k, n in found.items() if k[0] == "journey_lift_customers"}
                if sum(sizes.values()) == len(customers):
                    return found, sizes, Counter(row["group_name"] for row in served.rows("decisions"))
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

    found, sizes, logged = asyncio.run(test())
    assert sizes == logged
    bounds = [
        found["journey_lift_money_per_customer", *sorted(("policy", "control", bound))]
        for bound in ("lower", "value", "upper")
    ]
    assert bounds == sorted(bounds)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_trouble_with_the_database_is_counted_and_undone_work_is_not(serving, retailer):
    operations = retailer.serving.operations.model_copy(update={"request_timeout_seconds": 0.2})
    of = replace(retailer, serving=retailer.serving.model_copy(update={"operations": operations}))

    async def test():
        async with serving(of) as served:
            await served.know("c-1")
            with locked(of):
                answer = await served.client.post("/v1/decisions", json={"customer_id": "c-1"})
            await served.decide("c-1")
            return answer.status_code, await numbers(served)

    status, found = asyncio.run(test())
    assert status == 503
    assert found["journey_refusals_total", "waited-too-long"] == 1
    assert found["journey_decisions_total", "policy"] == 1


def test_two_applications_count_for_themselves(serving, retailer, tmp_path):
    other = retailer.serving.model_copy(update={"database": f"sqlite:///{tmp_path / 'other.db'}"})

    async def test():
        async with serving() as one, serving(replace(retailer, serving=other)) as two:
            await one.know("c-1")
            await one.decide("c-1")
            return await numbers(one), await numbers(two)

    one, two = asyncio.run(test())
    assert one["journey_decisions_total", "policy"] == 1
    assert two["journey_decisions_total", "policy"] == 0
