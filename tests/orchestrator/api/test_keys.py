"""Nobody is let in without a key that allows it."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route
from structlog.testing import capture_logs

from orchestrator.access.scopes import Scope
from orchestrator.api.app import create_app
from orchestrator.api.scopes import OPEN, SCOPES
from orchestrator.serving.service import ServiceSettings
from tests.api_keys import make_key, revoke
from tests.database_rows import read_rows

ONE_KIND = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
EVENT = {"event_id": "e-1", "customer_id": "c-1", "type": "visit"}


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def template(path):
    """As in the OpenAPI document."""
    return path.replace(":path}", "}")


def refused(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["fix"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def guarded(serving, test, **more):
    async def run():
        async with serving(dev=False, **more) as served:
            await test(served)

    asyncio.run(run())


def test_a_key_is_taken_however_it_is_sent(serving, database_url):
    key = make_key(database_url, "events")
    basic = base64.b64encode(f"{key}:".encode()).decode()
    proxy = base64.b64encode(b"proxy:password").decode()

    async def test(served):
        for i, headers in enumerate(
            [
                bearer(key),
                {"authorization": f"bEARER {key}"},
                {"X-API-Key": key},
                {"Authorization": f"Basic {basic}"},
                {"Authorization": f"Basic {proxy}", "X-API-Key": key},
            ]
        ):
            answer = await served.client.post("/v1/events", json={**EVENT, "event_id": f"e-{i}"}, headers=headers)
            assert answer.status_code == 200, (headers, answer.text)

    guarded(serving, test)


@ONE_KIND
def test_without_a_usable_key_the_answer_is_401_and_says_how_to_send_one(serving, database_url):
    good = make_key(database_url, "events")
    unknown = f"jo_{'0' * 12}_{good.split('_')[2]}"
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")

    async def test(served):
        for headers in (
            {},
            bearer(""),
            bearer(unknown),
            bearer(wrong),
            bearer(good.upper()),
            bearer(good + "\xe9"),
            {"Authorization": f"Basic {good}"},
            {"Authorization": good},
            {"X-API-Key": "jo_"},
            {"X-API-Key": "", **bearer(good)},
        ):
            sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            answer = await served.client.post("/v1/events", json=EVENT, headers=sent)
            body = refused(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert "Authorization: Bearer" in body["fix"]
            assert good.split("_")[2] not in answer.text
        assert served.rows("events") == []

    guarded(serving, test)


@ONE_KIND
def test_another_scope_is_403_and_names_the_one_needed(serving, database_url):
    keys = {scope: make_key(database_url, scope) for scope in Scope}
    asked = {
        ("POST", "/v1/events"): "events",
        ("POST", "/v1/decisions"): "decide",
        ("GET", "/v1/decisions/d-1"): "explain",
        ("POST", "/v1/outcomes"): "outcomes",
        ("PUT", "/v1/stock"): "stock",
        ("GET", "/v1/stock"): "stock",
        ("GET", "/v1/policy"): "policy",
        ("GET", "/metrics"): "metrics",
    }

    async def test(served):
        for (method, path), needed in asked.items():
            for scope, key in keys.items():
                answer = await served.client.request(method, path, headers=bearer(key))
                if scope in (needed, "admin"):
                    assert answer.status_code not in (401, 403), (method, path, scope)
                else:
                    assert repr(needed) in refused(answer, 403)["fix"]
                    assert f'scope="{needed}"' in answer.headers["www-authenticate"]

    guarded(serving, test)


@ONE_KIND
def test_a_mistake_in_path_or_method_is_told_as_one_and_not_as_a_missing_scope(serving, database_url):
    key = bearer(make_key(database_url, "decide"))

    async def test(served):
        for method, path, status in (
            ("GET", "/v1/decision", 404),
            ("GET", "/v1/decisions/", 404),
            ("GET", "/v1/decisions", 405),
            ("DELETE", "/v1/decisions/d-1", 405),
            ("POST", "/v1/stock", 405),
        ):
            answer = await served.client.request(method, path, headers=key)
            assert "scope" not in refused(answer, status)["fix"], (method, path)
            assert (await served.client.request(method, path)).status_code == 401

    guarded(serving, test)


@ONE_KIND
def test_a_new_route_is_not_open_by_mistake(serving, database_url):
    key, admin = (bearer(make_key(database_url, scope)) for scope in ("decide", "admin"))

    async def test(served):
        served.app.add_api_route("/v1/new", lambda: None)
        assert "'admin'" in refused(await served.client.get("/v1/new", headers=key), 403)["fix"]
        assert (await served.client.get("/v1/new", headers=admin)).status_code == 200

    guarded(serving, test)


@ONE_KIND
def test_health_and_documentation_are_open(serving, database_url):
    async def test(served):
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json", "/docs-static/swagger-ui.css"):
            assert (await served.client.get(path)).status_code == 200, path
        assert (await served.client.get("/docs-static/../v1/policy")).status_code in (401, 404)
        assert (await served.client.get("/docs-static/%2e%2e/v1/policy")).status_code == 404

    guarded(serving, test)


@ONE_KIND
def test_the_api_describes_its_keys_and_scopes(serving, database_url):
    async def test(served):
        schema = (await served.client.get("/openapi.json")).json()
        assert set(schema["components"]["securitySchemes"]) == {"bearer", "header", "basic"}
        decide = schema["paths"]["/v1/decisions"]["post"]
        assert {"bearer": []} in decide["security"]
        assert "`decide`" in decide["description"]
        assert {"401", "403", "429"} <= set(decide["responses"])
        assert "security" not in schema["paths"]["/healthz"]["get"]

    guarded(serving, test)


@ONE_KIND
def test_every_route_is_in_the_list_of_scopes(retailer):
    app = create_app(ServiceSettings(retailer=retailer, champion=lambda: None, load_policy=lambda _: None))
    listed = set(SCOPES) | {("GET", path) for path in OPEN}
    routes = set()
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/docs-static"
        elif isinstance(route, APIRoute | Route):
            routes |= {(method, template(route.path)) for method in route.methods or () if method != "HEAD"}
        else:
            for context in route.effective_candidates():
                routes |= {(method, template(context.path)) for method in context.methods if method != "HEAD"}
    assert ("POST", "/v1/decisions") in routes
    assert routes - listed == set()


def test_a_revoked_key_is_refused_within_seconds_by_every_server(serving, database_url):
    key, other = make_key(database_url, "policy"), make_key(database_url, "policy")

    async def test():
        async with serving(dev=False) as one, serving(dev=False) as two:
            for served in (one, two):
                assert (await served.client.get("/v1/policy", headers=bearer(key))).status_code == 200
            revoke(database_url, key)
            late = make_key(database_url, "policy")
            deadline = time.monotonic() + 20
            for served in (one, two):
                while (answer := await served.client.get("/v1/policy", headers=bearer(key))).status_code == 200:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
                assert "was revoked" in refused(answer, 401)["detail"]
                assert (await served.client.get("/v1/policy", headers=bearer(other))).status_code == 200
                while (await served.client.get("/v1/policy", headers=bearer(late))).status_code != 200:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)

    asyncio.run(test())


@ONE_KIND
def test_a_key_expires(serving, database_url):
    now = 1_800_000_000.0
    key = make_key(database_url, "policy", now=now, expires_in=60.0)

    async def test(served):
        nonlocal now
        now += 59
        assert (await served.client.get("/v1/policy", headers=bearer(key))).status_code == 200
        now += 1
        answer = await served.client.get("/v1/policy", headers=bearer(key))
        assert "has expired" in refused(answer, 401)["detail"]

    guarded(serving, test, clock=lambda: now)


def test_when_a_key_was_last_used_is_known_to_the_hour(serving, database_url):
    now = 1_800_000_000.0 + 1234
    key = make_key(database_url, "policy", now=now)
    unused = make_key(database_url, "policy", now=now)

    async def test(served):
        assert (await served.client.get("/v1/policy", headers=bearer(key))).status_code == 200
        deadline = time.monotonic() + 20
        used = "SELECT key_id, last_used_at FROM api_keys WHERE last_used_at IS NOT NULL"
        while not (rows := read_rows(database_url, used)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert rows == [{"key_id": key.split("_")[1], "last_used_at": 1_800_000_000.0}]
        assert unused.split("_")[1] != key.split("_")[1]

    guarded(serving, test, clock=lambda: now)


@ONE_KIND
def test_a_refusal_reaches_the_log_with_the_key_s_id_and_never_the_key(serving, database_url, capsys):
    key = make_key(database_url, "decide")

    async def test(served):
        refused(await served.client.post("/v1/events", json=EVENT, headers=bearer(key)), 403)
        wrong = await served.client.post("/v1/decisions", json={"customer_id": "nobody"}, headers=bearer(key))
        refused(wrong, 404)

    guarded(serving, test)
    logged = "".join(capsys.readouterr())
    _, key_id, secret = key.split("_")
    assert key_id in logged
    assert secret not in logged


@ONE_KIND
def test_a_refusal_s_line_says_why(serving, database_url):
    key = make_key(database_url, "decide,explain")

    async def test(served):
        with capture_logs() as lines:
            await served.client.post("/v1/decisions", json={"customer_id": "nobody"})
            await served.client.get("/v1/customers/ada", headers=bearer(key))
            await served.client.post("/v1/decisions", json={"customer_id": "nobody"}, headers=bearer(key))
            await served.client.get("/v1/decisions/ada", headers=bearer(key))
            await served.client.post(
                "/v1/explain", content=b"{", headers={**bearer(key), "Content-Type": "application/json"}
            )
        refusals = [line for line in lines if line["event"] == "request refused"]
        assert [(line["status"], line["problem"], line["route"]) for line in refusals] == [
            (401, "no-usable-key", None),
            (403, "scope-missing", None),
            (404, "unknown-customer", "/v1/decisions"),
            (404, "unknown-decision", "/v1/decisions/{decision_id}"),
            (400, "malformed-json", "/v1/explain"),
        ]

    guarded(serving, test)


def test_only_digests_of_keys_are_kept(database_url):
    key = make_key(database_url, "admin")
    (row,) = read_rows(database_url, "SELECT * FROM api_keys")
    secret = key.split("_")[2]
    assert len(secret) * 4 == 256
    assert secret not in str(row)
    assert bytes.fromhex(secret) not in bytes(row["digest"])


@ONE_KIND
def test_without_keys_only_this_machine_may_ask(ask):
    async def test(served):
        for host in ("localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.9.9.9"):
            for origin in ({}, {"Origin": "http://localhost:3000"}, {"Origin": "http://[::1]"}):
                answer = await served.client.post("/v1/events", json=EVENT, headers={"Host": host, **origin})
                assert answer.status_code == 200, (host, origin, answer.text)
        for headers in (
            {"Host": "shop.example"},
            {"Host": "localhost.shop.example:8080"},
            {"Host": "192.0.2.1"},
            {"Host": "["},
            {"Origin": "https://shop.example"},
            {"Origin": "null"},
        ):
            refused(await served.client.post("/v1/events", json=EVENT, headers=headers), 403)

    ask(test)


def test_two_keys_never_share_an_idempotency_key_and_a_batch_shares_none_with_single_requests(serving, database_url):
    one, other = (make_key(database_url, "decide,events") for _ in range(2))
    wanted = {"customer_id": "c-1"}

    async def test(served):
        known = await served.client.post("/v1/events", json=EVENT, headers=bearer(one))
        assert known.status_code == 200

        async def decide(key, name, body=wanted):
            headers = {**bearer(key), "Idempotency-Key": name}
            answer = await served.client.post("/v1/decisions", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            return answer.json()["decision_id"]

        async def batch(key, name):
            headers = {**bearer(key), "Idempotency-Key": name, "Content-Type": "application/x-ndjson"}
            answer = await served.client.post("/v1/decisions/batch", content=json.dumps(wanted), headers=headers)
            return answer.json()["decision_id"]

        names = ["k", "k/1", "/1 k", "1 k"]
        made = [await ask(key, name) for ask in (decide, batch) for key in (one, other) for name in names]
        assert len(set(made)) == len(made)
        # Another request under a name that only another key used is no conflict either.
        await decide(other, "mine", {"customer_id": "c-1", "channels": ["site"]})
        await decide(one, "mine")
        assert [await ask(key, name) for ask in (decide, batch) for key in (one, other) for name in names] == made

    guarded(serving, test)
