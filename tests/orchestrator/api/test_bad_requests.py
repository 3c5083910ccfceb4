"""Whatever is sent, the answer is a problem document and nothing is half-written."""

from __future__ import annotations

import json

import pytest

# What these tests are about happens before any database sees it, so one kind is enough.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

JSON = {"content-type": "application/json"}


def is_problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    assert body["fix"]
    return body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"not json",
        b'{"customer_id": NaN}',
        b'{"customer_id": "c-1", "context": {"hour": Infinity}}',
        b'{"customer_id": "\xff"}',
        b'{"customer_id": "\\ud800"}',
        b'{"customer_id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/events", "/v1/outcomes"])
def test_what_is_not_json_is_malformed(ask, path, content):
    async def test(served):
        is_problem(await served.client.post(path, content=content, headers=JSON), 400)
        assert served.rows("customers") == served.rows("decisions") == []

    ask(test)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1e300"])
def test_numbers_out_of_range_are_refused(ask, number):
    async def test(served):
        content = b'{"event_id": "e", "customer_id": "c", "type": "purchase", "value": ' + number + b"}"
        body = is_problem(await served.client.post("/v1/events", content=content, headers=JSON), 422)
        assert body["errors"][0]["field"] == "value"
        assert served.rows("events") == []

    ask(test)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": ""},
        {**JSON, "content-encoding": "gzip"},
    ],
)
def test_another_media_type_is_not_supported(ask, headers):
    async def test(served):
        answer = await served.client.post("/v1/decisions", content=b'{"customer_id": "c"}', headers=headers)
        assert "application/json" in is_problem(answer, 415)["fix"] or "uncompressed" in answer.json()["fix"]

    ask(test)


def test_a_path_that_is_not_there(ask):
    async def test(served):
        is_problem(await served.client.get("/v1/decision"), 404)
        is_problem(await served.client.post("/v1/decisions/", json={}), 404)

    ask(test)


def test_a_method_that_a_path_does_not_answer(ask):
    async def test(served):
        answer = await served.client.put("/v1/events", json={})
        assert "POST" in is_problem(answer, 405)["fix"]
        assert answer.headers["allow"] == "POST"

    ask(test)


def test_a_body_over_the_limit_is_refused_however_it_is_sent(ask):
    async def test(served):
        sent = 0

        async def endless():
            nonlocal sent
            while True:
                sent += 65536
                yield b" " * 65536

        is_problem(await served.client.post("/v1/events", content=b" " * 2_000_000, headers=JSON), 413)
        # Chunked, no length given: stops soon after the limit, not at the end (there is none).
        is_problem(await served.client.post("/v1/events", content=endless(), headers=JSON), 413)
        assert sent < 2 * served.retailer.serving.max_body_bytes

    ask(test)


def test_a_body_of_exactly_the_limit_is_read(ask):
    async def test(served):
        body = b'{"event_id": "e", "customer_id": "c", "type": "visit"}'
        padded = body + b" " * (served.retailer.serving.max_body_bytes - len(body))
        assert (await served.client.post("/v1/events", content=padded, headers=JSON)).status_code == 200
        is_problem(await served.client.post("/v1/events", content=padded + b" ", headers=JSON), 413)

    ask(test)


def test_an_idempotency_key_that_is_too_long_names_the_header(ask):
    async def test(served):
        await served.know("c")
        headers = {"Idempotency-Key": "k" * 201}
        body = is_problem(await served.client.post("/v1/decisions", json={"customer_id": "c"}, headers=headers), 422)
        assert body["errors"][0]["field"].lower() == "header idempotency-key"

    ask(test)


def test_a_fault_of_ours_is_a_problem_too_and_hides_its_inside(ask):
    async def test(served):
        def broken(features):
            raise RuntimeError("secret of customer c")

        await served.know("c", "d")
        policy = served.champion.load(None)
        served.app.state.service.policies.replace(
            type("Served", (), {"policy": _Broken(policy, broken), "version": "broken", "since": 0.0})()
        )
        served.champion.current = None
        body = is_problem(await served.client.post("/v1/decisions", json={"customer_id": "c"}), 500)
        assert "secret" not in str(body)
        assert served.rows("decisions") == []
        # The writer lives on.
        assert (await served.client.post("/v1/events", json=[])).status_code == 422
        await served.know("e")

    ask(test)


