"""POST /v1/decisions/batch."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from http.client import HTTPConnection

import pytest

from orchestrator.api.routes.batch import LINES, LONGEST_LINE
from orchestrator.config import Cap, ContactPolicy

NDJSON = {"Content-Type": "application/x-ndjson"}


async def batch(served, lines, *, headers=None, query=""):
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    answer = await served.client.post(
        f"/v1/decisions/batch{query}", content=body.encode(), headers={**NDJSON, **(headers or {})}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_line_gets_a_logged_decision_or_its_own_refusal(ask):
    async def test(served):
        await served.know("c-1", "c-2")
        lines = [
            {"customer_id": "c-1"},
            {"customer_id": "nobody"},
            "",
            "{not json",
            {"customer_id": "c-2", "placement": "home_hero", "slots": 2},
            {"customer_id": "c-2", "channels": ["fax"]},
            {"customer_id": "c-2", "colour": "grey"},
            json.dumps({"customer_id": "c-1", "request": "x" * LONGEST_LINE}),
            {"customer_id": "c-2"},
        ]
        found = await batch(served, lines)
        assert [one["line"] for one in found] == [1, 2, 4, 5, 6, 7, 8, 9]
        of = {one["line"]: one for one in found}
        assert [(n, one["problem"]["status"]) for n, one in of.items() if "problem" in one] == [
            (2, 404),
            (4, 422),
            (6, 422),
            (7, 422),
            (8, 413),
        ]
        # Neither is a matter of too many requests.
        for n in (4, 8):
            assert "one JSON object per line" in of[n]["problem"]["fix"]
        assert "line is longer than 65,536 bytes" in of[8]["problem"]["detail"]
        assert of[6]["problem"]["errors"][0]["field"] == "channels[0]"
        assert of[7]["problem"]["errors"][0]["field"] == "colour"
        logged = {row["decision_id"]: row for row in served.rows("decisions")}
        made = [one for one in found if "decision_id" in one]
        assert [one["customer_id"] for one in made] == ["c-1", "c-2", "c-2"]
        for one in made:
            row = logged[one["decision_id"]]
            assert row["customer_id"] == one["customer_id"]
            assert row["propensity"] == one["propensity"]
            assert "candidates" not in one
        assert of[5]["joint_propensity"] is not None
        assert len(logged) == 3

    ask(test)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_documented_body_is_decided_and_without_its_line_breaks_the_mistake_is_named(ask):
    async def test(served):
        await served.know("c-1042", "c-1043")
        document = (await served.client.get("/openapi.json")).json()
        body = document["paths"]["/v1/decisions/batch"]["post"]["requestBody"]["content"][NDJSON["Content-Type"]]
        found = await batch(served, body["example"].splitlines())
        assert [one["customer_id"] for one in found] == ["c-1042", "c-1043"]
        # As `curl -d @FILE` sends it.
        (refused,) = await batch(served, ["".join(body["example"].splitlines())])
        assert refused["problem"]["status"] == 422
        assert "--data-binary @FILE" in refused["problem"]["errors"][0]["fix"]

    ask(test)


def test_candidates_come_where_asked_for(ask):
    async def test(served):
        await served.know("c-1")
        (one,) = await batch(served, [{"customer_id": "c-1"}], query="?candidates=true")
        assert len(one["candidates"]) == 20
        assert one["action"]["id"] in {c["id"] for c in one["candidates"]}

    ask(test)


def test_more_lines_than_one_transaction_has_keep_their_order(ask):
    async def test(served):
        customers = [f"c-{i}" for i in range(40)]
        await served.know(*customers)
        asked = [{"customer_id": customers[i % 40], "context": {"hour": i % 24}} for i in range(2 * LINES + 7)]
        found = await batch(served, asked)
        assert [one["line"] for one in found] == list(range(1, len(asked) + 1))
        assert [one["customer_id"] for one in found] == [a["customer_id"] for a in asked]
        requests = {row["decision_id"]: json.loads(row["request"]) for row in served.rows("decisions")}
        assert [requests[one["decision_id"]]["context"]["hour"] for one in found] == [
            a["context"]["hour"] for a in asked
        ]

    ask(test)


def test_a_batch_sent_again_under_its_key_gets_the_first_answers(ask):
    async def test(served):
        await served.know("c-1", "c-2")
        lines = [{"customer_id": "c-1"}, {"customer_id": "c-2"}]
        key = {"Idempotency-Key": "night-1"}
        first = await batch(served, lines, headers=key)
        # As after a broken connection: the whole file again, which has grown meanwhile.
        again = await batch(served, [*lines, {"customer_id": "c-1"}], headers=key)
        assert [one["decision_id"] for one in again[:2]] == [one["decision_id"] for one in first]
        assert len(served.rows("decisions")) == 3
        assert "candidates" not in again[0]
        changed = await batch(served, [{"customer_id": "c-2"}, lines[1]], headers=key)
        assert changed[0]["problem"]["status"] == 409
        assert changed[1]["decision_id"] == first[1]["decision_id"]

    ask(test)


def test_caps_hold_within_a_batch_and_across_it_and_single_requests(serving, retailer):
    cap = Cap(name="two", channels=("store",), limit=2, window="1 d")
    capped = replace(retailer, contacts=ContactPolicy(caps=(cap,)))

    async def live():
        async with serving(capped) as served:
            await served.know("c-1")
            lines = [{"customer_id": "c-1", "channels": ["store"]}] * 100
            found, *single = await asyncio.gather(
                batch(served, lines), *(served.decide("c-1", channels=["store"]) for _ in range(50))
            )
            assert sum(one["action"]["id"] != "hold" for one in [*found, *single]) == 2

    asyncio.run(live())


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "application/json"}, 415), ({**NDJSON, "Idempotency-Key": "k" * 201}, 422)],
)
def test_a_batch_that_cannot_be_read_at_all_is_refused_whole(ask, headers, status):
    async def test(served):
        answer = await served.client.post("/v1/decisions/batch", content=b'{"customer_id": "c"}', headers=headers)
        assert answer.status_code == status
        assert answer.json()["status"] == status

    ask(test)


def test_a_client_that_sends_everything_before_it_reads_is_served_and_memory_stays_flat(server):
    customers, count = [f"c-{i}" for i in range(50)], 40_000

    def resident(pid):
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    with server() as running:
        connection = HTTPConnection("127.0.0.1", running.port, timeout=120)
        events = [{"event_id": f"v-{c}", "customer_id": c, "type": "visit"} for c in customers]
        connection.request("POST", "/v1/events", json.dumps(events), {"Content-Type": "application/json"})
        assert connection.getresponse().read()

        def send(lines):
            body = b"".join(json.dumps({"customer_id": customers[i % 50]}).encode() + b"\n" for i in range(lines))
            connection.request("POST", "/v1/decisions/batch", body, NDJSON)
            answer = connection.getresponse()
            assert answer.status == 200
            found = [json.loads(line) for line in answer]
            assert [one["line"] for one in found] == list(range(1, lines + 1))
            assert all("decision_id" in one for one in found)

        send(2000)
        before = resident(running.process.pid)
        send(count)
        # kB; the answers alone have 15 MB, and rows and requests more.
        assert resident(running.process.pid) - before < 12_000
        connection.close()
