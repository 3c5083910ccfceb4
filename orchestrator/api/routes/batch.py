"""Deciding for very many customers in one call: lines in, lines out, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from orchestrator.api.bodies.answers import batch_decision_json
from orchestrator.api.bodies.requests import job_of
from orchestrator.api.bodies.spool import DiskRoom, Spool
from orchestrator.api.bodies.strict_json import check_media_type
from orchestrator.api.deps import service_of
from orchestrator.api.models.decisions import BatchRefusal, DecisionRequest
from orchestrator.api.models.problems import FieldProblem
from orchestrator.api.problems import ProblemError, invalid, problem_of, responses
from orchestrator.api.routes.decisions import KEY_PARAMETER, idempotency_key, kept_key
from orchestrator.log.decision_schema import digest
from orchestrator.serving.errors import ServiceError
from orchestrator.serving.jobs import DecisionJob, DecisionMade
from orchestrator.serving.service import Service

router = APIRouter(prefix="/v1/decisions", tags=["decisions"])

MEDIA_TYPE = "application/x-ndjson"
LONGEST_LINE = 65_536
# Lines of one transaction: others wait for its end, and PostgreSQL has room for so many locks.
LINES = 256
_IN_MEMORY = 4 * 2**20  # bytes of answers a client has not read yet; what is more goes to a file
_UNREAD = 2**28  # bytes of them above which nothing more is decided until the client reads
_UNREAD_OF_ALL = 2**30  # bytes of them in files, of all calls to a process together
_READ = 65_536
_ONE_PER_LINE = "send one JSON object per line, and a line break after each, which curl keeps with --data-binary @FILE"
_EXAMPLE = """{"customer_id": "c-1042", "channels": ["email", "site"]}
{"customer_id": "c-1043", "placement": "home_hero", "slots": 2}
"""


def disk_room() -> DiskRoom:
    """Where answers to all calls of one application are kept until they are read."""
    return DiskRoom(_UNREAD_OF_ALL)


@router.post(
    "/batch",
    responses={
        200: {
            "description": "One line per request, in order; `line` counts from 1.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "description": "JSON texts, one per line."}}},
        },
        **responses(415, 422, 503),
    },
    summary="Decide for many customers, one JSON request per line",
    response_class=Response,
    openapi_extra={
        "parameters": [
            {
                **KEY_PARAMETER,
                "description": "Makes retrying safe: of the same lines sent again under the same key, those decided "
                "before get their first answers. Each API key has its own.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                MEDIA_TYPE: {
                    "schema": {
                        "type": "string",
                        "description": f"Bodies of `/v1/decisions`, one per line of up to {LONGEST_LINE:,} bytes.",
                    },
                    "example": _EXAMPLE,
                }
            },
        },
    },
)
async def decide_batch(
    http: Request, candidates: Annotated[bool, Query(description="Also rank what could have been chosen.")] = False
) -> Response:
    """Choose and log as for single requests, line by line.

    A line that is refused has a `problem` instead of a decision; the others go on. Lines about one customer are
    decided in their order. Answers may be read while lines are still being sent.
    """
    check_media_type(http, MEDIA_TYPE)
    key = idempotency_key(http)
    service = service_of(http)
    service.policies.required()
    return _Lines(_Batch(http, service, key=key, candidates=candidates), http.app.state.disk_room)


class _Batch:
    """The answers to one call, as they come."""

    def __init__(self, http: Request, service: Service, *, key: str | None, candidates: bool) -> None:
        self._http = http
        self._service = service
        self._key = key
        self._candidates = candidates
        self._request_id: str | None = http.scope.get("journey.request_id")

    async def answers(self) -> AsyncIterator[bytes]:
        """One piece per transaction."""
        line = 0
        async for lines in _gathered(self._http):
            answers: list[bytes | None] = [None] * len(lines)
            jobs: dict[int, DecisionJob] = {}
            for i, text in enumerate(lines):
                if not text.strip():
                    continue
                try:
                    jobs[i] = self._job(text, line=line + i + 1)
                except (ProblemError, ValidationError) as error:
                    answers[i] = self._refusal(error, line=line + i + 1)
            for i, made in zip(jobs, await self._decide(list(jobs.values())), strict=True):
                if isinstance(made, DecisionMade):
                    answers[i] = batch_decision_json(made, line=line + i + 1)
                else:
                    answers[i] = self._refusal(made, line=line + i + 1)
            line += len(lines)
            yield b"".join(answer for answer in answers if answer is not None)

    def _job(self, text: bytes, *, line: int) -> DecisionJob:
        if len(text) > LONGEST_LINE:
            raise ProblemError(
                413, "body-too-large", detail=f"the line is longer than {LONGEST_LINE:,} bytes", fix=_ONE_PER_LINE
            )
        job = job_of(_request(text), self._service, candidates=self._candidates)
        if self._key is None:
            return job
        key = kept_key(self._http, self._key, line=line)
        return replace(job, key=key, fingerprint=digest(job.customer_id + job.request))

    async def _decide(self, jobs: Sequence[DecisionJob]) -> Sequence[DecisionMade | ServiceError]:
        if not jobs:
            return []
        try:
            return await self._service.decide_many(jobs)
        except ServiceError as refusal:
            return [refusal] * len(jobs)

    def _refusal(self, error: ProblemError | ServiceError | ValidationError, *, line: int) -> bytes:
        problem = problem_of(error, request_id=self._request_id)
        self._service.metrics.refused(problem.type.rpartition(":")[2])
        return BatchRefusal(line=line, problem=problem).model_dump_json().encode() + b"\n"


class _Lines(Response):
    """Sends answers as they come, and never waits for a client that reads none until it has sent everything."""

    def __init__(self, batch: _Batch, room: DiskRoom) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self._batch = batch
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one call."""
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with Spool(in_memory=_IN_MEMORY, most=_UNREAD, room=self._room) as unread:
            working = asyncio.create_task(self._work(unread))
            try:
                while piece := await unread.get(_READ):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await working
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                working.cancel()

    async def _work(self, unread: Spool) -> None:
        try:
            with suppress(ClientDisconnect):
                async for piece in self._batch.answers():
                    await unread.put(piece)
        finally:
            await unread.end()


def _request(text: bytes) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate_json(text)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
        if first["type"] != "json_invalid":
            raise
        raise invalid([FieldProblem(field="body", problem=first["msg"], fix=_ONE_PER_LINE)]) from error


async def _gathered(http: Request) -> AsyncIterator[list[bytes]]:
    """The lines of a body, `LINES` at a time; empty ones are there too, so that lines can be counted."""
    rest, lines = b"", []
    async for chunk in http.stream():
        *whole, rest = (rest + chunk).split(b"\n")
        lines += whole
        while len(lines) >= LINES:
            yield lines[:LINES]
            lines = lines[LINES:]
        # Of a line that is too long, its beginning is enough to refuse it.
        rest = rest[: LONGEST_LINE + 1]
    if rest.strip():
        lines.append(rest)
    if lines:
        yield lines