class _Broken:
    def __init__(self, policy, scores):
        self.actions, self.columns, self.distribution = policy.actions, policy.columns, policy.distribution
        self.scores, self.name, self.reward_name = scores, "broken", "visit"


def test_no_log_line_names_a_customer(ask, capsys):
    async def test(served):
        await served.know("jane-doe")
        await served.decide("jane-doe")
        await served.client.post("/v1/decisions", json={"customer_id": "jane-doe", "channels": ["jane-doe"]})
        await served.client.get("/v1/decisions/jane-doe")
        await served.client.get("/v1/jane-doe")
        await served.client.post("/v1/events", json={"customer_id": "jane-doe", "event_id": 1})

    ask(test)
    logged = capsys.readouterr()
    assert "request refused" in logged.out + logged.err
    assert "jane-doe" not in logged.out + logged.err


def test_the_api_describes_itself_with_examples(ask):
    async def test(served):
        schema = (await served.client.get("/openapi.json")).json()
        for path in ("/v1/decisions", "/v1/events", "/v1/outcomes"):
            responses = schema["paths"][path]["post"]["responses"]
            assert {"200", "400", "413", "415", "422", "503"} <= set(responses)
            assert list(responses["422"]["content"]) == ["application/problem+json"]
        for model in ("DecisionRequest", "DecisionResponse", "EventRequest", "OutcomeRequest", "Problem"):
            assert schema["components"]["schemas"][model]["examples"]

    ask(test)


def test_the_examples_of_the_documentation_work(ask):
    async def test(served):
        models = (await served.client.get("/openapi.json")).json()["components"]["schemas"]
        events = models["EventRequest"]["examples"]
        assert (await served.client.post("/v1/events", json=events)).status_code == 200
        for example in models["DecisionRequest"]["examples"]:
            answer = await served.client.post("/v1/decisions", json=example)
            assert answer.status_code == 200, answer.text
        outcomes = models["OutcomeRequest"]["examples"]
        for example in outcomes:
            sent = example | {"decision_id": answer.json()["decision_id"]}
            assert (await served.client.post("/v1/outcomes", json=sent)).status_code == 200

    ask(test)


@pytest.mark.parametrize(
    "time",
    [
        "20261101",
        "1793491200",
        "1793491200.5",
        1793491200,
        0,
        True,
        "20261101T000000Z",
        "2026-11-01T00Z",
        "+2026-11-01",
    ],
)
def test_a_time_that_is_not_rfc_3339_is_refused_and_never_taken_for_another(ask, time):
    async def test(served):
        made = await served.know("c-1") or await served.decide("c-1")
        for path, body in (
            ("/v1/events", {"event_id": "e", "customer_id": "c-1", "type": "visit", "timestamp": time}),
            (
                "/v1/outcomes",
                {"outcome_id": "o", "decision_id": made["decision_id"], "type": "click", "timestamp": time},
            ),
        ):
            (fault,) = is_problem(await served.client.post(path, json=body), 422)["errors"]
            assert fault["field"] == "timestamp"
            assert "2026-11-20T09:30:00Z" in fault["fix"]
        cloud = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "visit", "subject": "c-1", "time": time}
        headers = {"content-type": "application/cloudevents+json"}
        body = is_problem(await served.client.post("/v1/events", content=json.dumps(cloud), headers=headers), 422)
        assert body["errors"][0]["field"] == "time"
        assert [row["event_id"] for row in served.rows("events")] == ["visit-c-1"]

    ask(test)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-01T10:00:00Z",
        "2026-11-01t10:00:00.0z",
        "2026-11-01 12:00:00+02:00",
        "2026-11-01T10:00:00.0000000-00:00",
    ],
)
def test_a_time_may_be_written_in_every_way_of_rfc_3339(ask, time):
    async def test(served):
        event = {"event_id": "e", "customer_id": "c-1", "type": "visit", "timestamp": time}
        answer = await served.client.post("/v1/events", json=event)
        assert answer.status_code == 200, answer.text
        assert [row["timestamp"] for row in served.rows("events")] == [1793527200.0]

    ask(test)
