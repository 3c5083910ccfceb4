"""The two clients: the same calls, waited for on a thread or on an event loop."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Unpack

import httpx2
from pydantic import ValidationError

from orchestrator.api.models.decisions import DecisionRecord, DecisionResponse, Explanation
from orchestrator.api.models.outcomes import FactsResponse
from orchestrator.api.models.stock import StockResponse
from orchestrator.client import calls
from orchestrator.client.call import Answer, Call
from orchestrator.client.calls import AGAIN, Asked, BatchLine, Fact, Retries, Situation
from orchestrator.client.errors import JourneyError, RefusedError, UnreachableError, UnreadableError

BATCH = "/v1/decisions/batch"
_NDJSON = "application/x-ndjson"


class _Client:
    """What both clients are made with.

    Args:
        url: of the API, such as `http://127.0.0.1:8080`.
        key: API key, if it asks for one.
        timeout: seconds to wait for an answer, or for its next part.
        retries: how patient to be.
        transport: something else than the network, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: Retries | None = None,
        transport: Any = None,
    ) -> None:
        self._retries = retries or Retries()
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._options: dict[str, Any] = {
            "base_url": url,
            "timeout": timeout,
            "headers": headers,
            "transport": transport,
        }

    def _wait(self, call: str, attempt: int, failed: httpx2.TransportError | httpx2.Response) -> float:
        """Seconds until the next attempt.

        Raises:
            UnreachableError: it was tried often enough, and no answer came.
            RefusedError: it was, and the last answer was a refusal.
        """
        asked = failed.headers.get("Retry-After") if isinstance(failed, httpx2.Response) else None
        wait = self._retries.wait(attempt, asked)
        if wait is not None:
            return wait
        if isinstance(failed, httpx2.Response):
            raise RefusedError(calls.problem_of(failed.status_code, failed.content))
        raise UnreachableError(f"{call}: no answer after {attempt} attempts ({failed})") from failed

    def _again(self, failed: httpx2.TransportError | httpx2.Response, attempt: int, *, begun: bool = False) -> float:
        """Seconds until a batch is tried again.

        Raises:
            RefusedError: that would not help.
            UnreachableError: it was tried often enough; or lines had come already, which would come again.
        """
        if begun:
            raise UnreachableError(f"{BATCH}: {failed}; the same requests with key=error.key go on")
        if isinstance(failed, httpx2.Response) and failed.status_code not in AGAIN:
            raise RefusedError(calls.problem_of(failed.status_code, failed.content))
        return self._wait(BATCH, attempt, failed)


class JourneyClient(_Client):
    """Use as `with JourneyClient(url) as journey:`, from one thread or several."""

    def __enter__(self) -> JourneyClient:
        self._http = httpx2.Client(**self._options)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def decide(self, customer_id: str, *, key: str | None = None, **asked: Unpack[Asked]) -> DecisionResponse:
        """What to do for a customer now.

        Args:
            customer_id: whom.
            key: idempotency key, to ask again for the same decision later; one of its own otherwise.
            asked: `channels`, `placement`, `context`, `slots`, `same_subject`; see `Asked`.

        Raises:
            RefusedError: the API refused.
            UnreachableError: it did not answer.
            UnreadableError: something else answered.
        """
        return self.repeat(calls.decide(customer_id, key=key, **asked))

    def explain(self, customer_id: str, **situation: Unpack[Situation]) -> Explanation:
        """Why, and why not; nothing is logged. Arguments and errors as `decide`."""
        return self.repeat(calls.explain(customer_id, **situation))

    def decision(self, decision_id: str) -> DecisionRecord:
        """A decision as logged, and what followed. Errors as `decide`."""
        return self.repeat(calls.read_decision(decision_id))

    def send_events(self, events: Iterable[Fact]) -> FactsResponse:
        """Tell what customers did, up to 1,000 at once; ids and times are added where missing. Errors as `decide`."""
        return self.repeat(calls.send_events(events))

    def send_outcomes(self, outcomes: Iterable[Fact]) -> FactsResponse:
        """Tell what followed decisions; see `send_events`."""
        return self.repeat(calls.send_outcomes(outcomes))

    def send_stock(self, facts: Iterable[Fact]) -> FactsResponse:
        """Tell which categories are in stock (`category`, `in_stock`); see `send_events`."""
        return self.repeat(calls.send_stock(facts))

    def stock(self) -> StockResponse:
        """Which categories are in stock now. Errors as `decide`."""
        return self.repeat(calls.read_stock())

    def decide_many(
        self, requests: Iterable[Mapping[str, Any]], *, candidates: bool = False, key: str | None = None
    ) -> Iterator[BatchLine]:
        """Decide for many customers in one call; a decision or a refusal per request, in order, as they come.

        Args:
            requests: each as the body of a single request. All are in memory until the last line has come, so that
                they can be sent again: give a million of them in several calls.
            candidates: whether to rank what could have been chosen.
            key: idempotency key: the same requests again under it get the first answers; made here if there is none.

        Raises:
            RefusedError: the API refused the whole call.
            UnreachableError: it did not answer, or broke off; the same requests again with `key=error.key` go on.
        """
        key = key or uuid.uuid4().hex
        body, options = calls.batch_body(requests), _batch(key, candidates)
        with _telling(key=key):
            for attempt in range(1, self._retries.attempts + 1):
                begun = False
                try:
                    with self._http.stream("POST", BATCH, content=body, **options) as answer:
                        if answer.status_code == 200:
                            for line in answer.iter_lines():
                                begun = True
                                yield calls.batch_line(line)
                            return
                        answer.read()
                except httpx2.TransportError as error:
                    time.sleep(self._again(error, attempt, begun=begun))
                    continue
                time.sleep(self._again(answer, attempt))

    def repeat(self, call: Call[Answer] | None) -> Answer:
        """Send once more what failed, with the same ids, so that it counts once. Errors as `decide`.

        Args:
            call: `JourneyError.call`; `decide_many` leaves none there, it is repeated by `key=error.key`.

        Raises:
            ValueError: the error has no call.
        """
        call = _sent(call)
        with _telling(call=call, key=call.key):
            for attempt in range(1, self._retries.attempts + 1):
                try:
                    answer = self._http.request(call.method, call.path, content=call.body, headers=call.headers)
                except httpx2.TransportError as error:
                    time.sleep(self._wait(call.path, attempt, error))
                    continue
                if answer.status_code not in AGAIN:
                    return calls.result_of(call, answer.status_code, answer.content)
                time.sleep(self._wait(call.path, attempt, answer))
        raise AssertionError("the last attempt returns or raises")


