"""Requests that carry CloudEvents, told to routes as our own JSON; what is wrong is told in the sender's words."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.types import Scope

from orchestrator.api.bodies.answers import facts_response
from orchestrator.api.bodies.strict_json import StrictJsonRequest
from orchestrator.api.models.problems import FieldProblem
from orchestrator.api.problems import ProblemError, invalid, invalid_fields
from orchestrator.errors import Fault, WireError
from orchestrator.ingest.cloudevents import (
    BATCH_MEDIA_TYPE,
    MEDIA_TYPE,
    CloudEvents,
    Mode,
    content_mode,
    from_headers,
)
from orchestrator.serving.jobs import Recorded


class CloudEventsRoute(APIRoute):
    """A route for a list of our events or a single one, or as many CloudEvents."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, given our own JSON whatever was sent."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                mode = content_mode(request.headers)
            except WireError as error:
                (fault,) = error.faults
                raise ProblemError(
                    415, "unsupported-media-type", detail=f"{fault.field} {fault.problem}", fix=fault.fix
                ) from error
            if mode is None:
                return await _handle_own(handler, StrictJsonRequest(request.scope, request.receive))
            return await _handle(handler, CloudEventsRequest(request, mode))

        return handle


class CloudEventsRequest(StrictJsonRequest):
    """A request whose JSON, when asked for, is that of our own events."""

    def __init__(self, request: Request, mode: Mode) -> None:
        super().__init__(_as_json(request.scope), request.receive)
        self._given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
        self._mode = mode
        self.events: CloudEvents | None = None

    async def body(self) -> bytes:
        """The body; in binary mode, an event without data has none."""
        if self._mode == "binary" and not hasattr(self, "_body"):
            self._body = await self.bounded_body() or b"null"
        return await super().body()

    async def json(self) -> Any:
        """Our own events.

        Raises:
            ProblemError: 400, it is not JSON; 422, they are no CloudEvents that could be events of ours.
        """
        try:
            events = CloudEvents(await self._sent(), self._mode)
            records = events.records(self.app.state.service.settings.retailer.events.cloudevents)
        except WireError as error:
            raise invalid(FieldProblem(field=f.field, problem=f.problem, fix=f.fix) for f in error.faults) from error
        self.events = events  # only now: what is wrong before is told in their words already
        return records if self._mode == "batch" else records[0]

    async def _sent(self) -> list[Any]:
        if self._mode == "binary":
            body = await self.body()
            return [from_headers(self._given, b"" if body == b"null" else body)]
        sent = await super().json()
        if self._mode == "structured":
            return [sent]
        if not isinstance(sent, list):
            raise WireError([Fault("body", f"is a {type(sent).__name__}", "send a JSON list of CloudEvents")])
        return sent


async def _handle_own(
    handler: Callable[[Request], Coroutine[Any, Any, Response]], request: StrictJsonRequest
) -> Response:
    try:
        return await handler(request)
    except RequestValidationError as error:
        # A list of unknown fields would hide that one header is all that is wrong.
        many = isinstance(error.body, list)
        sent = error.body if many else [error.body]
        if not any(isinstance(event, Mapping) and "specversion" in event for event in sent):
            raise
        raise ProblemError(
            415,
            "unsupported-media-type",
            detail=f"this looks like {'a list of CloudEvents' if many else 'a CloudEvent'}, but its Content-Type is "
            "application/json",
            fix=f"send Content-Type: {BATCH_MEDIA_TYPE if many else MEDIA_TYPE}",
        ) from error


async def _handle(handler: Callable[[Request], Coroutine[Any, Any, Response]], request: CloudEventsRequest) -> Response:
    try:
        return await handler(request)
    except RequestValidationError as error:
        problem = invalid_fields(error)
    except ProblemError as error:
        problem = error
    if request.events is None or problem.status_code != 422:
        raise problem
    if not request.events.sent:  # an empty batch, which the standard allows
        return Response(facts_response([], Recorded(())).model_dump_json(), media_type="application/json")
    raise invalid(e.model_copy(update={"field": request.events.field(e.field)}) for e in problem.errors)


def _as_json(scope: Scope) -> Scope:
    """The scope of the request as if it had our own media type."""
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", b"application/json")]}
