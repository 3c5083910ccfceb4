"""The OpenAPI document against the server: whatever is sent, nothing breaks, and every answer is as described."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from orchestrator.serving.policy_watcher import NoChampionError

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
EXAMPLES = 25


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """Whatever is generated, as a line of a batch."""
    return value.encode() if isinstance(value, str) else json.dumps(value, default=str).encode()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE], ids=["right", "wrong"])
def test_nothing_breaks_and_every_answer_is_as_described(server, mode):
    with server() as running:
        connection = HTTPConnection("127.0.0.1", running.port, timeout=30)
        event = {"event_id": "e", "customer_id": "0", "type": "visit"}
        connection.request("POST", "/v1/events", json.dumps(event), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) >= 10
        assert {"PUT /v1/stock", "GET /v1/stock"} <= {operation.label for operation in operations}
        broken = []
        for operation in operations:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            )
            def send(case):
                case.call_and_validate(checks=CHECKS)

            try:
                send()
            except Unsatisfiable:  # of a request that says nothing, nothing can be wrong
                assert mode is NEGATIVE, operation.label
            except Exception as error:
                # What happened once and not again is inside of a group.
                broken.append(f"{operation.label}: {error} {[*getattr(error, 'exceptions', ())]}")
        assert running.process.poll() is None
    assert not broken, "\n\n".join(broken)


def test_examples_are_what_the_server_really_answers(ask, champion):
    champion.current = NoChampionError("journey-policy")

    async def test(served):
        schemas = (await served.client.get("/openapi.json")).json()["components"]["schemas"]
        while "follows" not in (answer := await served.client.get("/readyz")).json()["detail"]:
            await asyncio.sleep(0)
        (example,) = schemas["NotReady"]["examples"]
        # The OpenAPI document leaves out what is null.
        checks = {name: {"reason": None, **check} for name, check in example["checks"].items()}
        assert {**answer.json(), "request_id": ""} == {**example, "checks": checks, "request_id": ""}
        assert answer.json()["status"] == answer.status_code
        policy = schemas["PolicyResponse"]["properties"]
        model, _, number = policy["version"]["examples"][0].partition("/")
        assert model
        assert number.isdigit()
        assert policy["kind"]["examples"] == ["journey"]

    ask(test)
