"""Every error as an RFC 9457 problem document that names the field and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from orchestrator.api.middleware.request_ids import PROBLEM
from orchestrator.api.models.problems import FieldProblem, Problem
from orchestrator.errors import FieldError, suggestion
from orchestrator.ingest.records import CLOCK_TOLERANCE
from orchestrator.serving import errors as service

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger(__name__)


class ProblemError(HTTPException):
    """Raised anywhere in a route to answer with a problem."""

    def __init__(
        self,
        status: int,
        kind: str,
        *,
        detail: str,
        fix: str,
        errors: Iterable[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code=status, detail=detail, headers=headers)
        self.kind = kind
        self.fix = fix
        self.errors = list(errors)


def unknown_name(field: str, given: str, known: Iterable[str]) -> FieldProblem:
    """A name that is not one of the known ones, with a suggestion."""
    return FieldProblem(field=field, problem=f"unknown {given!r}", fix=suggestion(given, known))


def refuse_repeated_ids(field: str, ids: Sequence[str], facts: Sequence[object]) -> None:
    """Two different facts of one request under one id are two facts or a mistake; either way the client must say.

    The very same fact twice is no mistake: who delivers at least once delivers some twice.

    Raises:
        ProblemError: 422, naming the second of the first pair.
    """
    places: dict[str, int] = {}
    for second, name in enumerate(ids):
        first = places.setdefault(name, second)
        if facts[first] != facts[second]:
            raise invalid(
                [
                    FieldProblem(
                        field=f"[{second}].{field}",
                        problem=f"repeats [{first}].{field} for another fact",
                        fix="send each fact under an id of its own",
                    )
                ]
            )


def refuse_future(times: Sequence[datetime | None], *, now: float, many: bool, ahead: float = CLOCK_TOLERANCE) -> None:
    """A fact of the future is a wrong clock, and would age everything else known about the customer.

    Args:
        times: `timestamp` of each fact of a request, none where it is left out.
        now: seconds since 1970 UTC.
        many: whether the request is a list.
        ahead: seconds that clocks may differ.

    Raises:
        ProblemError: 422, naming each that lies further ahead.
    """
    limit = "a day" if ahead == CLOCK_TOLERANCE else f"{ahead:g} s"
    wrong = [
        FieldProblem(
            field=f"[{i}].timestamp" if many else "timestamp",
            problem=f"{time.isoformat()} lies more than {limit} ahead",
            fix="check the sender's clock",
        )
        for i, time in enumerate(times)
        if time is not None and time.timestamp() > now + ahead
    ]
    if wrong:
        raise invalid(wrong)


def invalid(errors: Iterable[FieldProblem]) -> ProblemError:
    """A well-formed request with wrong content: 422."""
    errors = list(errors)
    return ProblemError(
        422,
        "invalid-request",
        detail="; ".join(f"{e.field}: {e.problem}" for e in errors[:5]),
        fix="; ".join(f"{e.field}: {e.fix}" for e in errors[:5]),
        errors=errors,
    )


def invalid_fields(error: RequestValidationError) -> ProblemError:
    """What FastAPI found wrong with a request, as a problem."""
    return invalid(_field_problem(e) for e in error.errors())


def invalid_body(error: ValidationError) -> ProblemError:
    """What pydantic found wrong with a body, as a problem."""
    return invalid(_field_problem({**e, "loc": ("body", *e["loc"])}) for e in error.errors(include_url=False))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for problems of these statuses."""
    return {status: {"description": TITLES[status], "model": Problem} for status in statuses}


