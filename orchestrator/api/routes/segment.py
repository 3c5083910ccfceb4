"""Receiving what Segment's SDKs send, as they send it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import to_json

from orchestrator.api.bodies.gzipped import TooLargeError, gunzip
from orchestrator.api.bodies.json_memory import json_memory
from orchestrator.api.bodies.strict_json import StrictJsonRequest, malformed, too_large
from orchestrator.api.deps import ServiceDep
from orchestrator.api.models.problems import FieldProblem
from orchestrator.api.problems import ProblemError, invalid, responses
from orchestrator.ingest.segment import KINDS
from orchestrator.serving.jobs import EventsJob
from orchestrator.serving.queue import MemoryReservation
from orchestrator.serving.service import Service

_MOST_MESSAGES = 5_000
# Messages of one transaction: others wait for its end.
_TOGETHER = 100
# Bytes of memory of one that is being kept, beside its texts.
_MESSAGE = 1_000
# Bytes of a body that is translated sooner than handed to another thread.
_SMALL = 8192


class AnyJsonRequest(StrictJsonRequest):
    """A request whose body is JSON, maybe packed by gzip, whatever its media type says: some SDKs say another."""

    async def body(self) -> bytes:
        """The body, unpacked.

        Raises:
            ProblemError: 413, it is too large, before or after unpacking; 400, it cannot be unpacked or is empty.
        """
        if not hasattr(self, "_body"):
            body, limit = await self.bounded_body(), self.app.state.max_body_bytes
            if self.headers.get("content-encoding", "").lower() == "gzip":
                try:
                    body = gunzip(body, limit=limit)
                except TooLargeError:
                    raise too_large(limit) from None
                except ValueError as error:
                    raise malformed(str(error)) from error
            self._body = body
        return await super().body()

    def check_media_type(self) -> None:
        """Check that the body is packed in no other way than by gzip.

        Raises:
            ProblemError: 415, it is.
        """
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip", ""):
            raise ProblemError(
                415,
                "unsupported-content-encoding",
                detail=f"Content-Encoding is {encoding!r}",
                fix="send the body as it is, or packed by gzip",
            )


class AnyJsonRoute(APIRoute):
    """A route that reads its body as an `AnyJsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, given requests that read any JSON."""
        handler = super().get_route_handler()

        async def lenient(request: Request) -> Response:
            return await handler(AnyJsonRequest(request.scope, request.receive))

        return lenient


router = APIRouter(prefix="/v1", tags=["segment"], route_class=AnyJsonRoute)


class SegmentResponse(BaseModel):
    """All of it is on disk: as events, or raw where it was not understood."""

    success: bool = True


def _documented(example: Mapping[str, Any]) -> dict[str, Any]:
    body = {"schema": {"type": "object"}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": body}}}


_TRACK = {
    "type": "track",
    "messageId": "022bb90c-bbac-11e4-8dfc-aa07a5b093db",
    "userId": "c-1042",
    "event": "Product Viewed",
    "properties": {"sku": "G-32", "category": "home"},
    "timestamp": "2026-01-20T18:00:00Z",
}
_ANONYMOUS_ID = "5e8f7a1c-4a51-4c4e-9a5b-2f6d1f0c7b3a"
_EXAMPLES: dict[str, dict[str, Any]] = {
    "track": _TRACK,
    "identify": {
        "userId": "c-1042",
        "anonymousId": _ANONYMOUS_ID,
        "traits": {"age": "25-34", "email_subscribed": True, "timezone": "Europe/Berlin"},
    },
    "page": {"userId": "c-1042", "name": "Home", "properties": {"path": "/"}},
    "screen": {"userId": "c-1042", "name": "Home"},
    "group": {"userId": "c-1042", "groupId": "family-7"},
    "alias": {"userId": "c-1042", "previousId": _ANONYMOUS_ID},
}
_STATUSES = responses(400, 413, 415, 422, 503)


@router.post(
    "/batch",
    responses=_STATUSES,
    summary="Messages of a Segment SDK",
    openapi_extra=_documented({"batch": [_TRACK], "sentAt": "2026-01-20T18:00:01Z"}),
)
@router.post(
    "/import",
    responses=_STATUSES,
    summary="Messages of a Segment SDK, of long ago",
    openapi_extra=_documented({"batch": [_TRACK]}),
)
async def receive_batch(http: Request, service: ServiceDep) -> SegmentResponse:
    """Keep every message of the batch: as events, or raw and counted where it is not understood."""
    sent = await http.body()
    with service.holding(json_memory(sent)) as room:
        body = await _object(http)
        messages = body.get("batch")
        if not isinstance(messages, list):
            raise invalid([FieldProblem(field="batch", problem="is no list", fix="send {'batch': [...]}")])
        if len(messages) > _MOST_MESSAGES:
            raise ProblemError(
                413,
                "body-too-large",
                detail=f"batch has {len(messages)} messages, more than {_MOST_MESSAGES}",
                fix="send fewer messages per request",
            )
        await _receive(_Messages(messages, body.get("context"), body.get("sentAt"), len(sent)), service, room)
    return SegmentResponse()


@dataclass(frozen=True)
class _Messages:
    """Messages of one request, the context they share, when it was sent, and bytes of its body."""

    messages: list[Any]
    context: Any
    sent_at: Any
    size: int


async def _receive(sent: _Messages, service: Service, room: MemoryReservation) -> None:
    """Keep the messages, some at a time; what is sent again because others were refused is known by its id.

    Args:
        sent: the messages.
        service: keeps them.
        room: held for the body and what was read from it. Grows once, by what a transaction needs: for want of memory
            all of the messages are refused or none.
    """
    received = service.settings.clock()
    shared = sent.context if isinstance(sent.context, Mapping) and sent.context else None
    room.grow_to(room.size + min(len(sent.messages), _TOGETHER) * (_MESSAGE + (_memory_of(shared) if shared else 0)))
    for start in range(0, len(sent.messages), _TOGETHER):
        some = sent.messages[start : start + _TOGETHER]
        if shared is not None:
            some = [_with_context(message, shared) for message in some]
        if sent.size <= _SMALL:
            found = service.segment.read(some, received=received, sent_at=sent.sent_at)
        else:
            found = await asyncio.to_thread(service.segment.read, some, received=received, sent_at=sent.sent_at)
        if len(found.events) or found.raw or found.links:
            job = EventsJob(
                events=found.events, bodies=found.bodies, texts=found.texts, raw=found.raw, links=found.links
            )
            await service.record(job, room=room)


def _memory_of(shared: Mapping[str, Any]) -> int:
    return json_memory(to_json(shared))


async def _object(http: Request) -> dict[str, Any]:
    body = await http.json()
    if not isinstance(body, dict):
        raise invalid([FieldProblem(field="body", problem=f"is a {type(body).__name__}", fix="send a JSON object")])
    return body


def _with_context(message: Any, shared: Mapping[str, Any]) -> Any:
    if not isinstance(message, dict):
        return message
    own = message.get("context")
    return {**message, "context": {**shared, **own} if own and isinstance(own, Mapping) else shared}


def _receiver_of(kind: str) -> Callable[..., Coroutine[Any, Any, SegmentResponse]]:
    async def receive(http: Request, service: ServiceDep) -> SegmentResponse:
        sent = await http.body()
        with service.holding(json_memory(sent)) as room:
            message = {**await _object(http), "type": kind}
            await _receive(_Messages([message], None, None, len(sent)), service, room)
        return SegmentResponse()

    receive.__doc__ = f"Keep one {kind} message: as events, or raw and counted where it is not understood."
    return receive


for _kind in KINDS:
    router.post(
        f"/{_kind}",
        responses=_STATUSES,
        summary=f"One {_kind} message of Segment",
        name=_kind,
        openapi_extra=_documented({"type": _kind, "messageId": f"{_kind}-881", **_EXAMPLES[_kind]}),
    )(_receiver_of(_kind))
