"""Receiving what other systems send by themselves, as they send it: a route for each webhook of `ingest.sources`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
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
from orchestrator.errors import WireError
from orchestrator.ingest.sources import SOURCES
from orchestrator.ingest.webhooks import Delivery, Webhook
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


router = APIRouter(prefix="/v1", route_class=AnyJsonRoute)


class WebhookResponse(BaseModel):
    """All of it is on disk: as events, or raw where it was not understood."""

    success: bool = True


async def _receive(delivery: Delivery, size: int, *, source: str, service: Service, room: MemoryReservation) -> None:
    """Keep the messages, some at a time; what is sent again because others were refused is known by its id.

    Args:
        delivery: the messages.
        size: bytes of the body they came in.
        source: whose they are.
        service: keeps them.
        room: held for the body and what was read from it. Grows once, by what a transaction needs: for want of memory
            all of the messages are refused or none.
    """
    received, reader = service.settings.clock(), service.readers[source]
    shared = json_memory(to_json(delivery.context)) if delivery.context else 0
    room.grow_to(room.size + min(len(delivery.messages), _TOGETHER) * (_MESSAGE + shared))
    for start in range(0, len(delivery.messages), _TOGETHER):
        some = replace(delivery, messages=delivery.messages[start : start + _TOGETHER])
        if size <= _SMALL:
            found = reader.read(some, received=received)
        else:
            found = await asyncio.to_thread(reader.read, some, received=received)
        if len(found.events) or found.raw or found.links:
            job = EventsJob(
                events=found.events, bodies=found.bodies, texts=found.texts, raw=found.raw, links=found.links
            )
            await service.record(job, room=room)


async def _delivery(http: Request, hook: Webhook) -> Delivery:
    body = await http.json()
    if not isinstance(body, dict):
        raise invalid([FieldProblem(field="body", problem=f"is a {type(body).__name__}", fix="send a JSON object")])
    try:
        delivery = hook.delivery(body)
    except WireError as error:
        raise invalid(FieldProblem(field=f.field, problem=f.problem, fix=f.fix) for f in error.faults) from error
    if (count := len(delivery.messages)) > _MOST_MESSAGES:
        raise ProblemError(
            413,
            "body-too-large",
            detail=f"batch has {count} messages, more than {_MOST_MESSAGES}",
            fix="send fewer messages per request",
        )
    return delivery


def _receiver(source: str, hook: Webhook) -> Callable[..., Coroutine[Any, Any, WebhookResponse]]:
    async def receive(http: Request, service: ServiceDep) -> WebhookResponse:
        sent = await http.body()
        with service.holding(json_memory(sent)) as room:
            await _receive(await _delivery(http, hook), len(sent), source=source, service=service, room=room)
        return WebhookResponse()

    return receive


for _source in SOURCES:
    for _hook in _source.webhooks:
        _content = {"application/json": {"schema": {"type": "object"}, "example": _hook.example}}
        router.post(
            _hook.path,
            tags=[_source.name],
            name=_hook.name,
            summary=_hook.summary,
            description=_hook.description,
            responses=responses(400, 413, 415, 422, 503),
            openapi_extra={"requestBody": {"required": True, "content": _content}},
        )(_receiver(_source.name, _hook))