def problem_media_types(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with problems under their own media type, which FastAPI has no setting for."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                content = response.get("content", {})
                of_json = content.get("application/json", {}).get("schema", {})
                if of_json.get("$ref") == "#/components/schemas/Problem":
                    content[MEDIA_TYPE] = content.pop("application/json")
    return schema


TITLES = {
    400: "Malformed request",
    401: "No usable key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}

# status, kind, fix: what each refusal of the service means over HTTP.
_REFUSALS: dict[type[service.ServiceError], tuple[int, str, str]] = {
    service.UnknownCustomerError: (
        404,
        "unknown-customer",
        "send an event for this customer to POST /v1/events first",
    ),
    service.UnknownSlotError: (422, "unknown-slot", "use the place of one of the decision's slots, 1 for the first"),
    service.UnknownDecisionError: (404, "unknown-decision", "use a decision_id answered by POST /v1/decisions"),
    service.KeyReusedError: (409, "idempotency-key-reused", "use a new Idempotency-Key for a new request"),
    service.NoPolicyError: (
        503,
        "no-policy",
        "train a policy that fits this configuration (`journey train`), or promote one",
    ),
    service.OverloadedError: (503, "overloaded", "wait for the seconds in Retry-After, then send the request again"),
    service.WaitedTooLongError: (
        503,
        "waited-too-long",
        "wait for the seconds in Retry-After, then send the request again",
    ),
    service.StoppingError: (503, "stopping", "wait for the seconds in Retry-After, then send the request again"),
    service.StorageUnavailableError: (
        503,
        "storage-unavailable",
        "check the disk and locks, then try again",
    ),
    service.OtherConfigurationError: (
        503,
        "other-configuration",
        "restart the server with the configuration `journey db rebuild` was run with, then send the request again",
    ),
}

# What to do about each kind of pydantic error; anything else is told to look at the API's documentation.
_FIXES = {
    "missing": "add this field",
    "extra_forbidden": "remove this field or correct its name",
    "string_type": "send a JSON string",
    "int_type": "send a whole number",
    "float_type": "send a number",
    "bool_type": "send true or false",
    "list_type": "send a JSON list",
    "dict_type": "send a JSON object",
    "model_type": "send a JSON object",
    "model_attributes_type": "send a JSON object",
    "finite_number": "send a finite number",
    "string_too_short": "send a longer text",
    "string_too_long": "send a shorter text",
    "string_pattern_mismatch": "send printable characters only",
    "too_short": "send more items",
    "too_long": "send fewer items, in several requests",
    "timezone_aware": "add the zone, for example 2026-11-20T09:30:00Z",
    "greater_than_equal": "send a number of at least {ge:g}",
    "less_than_equal": "send a number of at most {le:g}",
    "datetime_from_date_parsing": "send a time like 2026-11-20T09:30:00Z",
    "datetime_parsing": "send a time like 2026-11-20T09:30:00Z",
    "datetime_type": "send a time like 2026-11-20T09:30:00Z",
}


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(service.ServiceError, _on_refusal)
    app.add_exception_handler(Exception, _on_crash)


def problem_of(error: ProblemError | service.ServiceError | ValidationError, *, request_id: str | None) -> Problem:
    """The document that tells of an error."""
    if isinstance(error, service.ServiceError):
        error = refusal_problem(error)
    elif isinstance(error, ValidationError):
        error = invalid_body(error)
    return Problem(
        type=f"urn:journey:problem:{error.kind}",
        title=TITLES.get(error.status_code, "Error") if error.kind not in _REFUSAL_TITLES else _title(error.kind),
        status=error.status_code,
        detail=error.detail,
        fix=error.fix,
        errors=error.errors,
        request_id=request_id,
    )


def refusal_problem(error: service.ServiceError) -> ProblemError:
    """What a refusal of the service is over HTTP."""
    status, kind, fix = _REFUSALS[type(error)]
    headers = {"Retry-After": str(error.retry_after)} if status == 503 else None
    return ProblemError(status, kind, detail=str(error), fix=fix, headers=headers)


def problem_response(request: Request, error: ProblemError) -> Response:
    """The problem as an answer, for code that is not inside a route."""
    request.scope[PROBLEM] = error.kind
    if service := getattr(request.app.state, "service", None):
        service.metrics.refused(error.kind)
    return Response(
        problem_of(error, request_id=request.scope.get("journey.request_id")).model_dump_json(),
        status_code=error.status_code,
        media_type=MEDIA_TYPE,
        headers=dict(error.headers or {}),
    )


_REFUSAL_TITLES = frozenset(kind for _, kind, _ in _REFUSALS.values())


def _title(kind: str) -> str:
    return kind.replace("-", " ").capitalize()


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if isinstance(error, ProblemError):
        return problem_response(request, error)
    if error.status_code == 404:
        found = ProblemError(404, "no-such-path", detail="there is nothing at this path", fix="see /docs for the paths")
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        found = ProblemError(
            405,
            "method-not-allowed",
            detail=f"this path does not answer {request.method}",
            fix=f"use {allowed}",
            headers=error.headers,
        )
    else:
        found = ProblemError(
            error.status_code, "http-error", detail=error.detail, fix="see /docs", headers=error.headers
        )
    return problem_response(request, found)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    return problem_response(request, invalid_fields(error))


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, service.ServiceError)  # noqa: S101 - registered for this class
    return problem_response(request, refusal_problem(error))


async def _on_crash(request: Request, error: Exception) -> Response:
    request_id = request.scope.get("journey.request_id", "")
    log.error("request failed", request_id=request_id, error_type=type(error).__name__)
    return problem_response(
        request,
        ProblemError(
            500,
            "internal-error",
            detail="the request failed because of a fault in the service; nothing of it was kept",
            fix="report the request_id to whoever runs the service",
            # This answer is made outside of the middleware that would add it.
            headers={"X-Request-ID": request_id},
        ),
    )


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    field, context = _field(error["loc"]), error.get("ctx", {})
    if isinstance(refused := context.get("error"), FieldError):
        return FieldProblem(field=field, problem=refused.problem, fix=refused.fix)
    return FieldProblem(
        field=field, problem=str(error["msg"]), fix=_FIXES.get(error["type"], _OTHER_FIX).format(**context)
    )


_OTHER_FIX = "see /docs for what is accepted"


def _field(location: tuple[str | int, ...]) -> str:
    """`("body", "many", 3, "event_id")` as `[3].event_id`; the alternatives' tags are no fields."""
    place, *path = location
    if place in ("header", "path", "query"):
        return f"{place} {'.'.join(map(str, path))}"
    if path and path[0] in ("one", "many"):
        path = path[1:]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "body"
