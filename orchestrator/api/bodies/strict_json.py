"""Reading request bodies: bounded, JSON only, and no NaN."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from orchestrator.api.problems import ProblemError, invalid_body, refusal_problem
from orchestrator.serving.errors import ServiceError
from orchestrator.serving.queue import MemoryReservation

# Bytes of a body that most often comes in one piece with its head, and is not worth the room it would take up.
_SMALL = 4096
# Seconds for a whole body, and bytes announced that give it one more.
BODY_SECONDS = 30.0
BODY_RATE = 65_536


class StrictJsonRequest(Request):
    """A request whose body is refused when too large, not JSON, or not finite."""

    async def body(self) -> bytes:
        """The body.

        Raises:
            ProblemError: 413 before more than the limit is held in memory; 415 for another media type; 503
                when too much is waiting already.
        """
        if not hasattr(self, "_body"):
            self._body = await self.bounded_body()
            if not self._body:
                raise malformed("it is empty")
        return self._body

    async def bounded_body(self) -> bytes:
        """The body as it was sent, which may be empty.

        Raises:
            ProblemError: 400 when the client leaves before its end; 413 before more than the limit is held in memory;
                415 for another media type; 408 when it does not come in time; 503 when too much is waiting or being
                received already.
        """
        limit = self.app.state.max_body_bytes
        declared = self.headers.get("content-length")
        if declared is not None and (not declared.isdigit() or int(declared) > limit):
            raise too_large(limit)
        size = 0 if declared is None else int(declared)
        service = self.app.state.service
        try:
            service.check_room(size)  # what would be refused in the end need not be read
            # Memory is kept for a body all the while it comes.
            async with asyncio.timeout(BODY_SECONDS + size / BODY_RATE):
                if declared is not None and size <= _SMALL:
                    return await self._received(limit)
                with service.holding() as room:
                    return await self._received(limit, room)
        except ServiceError as refusal:  # which FastAPI would take for a body it cannot read
            raise refusal_problem(refusal) from refusal
        except ClientDisconnect as error:
            raise malformed("the client left before its end") from error
        except TimeoutError as error:
            raise ProblemError(
                408,
                "body-too-slow",
                detail=f"the body was not there within {BODY_SECONDS:g} s",
                fix="send less at once, or over a faster connection",
                headers={"Connection": "close"},
            ) from error

    async def _received(self, limit: int, room: MemoryReservation | None = None) -> bytes:
        """What comes, which takes up room as it comes: what was announced may come late, or never."""
        chunks, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            if room is not None and size > _SMALL:
                room.grow_to(size)
            chunks.append(chunk)
        self.check_media_type()
        return b"".join(chunks)

    def check_media_type(self) -> None:
        """Check that the body is plain JSON by its headers.

        Raises:
            ProblemError: 415, it is not.
        """
        check_media_type(self, "application/json")

    async def json(self) -> Any:
        """The body as plain Python values.

        Raises:
            ProblemError: 400, it is not JSON; NaN and Infinity are not.
        """
        if not hasattr(self, "_json"):
            try:
                self._json = from_json(await self.body(), allow_inf_nan=False)
            except ValueError as error:
                raise malformed(str(error)) from error
        return self._json


class StrictJsonRoute(APIRoute):
    """A route that reads its body as a `StrictJsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, given strict requests."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictJsonRequest(request.scope, request.receive))

        return strict


class FastPathRoute(StrictJsonRoute):
    """A route whose endpoint is given the body and the request, and nothing that FastAPI would have to look for.

    Looking costs more than all the rest of a small request. `answer` is all that happens, through the router or not.
    """

    async def answer(self, request: StrictJsonRequest) -> Response:
        """Read the body, and ask the endpoint.

        Raises:
            ProblemError: the request is refused.
            ServiceError: the service refuses.
        """
        body = await request.json()
        try:
            asked = self._reader.validate_python(body)
        except ValidationError as error:
            raise invalid_body(error) from error
        response: Response = await self.endpoint(asked, request)
        return response

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler."""

        async def direct(request: Request) -> Response:
            return await self.answer(StrictJsonRequest(request.scope, request.receive))

        return direct

    @cached_property
    def _reader(self) -> TypeAdapter[Any]:
        assert self.body_field is not None  # noqa: S101 - what such a route is for
        body: Any = self.body_field.field_info.annotation
        return TypeAdapter(body)


def malformed(why: str) -> ProblemError:
    """The refusal of a body that is not JSON."""
    return ProblemError(
        400,
        "malformed-json",
        detail=f"the body is not JSON: {why}",
        fix="send one JSON document in UTF-8; NaN and Infinity are not JSON, leave the field out instead",
    )


def too_large(limit: int) -> ProblemError:
    """The refusal of a body, or of a part of one, of more bytes than the limit."""
    return ProblemError(
        413,
        "body-too-large",
        detail=f"the body is larger than {limit} bytes",
        fix="send fewer items per request",
        # What remains of the body is not read, so the connection cannot be used again.
        headers={"Connection": "close"},
    )


def check_media_type(request: Request, wanted: str) -> None:
    """Check what a body says it is.

    Raises:
        ProblemError: 415, it is something else, or compressed.
    """
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type != wanted:
        raise ProblemError(
            415,
            "unsupported-media-type",
            detail=f"Content-Type is {given!r}" if given else "Content-Type is missing",
            fix=f"send Content-Type: {wanted}",
        )
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise ProblemError(
            415,
            "unsupported-content-encoding",
            detail=f"Content-Encoding is {encoding!r}",
            fix="send the body uncompressed",
        )
