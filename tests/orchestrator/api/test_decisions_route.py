"""POST /v1/decisions and GET /v1/decisions/{id}."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from pydantic import TypeAdapter

from orchestrator.api.models.decisions import DecisionRecord, DecisionResponse


def test_a_known_customer_gets_an_eligible_action_with_its_logged_probability(ask):
    async def test(served):
        await served.know("c-1")
        answer = await served.client.post("/v1/decisions", json={"customer_id": "c-1", "channels": ["site"]})
        made = TypeAdapter(DecisionResponse).validate_json(answer.content)
        assert answer.status_code == 200
        assert made.policy_version == "1"
        assert made.action.channel in {None, "site"}
        assert {c.channel for c in made.candidates} <= {None, "site"}
        assert made.action.id in {c.id for c in made.candidates}
        # Random over hold and the site's actions.
        site = [a for a in served.retailer.catalogue.actions if a.channel in {"", "site"}]
        assert made.propensity == pytest.approx(1 / len(site))
        row = served.rows("decisions")[0]
        assert row["decision_id"] == made.decision_id
        assert row["propensity"] == made.propensity == np.frombuffer(row["distribution"])[row["action"]]

    ask(test)


def test_placement_allows_only_its_channel(ask):
    async def test(served):
        await served.know("c-1")
        made = await served.decide("c-1", placement="home_hero", context={"device": "mobile", "hour": 0})
        assert {c["channel"] for c in made["candidates"]} == {None, "site"}

    ask(test)


def test_candidates_are_ranked_by_score_and_at_most_twenty(ask):
    async def test(served):
        class Ranked:
            name, reward_name = "ranked", "visit"

            def __init__(self, policy):
                self.actions, self.columns, self.distribution = policy.actions, policy.columns, policy.distribution

            def scores(self, features):
                return np.tile(np.arange(len(self.actions), dtype=np.float32), (len(features), 1))

        ranked = Ranked(served.champion.load(None))
        served.champion.load = lambda _: ranked
        served.champion.current = ("ranked", served.champion.current[1])
        await served.know("c-1")
        made = await served.decided_by("ranked")
        scores = [c["score"] for c in made["candidates"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 20
        # The best of all the eligible, not of the first twenty.
        record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
        assert scores[0] == max(a["score"] for a in record["actions"] if a["eligible"])

    ask(test)


def test_the_log_repeats_the_decision_and_says_why_not(ask):
    async def test(served):
        await served.know("c-1")
        made = await served.decide("c-1", channels=["site"], context={"category": "pantry"})
        answer = await served.client.get(f"/v1/decisions/{made['decision_id']}")
        record = TypeAdapter(DecisionRecord).validate_json(answer.content)
        again = answer.json()
        assert {name: again[name] for name in made} == made
        assert record.customer_id == "c-1"
        assert record.request == {"channels": ["site"], "context": {"category": "pantry"}}
        assert record.features["page=pantry"] == 1
        assert record.features["known.visit"] == 1
        reasons = {a.id: a.reason for a in record.actions}
        assert reasons["email.inspire.pantry"] == "channel_not_asked"
        assert reasons["hold"] is None
        assert sum(a.probability for a in record.actions) == pytest.approx(1)
        assert record.outcomes == []

    ask(test)


def test_an_unknown_customer_is_not_found_and_leaves_nothing(ask):
    async def test(served):
        answer = await served.client.post("/v1/decisions", json={"customer_id": "nobody"})
        assert answer.status_code == 404
        assert "POST /v1/events" in answer.json()["fix"]
        assert served.rows("decisions") == served.rows("customers") == []

    ask(test)


def test_an_id_no_database_could_hold_is_refused(ask):
    async def test(served):
        answer = await served.client.get("/v1/decisions/a%00b")
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"

    ask(test)


def test_an_unknown_decision_is_not_found(ask):
    async def test(served):
        answer = await served.client.get("/v1/decisions/01936f3e-9d3a-7c41-a6a4-0f2a6be3c1d9")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:journey:problem:unknown-decision")

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # refused before any database sees it
@pytest.mark.parametrize(
    ("change", "field", "hint"),
    [
        ({"customer_id": None}, "customer_id", "JSON string"),
        ({"customer_id": ""}, "customer_id", "longer"),
        ({"customer_id": "x" * 201}, "customer_id", "shorter"),
        ({"customer_id": "a\x00b"}, "customer_id", "printable"),
        ({"customer_id": 7}, "customer_id", "JSON string"),
        ({"channels": ["emial"]}, "channels[0]", "did you mean 'email'"),
        ({"channels": []}, "channels", "more items"),
        ({"channels": "email"}, "channels", "JSON list"),
        ({"channels": ["site", "site"]}, "body", "each once"),
        ({"placement": "home_heroo"}, "placement", "did you mean 'home_hero'"),
        ({"placement": "home_hero", "channels": ["site"]}, "body", "one of them"),
        ({"context": {"device": "mobil"}}, "context.device", "did you mean 'mobile'"),
        ({"context": {"category": "pantri"}}, "context.category", "did you mean 'pantry'"),
        ({"context": {"hour": 24}}, "context.hour", "at most 23"),
        ({"context": {"hour": "12"}}, "context.hour", "whole number"),
        ({"context": {"hour": 12.5}}, "context.hour", "whole number"),
        ({"context": {"hour": True}}, "context.hour", "whole number"),
        ({"context": []}, "context", "JSON object"),
        ({"chanels": ["site"]}, "chanels", "correct its name"),
    ],
)
def test_a_wrong_request_names_the_field_and_the_fix_and_leaves_nothing(ask, change, field, hint):
    async def test(served):
        await served.know("c-1")
        answer = await served.client.post("/v1/decisions", json={"customer_id": "c-1", **change})
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert [e["field"] for e in problem["errors"]] == [field]
        assert hint, answer.json()
        assert hint in problem["fix"]
        assert served.rows("decisions") == []

    ask(test)


def test_a_repeated_key_gets_the_first_answer_word_for_word(ask):
    async def test(served):
        await served.know("c-1")
        headers = {"Idempotency-Key": "k"}
        first = await served.client.post("/v1/decisions", json={"customer_id": "c-1", "context": {}}, headers=headers)
        served.champion.current = ("2", served.champion.current[1])
        await served.decided_by("2")
        before = len(served.rows("decisions"))
        repeat = await served.client.post("/v1/decisions", json={"context": {}, "customer_id": "c-1"}, headers=headers)
        assert repeat.content == first.content
        assert len(served.rows("decisions")) == before

    ask(test)


def test_a_key_used_for_another_request_is_a_conflict(ask):
    async def test(served):
        await served.know("c-1", "c-2")
        headers = {"Idempotency-Key": "k"}
        await served.client.post("/v1/decisions", json={"customer_id": "c-1"}, headers=headers)
        for other in ({"customer_id": "c-2"}, {"customer_id": "c-1", "channels": ["site"]}):
            answer = await served.client.post("/v1/decisions", json=other, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:journey:problem:idempotency-key-reused")
        assert len(served.rows("decisions")) == 1

    ask(test)


def test_a_refused_request_does_not_use_up_its_key(ask):
    async def test(served):
        headers = {"Idempotency-Key": "k"}
        refused = await served.client.post("/v1/decisions", json={"customer_id": "c-1"}, headers=headers)
        await served.know("c-1")
        answer = await served.client.post("/v1/decisions", json={"customer_id": "c-1"}, headers=headers)
        assert (refused.status_code, answer.status_code) == (404, 200)

    ask(test)


def test_concurrent_repeats_of_a_key_are_one_decision(ask):
    async def test(served):
        await served.know("c-1", "c-2")
        bodies = [{"customer_id": "c-1"}] * 20 + [{"customer_id": "c-2"}] * 5
        answers = await asyncio.gather(
            *(served.client.post("/v1/decisions", json=b, headers={"Idempotency-Key": "k"}) for b in bodies)
        )
        assert {a.status_code for a in answers[:20]} == {200}
        assert len({a.content for a in answers[:20]}) == 1
        assert {a.status_code for a in answers[20:]} == {409}
        assert len(served.rows("decisions")) == 1

    ask(test)


def test_without_a_key_every_request_is_a_decision_of_its_own(ask):
    async def test(served):
        await served.know(*(f"c-{i}" for i in range(10)))
        made = await asyncio.gather(*(served.decide(f"c-{i % 10}") for i in range(100)))
        assert len({m["decision_id"] for m in made}) == 100
        logged = {row["decision_id"]: row for row in served.rows("decisions")}
        for i, one in enumerate(made):
            row = logged[one["decision_id"]]
            assert row["customer_id"] == f"c-{i % 10}"
            assert served.retailer.catalogue.ids[row["action"]] == one["action"]["id"]
            assert json.loads(row["request"]) == {"context": {}}

    ask(test)


def test_no_policy_yet_says_what_to_run(ask, champion):
    champion.current = None

    async def test(served):
        await served.know("c-1")
        answer = await served.client.post("/v1/decisions", json={"customer_id": "c-1"})
        assert answer.status_code == 503
        assert "journey train" in answer.json()["fix"]
        assert answer.headers["retry-after"]
        assert served.rows("decisions") == []

    ask(test)
