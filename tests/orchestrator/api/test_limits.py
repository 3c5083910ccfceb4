"""How often a key may ask, and what every answer tells a browser."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.access.rates import Rate
from tests.api_keys import make_key

# What these tests are about happens before any database sees it, so one kind is enough.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def guarded(serving, test, **more):
    async def run():
        async with serving(dev=False, **more) as served:
            await test(served)

    asyncio.run(run())


def test_a_key_that_asks_too_often_is_told_when_to_ask_again(serving, database_url):
    now = 1_800_000_000.0
    slow = {"X-API-Key": make_key(database_url, "policy", now=now, rate=Rate(3, 60.0))}
    free = {"X-API-Key": make_key(database_url, "policy", now=now)}

    async def test(served):
        nonlocal now

        async def ask(headers):
            return await served.client.get("/v1/policy", headers=headers)

        for left in (2, 1, 0):
            answer = await ask(slow)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"key";q=3;w=60'
            assert answer.headers["ratelimit"] == f'"key";r={left};t={(3 - left) * 20}'
        answer = await ask(slow)
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "20"
        assert "r=0" in answer.headers["ratelimit"]
        # Nobody else waits.
        answer = await ask(free)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
        now += 19.9
        assert (await ask(slow)).status_code == 429
        now += 0.2
        assert (await ask(slow)).status_code == 200
        assert (await ask(slow)).status_code == 429
        now -= 1000  # a clock set back neither lets in nor locks out for long
        assert (await ask(slow)).status_code == 429
        now += 20.1
        assert (await ask(slow)).status_code == 200
        now += 1e6
        assert [(await ask(slow)).status_code for _ in range(4)] == [200, 200, 200, 429]

    guarded(serving, test, clock=lambda: now)


def test_requests_that_a_scope_refuses_count_too(serving, database_url):
    headers = {"X-API-Key": make_key(database_url, "metrics", rate=Rate(2, 3600.0))}

    async def test(served):
        statuses = [(await served.client.get("/v1/policy", headers=headers)).status_code for _ in range(3)]
        assert statuses == [403, 403, 429]

    guarded(serving, test)


def broken(*_):
    raise RuntimeError("a fault of ours")


def test_every_answer_tells_browsers_to_do_nothing_with_it(serving, monkeypatch):
    async def test(served):
        monkeypatch.setattr(served.app.state.service, "ready", broken)
        expected = {
            "/healthz": 200,
            "/v1/nothing": 401,
            "/readyz": 500,
            "/openapi.json": 200,
            "/docs-static/none": 404,
            "/docs": 200,
        }
        for path, status in expected.items():
            answer = await served.client.get(path)
            assert answer.status_code == status, path
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert (answer.headers.get("cache-control") == "no-store") == (not path.startswith("/docs-static/"))
            assert "server" not in answer.headers

    guarded(serving, test)


def test_other_sites_are_not_allowed_to_read_anything(ask):
    async def test(served):
        headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
        for answer in (
            await served.client.get("/v1/policy", headers=headers),
            await served.client.options("/v1/decisions", headers=headers),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]

    ask(test)
