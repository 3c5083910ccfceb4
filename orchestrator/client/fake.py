"""The API made up in memory, for tests of programs that use the client."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import httpx2

from orchestrator.client.call import IDEMPOTENCY_KEY

_AT = "2026-01-20T18:00:00Z"
_FACTS = {"/v1/events": "event_id", "/v1/outcomes": "outcome_id", "/v1/stock": "stock_id"}
_HOLD = {"id": "hold", "channel": None, "intent": None, "subject": None, "discount": 0.0, "template": None}


class FakeService:
    """Answers the client's calls without a network, always with the action it is told.

    Events, outcomes and stock count once by their ids, and a decision repeated under its key is the same decision. Give
    `transport` to `JourneyClient` or `AsyncJourneyClient`.

    Attributes:
        action: what the next decisions choose, as in an answer of `POST /v1/decisions`.
        decisions: requests for decisions, in the order they came.
        facts: what was sent to `/v1/events`, `/v1/outcomes` and `/v1/stock`, by path and id.

    Example:
        >>> from orchestrator.client import FakeService, JourneyClient
        >>> fake = FakeService()
        >>> fake.choose("email.thank", channel="email")
        >>> with JourneyClient(fake.url, transport=fake.transport) as journey:
        ...     journey.decide("c1", channels=["email"]).action.id
        'email.thank'
        >>> fake.decisions
        [{'customer_id': 'c1', 'channels': ['email']}]
    """

    url = "http://fake.invalid"

    def __init__(self) -> None:
        self.transport = httpx2.MockTransport(self._answer)
        self.action: dict[str, Any] = _HOLD
        self.decisions: list[dict[str, Any]] = []
        self.facts: dict[str, dict[str, dict[str, Any]]] = {path: {} for path in _FACTS}
        self._made: dict[str, dict[str, Any]] = {}
        self._refusals: deque[tuple[int, str]] = deque()

    def choose(self, action: str, *, channel: str | None = None, **more: Any) -> None:
        """Choose this action from now on; `more` is its `intent`, `subject`, `discount` or `template`."""
        self.action = {**_HOLD, "id": action, "channel": channel, **more}

    def refuse(self, status: int, kind: str, *, times: int = 1) -> None:
        """Answer the next calls with a problem, such as 503 `overloaded` or 404 `unknown-customer`."""
        self._refusals.extend([(status, kind)] * times)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self._refusals:
            return _problem(*self._refusals.popleft())
        path, body = request.url.path, request.content
        if path == "/v1/decisions":
            return httpx2.Response(200, json=self._decide(json.loads(body), request.headers.get(IDEMPOTENCY_KEY)))
        if path == "/v1/decisions/batch":
            asked = [json.loads(line) for line in body.splitlines()]
            key = request.headers.get(IDEMPOTENCY_KEY)
            lines = [
                {"line": i, "customer_id": one["customer_id"], **self._decide(one, key and f"{key}/{i}")}
                for i, one in enumerate(asked, start=1)
            ]
            return httpx2.Response(200, content="".join(f"{json.dumps(line)}\n" for line in lines))
        if path in _FACTS and request.method != "GET":
            return httpx2.Response(200, json=self._keep(path, json.loads(body)))
        return _problem(404, "no-such-path")

    def _decide(self, asked: dict[str, Any], key: str | None) -> dict[str, Any]:
        name = key or f"unkeyed-{len(self.decisions)}"
        if name not in self._made:
            self.decisions.append(asked)
            self._made[name] = {
                "decision_id": f"decision-{len(self.decisions)}",
                "action": self.action,
                "propensity": 1.0,
                "policy_version": "fake",
                "group": "policy",
                "decided_at": _AT,
                "candidates": [],
            }
        return self._made[name]

    def _keep(self, path: str, sent: Any) -> dict[str, Any]:
        items = []
        for fact in sent if isinstance(sent, list) else [sent]:
            name = fact[_FACTS[path]]
            items.append({"id": name, "status": "duplicate" if name in self.facts[path] else "accepted"})
            self.facts[path].setdefault(name, fact)
        accepted = sum(item["status"] == "accepted" for item in items)
        return {"accepted": accepted, "duplicates": len(items) - accepted, "items": items}


def _problem(status: int, kind: str) -> httpx2.Response:
    told = {"detail": "the fake service was told to refuse", "fix": "see FakeService.refuse"}
    problem = {"type": f"urn:journey:problem:{kind}", "title": kind.replace("-", " "), "status": status, **told}
    headers = {"Retry-After": "0"} if status in (429, 503) else {}
    return httpx2.Response(status, json=problem, headers=headers)
