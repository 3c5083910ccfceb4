"""What a call sends, what its answer means, and when it is tried again; without any transport."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from orchestrator.api.models.decisions import (
    BatchDecision,
    BatchRefusal,
    DecisionRecord,
    DecisionResponse,
    Explanation,
)
from orchestrator.api.models.outcomes import FactsResponse
from orchestrator.api.models.problems import Problem
from orchestrator.api.models.stock import StockResponse
from orchestrator.client.call import IDEMPOTENCY_KEY, Answer, Call
from orchestrator.client.errors import RefusedError

BatchLine = BatchDecision | BatchRefusal
Fact = Mapping[str, Any]

# Nothing was done, or what was done will be answered again; later it may work.
AGAIN = frozenset({429, 502, 503, 504})
_LINE: TypeAdapter[BatchLine] = TypeAdapter(BatchLine)


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How patient a client is.

    Attributes:
        attempts: of one call, the first included.
        first_wait: seconds before the second; each later one waits twice as long as the one before.
        longest_wait: seconds at most, of its own; if the API asks for more (`Retry-After`), the call ends.
    """

    attempts: int = 5
    first_wait: float = 0.1
    longest_wait: float = 10.0

    def wait(self, attempt: int, retry_after: str | None) -> float | None:
        """Seconds to wait after the attempt of this number, from 1; none to give up.

        Clients that were refused together come back apart: a wait is drawn between half of it and all, and added to
        what the API asks for.
        """
        if attempt >= self.attempts:
            return None
        planned = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
        drawn: float = planned * (0.5 + random.random() / 2)  # noqa: S311 - nothing secret
        asked = _seconds(retry_after)
        if asked is not None and asked > self.longest_wait:
            return None
        return drawn + (asked or 0.0)


def result_of(call: Call[Answer], status: int, content: bytes) -> Answer:
    """What an answer to a call says.

    Raises:
        RefusedError: the API refused.
    """
    if status == 200:
        return call.answer.model_validate_json(content)
    raise RefusedError(problem_of(status, content))


class Situation(TypedDict, total=False):
    """Where something may be said to a customer, and what is known only now.

    Attributes:
        channels: that may be used; none for all.
        placement: one place to fill instead.
        context: `device`, `hour`, `category`.
    """

    channels: Sequence[str] | None
    placement: str | None
    context: Mapping[str, Any] | None


class Asked(Situation, total=False):
    """What may be asked of a decision.

    Attributes:
        slots: results wanted for the placement.
        same_subject: whether two of them may be about the same category.
    """

    slots: int
    same_subject: bool


def decide(customer_id: str, *, key: str | None, **asked: Unpack[Asked]) -> Call[DecisionResponse]:
    """`POST /v1/decisions`, under a key of its own if none is given, so that sending again is safe."""
    return _with_body(
        "POST", "/v1/decisions", _request(customer_id, asked), DecisionResponse, key=key or uuid.uuid4().hex
    )


def explain(customer_id: str, **situation: Unpack[Situation]) -> Call[Explanation]:
    """`POST /v1/explain`."""
    return _with_body("POST", "/v1/explain", _request(customer_id, situation), Explanation)


def read_decision(decision_id: str) -> Call[DecisionRecord]:
    """`GET /v1/decisions/{id}`.

    Raises:
        ValueError: no decision has such an id, and it would lead to another path.
    """
    if decision_id in ("", ".", ".."):
        raise ValueError(f"decision_id = {decision_id!r}: no decision is named so; use one that `decide` answered")
    return Call("GET", f"/v1/decisions/{quote(decision_id, safe='')}", DecisionRecord)


def send_events(events: Iterable[Fact]) -> Call[FactsResponse]:
    """`POST /v1/events`; events get ids and a time where they have none, so that sending again is safe."""
    return _with_body("POST", "/v1/events", [_stamped(event, "event_id") for event in events], FactsResponse)


def send_outcomes(outcomes: Iterable[Fact]) -> Call[FactsResponse]:
    """`POST /v1/outcomes`; ids and times as of events."""
    return _with_body("POST", "/v1/outcomes", [_stamped(outcome, "outcome_id") for outcome in outcomes], FactsResponse)


def send_stock(facts: Iterable[Fact]) -> Call[FactsResponse]:
    """`PUT /v1/stock`; ids and times as of events."""
    return _with_body("PUT", "/v1/stock", [_stamped(fact, "stock_id") for fact in facts], FactsResponse)


def read_stock() -> Call[StockResponse]:
    """`GET /v1/stock`."""
    return Call("GET", "/v1/stock", StockResponse)


def batch_body(requests: Iterable[Mapping[str, Any]]) -> bytes:
    """Requests as lines."""
    return b"".join(json.dumps(dict(request)).encode() + b"\n" for request in requests)


def batch_line(line: str | bytes) -> BatchLine:
    """One line of a batch's answer."""
    return _LINE.validate_json(line)


def problem_of(status: int, content: bytes) -> Problem:
    """The problem an answer tells of; something in between may answer in its own words."""
    try:
        return Problem.model_validate_json(content)
    except ValidationError:
        return Problem(
            type="about:blank",
            title="Refused",
            status=status,
            detail=content[:200].decode(errors="replace") or "no reason given",
            fix="see what stands between this program and the API",
        )


def _with_body(method: str, path: str, body: Any, answer: type[Answer], *, key: str | None = None) -> Call[Answer]:
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers[IDEMPOTENCY_KEY] = key
    return Call(method, path, answer, json.dumps(body, default=_plain).encode(), headers)


def _request(customer_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"customer_id": customer_id, **{name: value for name, value in asked.items() if value is not None}}


def _stamped(fact: Fact, identifier: str) -> dict[str, Any]:
    """Named and timed here, once: sent again, it is the same fact, at the same moment."""
    return {identifier: uuid.uuid4().hex, "timestamp": datetime.now(UTC), **fact}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | Set):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:  # a date: our API sends none
        return None
