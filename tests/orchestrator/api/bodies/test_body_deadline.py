"""A body is waited for only so long: memory is kept for it meanwhile."""

from __future__ import annotations

import asyncio
import time

import pytest

from orchestrator.api.bodies import strict_json

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def trickle(pieces):
    for piece in pieces:
        yield piece
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1/events", {}), ("/v1/decisions", {}), ("/v1/events", {"content-length": "40"}), ("/v1/batch", {})],
)
def test_a_body_that_does_not_come_in_time_is_not_waited_for(serving, monkeypatch, path, headers):
    monkeypatch.setattr(strict_json, "BODY_SECONDS", 0.2)

    async def test():
        async with serving() as served:
            began = time.monotonic()
            headers_sent = {"content-type": "application/json", **headers}
            answer = await served.client.post(path, content=trickle([b"["] + [b" "] * 200), headers=headers_sent)
            assert time.monotonic() - began < 5
            assert answer.status_code == 408
            assert answer.headers["connection"] == "close"
            assert answer.json()["type"] == "urn:journey:problem:body-too-slow"
            # What it took up is free again, and others are answered.
            await served.know("c-1")

    asyncio.run(test())


def test_a_large_body_may_take_longer(serving, monkeypatch):
    monkeypatch.setattr(strict_json, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(strict_json, "BODY_RATE", 40)
    body = b'{"event_id": "e-1", "customer_id": "c-1", "type": "visit"}'

    async def test():
        async with serving() as served:
            headers = {"content-type": "application/json", "content-length": str(len(body))}
            pieces = [body[i : i + 5] for i in range(0, len(body), 5)]
            answer = await served.client.post("/v1/events", content=trickle(pieces), headers=headers)
            assert answer.status_code == 200, answer.text

    asyncio.run(test())
