"""What a server logs: JSON lines that lead to a request and name no customer."""

from __future__ import annotations

import io
import json
import logging
import threading

import httpx2
import pytest
import structlog

from orchestrator.api.log_lines import configure_logging, exceptions_without_values
from policies.errors import PolicyFormatError

WHO, NAME, KEY, OTHER = "customer-5f1e", "Wilhelmina-77", "key-9c2d", "order-8b3a"


def talk(url):
    """Every endpoint, well and badly; the request ids of the answers by status."""
    ids = {}
    json_type = {"content-type": "application/json"}
    with httpx2.Client(base_url=url, timeout=20) as client:

        def send(method, path, **more):
            answer = client.request(method, path, **more)
            ids.setdefault(answer.status_code, []).append(answer.headers["x-request-id"])
            return answer

        event = {"event_id": OTHER, "customer_id": WHO, "type": "profile", "attributes": {"home_store": NAME}}
        send("POST", "/v1/events", json=event)
        send("POST", "/v1/events", json={**event, "type": NAME})
        send("POST", "/v1/events", json=[event, event])
        send("POST", "/v1/events", content=f'{{"customer_id": "{WHO}', headers=json_type)
        made = send("POST", "/v1/decisions", json={"customer_id": WHO}, headers={"Idempotency-Key": KEY}).json()
        send(
            "POST", "/v1/decisions", json={"customer_id": WHO, "channels": ["email"]}, headers={"Idempotency-Key": KEY}
        )
        send("POST", "/v1/decisions", json={"customer_id": f"{WHO}-unknown"})
        send("POST", "/v1/decisions", json={"customer_id": WHO, "placement": NAME})
        lines = f'{{"customer_id": "{WHO}"}}\n{{"customer_id": "{WHO}-unknown"}}\n{{"{NAME}": 1}}\n'
        send("POST", "/v1/decisions/batch", content=lines, headers={"content-type": "application/x-ndjson"})
        send("POST", "/v1/explain", json={"customer_id": WHO})
        send("POST", "/v1/explain", json={"customer_id": f"{WHO}-unknown"})
        outcome = {"outcome_id": OTHER, "decision_id": made["decision_id"], "type": "click"}
        send("POST", "/v1/outcomes", json=outcome)
        send("POST", "/v1/outcomes", json={**outcome, "decision_id": WHO})
        send("POST", "/v1/outcomes", json={**outcome, "type": NAME})
        send("GET", f"/v1/decisions/{made['decision_id']}")
        send("GET", f"/v1/decisions/{WHO}")
        send("GET", f"/v1/customers/{WHO}/{NAME}?who={WHO}")
        send("PUT", f"/v1/decisions/{WHO}")
        for path in ("/healthz", "/readyz", "/metrics", "/v1/policy", "/openapi.json", f"/{NAME}"):
            send("GET", path, params={"who": WHO})
    return ids, made["decision_id"]


@pytest.mark.slow
@pytest.mark.parametrize("access_log", [False, True])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about lines, not the log of decisions
def test_a_server_logs_requests_by_id_and_template_and_never_a_customer(server, access_log):
    with server(access_log=access_log) as running:
        ids, decision_id = talk(running.url)
        running.process.terminate()
        said = running.whole_log()
    for secret in (WHO, NAME, KEY, OTHER, decision_id):
        assert [line for line in said if secret in line] == []
    lines = [json.loads(line) for line in said]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    of_requests = {line["request_id"]: line for line in lines if "request_id" in line and "route" in line}
    wanted = {i for status, found in ids.items() for i in found if access_log or status >= 400}
    assert set(of_requests) == wanted
    assert {line["status"] for line in of_requests.values()} >= {400, 404, 405, 409, 422}
    assert "/v1/decisions/{decision_id}" in {line["route"] for line in of_requests.values()}
    # Uvicorn's own lines are among them.
    assert any("Shutting down" in line["event"] for line in lines)


def failure():
    try:
        try:
            raise KeyError(WHO)
        except KeyError as error:
            raise ValueError(f"{NAME} is no number") from error
    except ValueError as error:
        return error


def test_an_exception_is_told_by_its_places_and_types_not_by_what_it_says():
    told = exceptions_without_values(None, "error", {"event": "job failed", "exc_info": failure()})["exception"]
    assert WHO not in told
    assert NAME not in told
    assert "KeyError" in told
    assert "ValueError" in told
    assert f"{__file__}:" in told
    assert "in failure" in told


def test_what_is_wrong_with_a_file_is_told():
    told = exceptions_without_values(None, "error", {"exc_info": PolicyFormatError("model.vw is damaged")})
    assert told["exception"].endswith("PolicyFormatError: model.vw is damaged")


class Terminal(io.StringIO):
    """Somebody is reading."""

    def isatty(self):
        return True


@pytest.fixture
def untouched():
    """Logging is of the whole process; afterwards it is as before."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    yield
    logging.captureWarnings(False)
    root.handlers[:], threading.excepthook = handlers, hook
    root.setLevel(level)
    structlog.configure(**configuration)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_lines_are_for_machines_unless_somebody_reads_a_terminal(stream, untouched):
    out = stream()
    configure_logging(out)
    logging.getLogger("uvicorn.error").info("from a library", exc_info=failure())
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()
    said = out.getvalue()
    assert "from a library" in said
    assert "worker" in said
    assert "ZeroDivisionError" in said
    assert NAME not in said
    if stream is Terminal:
        assert not said.startswith("{")
    else:
        assert [json.loads(line)["level"] for line in said.splitlines()] == ["info", "error"]