class AsyncJourneyClient(_Client):
    """Use as `async with AsyncJourneyClient(url) as journey:`; the calls are those of `JourneyClient`, awaited."""

    async def __aenter__(self) -> AsyncJourneyClient:
        self._http = httpx2.AsyncClient(**self._options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def decide(self, customer_id: str, *, key: str | None = None, **asked: Unpack[Asked]) -> DecisionResponse:
        """See `JourneyClient.decide`."""
        return await self.repeat(calls.decide(customer_id, key=key, **asked))

    async def explain(self, customer_id: str, **situation: Unpack[Situation]) -> Explanation:
        """See `JourneyClient.explain`."""
        return await self.repeat(calls.explain(customer_id, **situation))

    async def decision(self, decision_id: str) -> DecisionRecord:
        """See `JourneyClient.decision`."""
        return await self.repeat(calls.read_decision(decision_id))

    async def send_events(self, events: Iterable[Fact]) -> FactsResponse:
        """See `JourneyClient.send_events`."""
        return await self.repeat(calls.send_events(events))

    async def send_outcomes(self, outcomes: Iterable[Fact]) -> FactsResponse:
        """See `JourneyClient.send_outcomes`."""
        return await self.repeat(calls.send_outcomes(outcomes))

    async def send_stock(self, facts: Iterable[Fact]) -> FactsResponse:
        """See `JourneyClient.send_stock`."""
        return await self.repeat(calls.send_stock(facts))

    async def stock(self) -> StockResponse:
        """See `JourneyClient.stock`."""
        return await self.repeat(calls.read_stock())

    async def decide_many(
        self, requests: Iterable[Mapping[str, Any]], *, candidates: bool = False, key: str | None = None
    ) -> AsyncIterator[BatchLine]:
        """See `JourneyClient.decide_many`."""
        key = key or uuid.uuid4().hex
        body, options = calls.batch_body(requests), _batch(key, candidates)
        with _telling(key=key):
            for attempt in range(1, self._retries.attempts + 1):
                begun = False
                try:
                    async with self._http.stream("POST", BATCH, content=body, **options) as answer:
                        if answer.status_code == 200:
                            async for line in answer.aiter_lines():
                                begun = True
                                yield calls.batch_line(line)
                            return
                        await answer.aread()
                except httpx2.TransportError as error:
                    await asyncio.sleep(self._again(error, attempt, begun=begun))
                    continue
                await asyncio.sleep(self._again(answer, attempt))

    async def repeat(self, call: Call[Answer] | None) -> Answer:
        """See `JourneyClient.repeat`."""
        call = _sent(call)
        with _telling(call=call, key=call.key):
            for attempt in range(1, self._retries.attempts + 1):
                try:
                    answer = await self._http.request(call.method, call.path, content=call.body, headers=call.headers)
                except httpx2.TransportError as error:
                    await asyncio.sleep(self._wait(call.path, attempt, error))
                    continue
                if answer.status_code not in AGAIN:
                    return calls.result_of(call, answer.status_code, answer.content)
                await asyncio.sleep(self._wait(call.path, attempt, answer))
        raise AssertionError("the last attempt returns or raises")


def _sent(call: Call[Answer] | None) -> Call[Answer]:
    """The call of an error.

    Raises:
        ValueError: it has none, so what was asked is not at hand to be sent again.
    """
    if call is None:
        raise ValueError(
            "call = None: the error of a `decide_many` holds no call; give the same requests to `decide_many` again "
            "with key=error.key"
        )
    return call


def _batch(key: str, candidates: bool) -> dict[str, Any]:
    """Headers and parameters of a batch."""
    headers = {"Content-Type": _NDJSON, "Idempotency-Key": key}
    return {"headers": headers, "params": {"candidates": str(candidates).lower()}}


@contextmanager
def _telling(*, key: str | None, call: Call[Any] | None = None) -> Iterator[None]:
    """What fails inside is an error of ours, and says what was asked, so that the caller can repeat just that."""
    try:
        try:
            yield
        except (httpx2.RequestError, ValidationError) as error:
            path = call.path if call else BATCH
            raise UnreadableError(
                f"{path}: what answered is not the decision API, or of another version ({type(error).__name__}); see "
                "what stands between this program and the API"
            ) from error
    except JourneyError as error:
        error.call, error.key = call, key
        raise
