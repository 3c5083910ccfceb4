"""Asking for decisions, and reading them back."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from orchestrator.api.bodies.answers import decision_json, decision_record, explanation
from orchestrator.api.bodies.requests import job_of
from orchestrator.api.bodies.strict_json import FastPathRoute, StrictJsonRoute
from orchestrator.api.deps import ServiceDep, service_of
from orchestrator.api.middleware.request_ids import KEY_ID
from orchestrator.api.models.decisions import DecisionRecord, DecisionRequest, DecisionResponse, Explanation
from orchestrator.api.models.fields import Identifier
from orchestrator.api.models.problems import FieldProblem
from orchestrator.api.problems import invalid, responses
from orchestrator.log.decision_schema import digest

router = APIRouter(prefix="/v1/decisions", tags=["decisions"], route_class=FastPathRoute)
read_router = APIRouter(prefix="/v1/decisions", tags=["decisions"], route_class=StrictJsonRoute)
explain_router = APIRouter(prefix="/v1/explain", tags=["decisions"], route_class=StrictJsonRoute)

_KEY = "Idempotency-Key"
KEY_PARAMETER = {
    "name": _KEY,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Makes retrying safe: a repeat of the same request with the same key gets the first answer. Each "
    "API key has its own.",
}


@router.post(
    "",
    response_model=DecisionResponse,
    responses=responses(400, 404, 409, 413, 415, 422, 503),
    summary="Decide what to do for one customer now",
    openapi_extra={"parameters": [KEY_PARAMETER]},
)
async def decide(body: DecisionRequest, http: Request) -> Response:
    """Choose among the eligible actions, log the choice with its probability, and answer it."""
    service, key = service_of(http), idempotency_key(http)
    job = job_of(body, service)
    if key:
        job = replace(job, key=kept_key(http, key), fingerprint=digest(body.customer_id + job.request))
    # Already checked against DecisionResponse by construction (and by a test): not validated twice.
    return Response(decision_json(await service.decide(job)), media_type="application/json")


@read_router.get("/{decision_id}", responses=responses(404, 422), summary="Why this decision was made")
async def read_decision(decision_id: Annotated[Identifier, Path()], service: ServiceDep) -> DecisionRecord:
    """Everything logged about a decision, and what followed."""
    logged, outcomes = await service.read_decision(decision_id)
    return decision_record(logged, outcomes, service.contributions_to(logged))


@explain_router.post(
    "", responses=responses(400, 404, 413, 415, 422, 503), summary="Why, and why not, without deciding"
)
async def explain(body: DecisionRequest, service: ServiceDep) -> Explanation:
    """Say what would be decided now for every action, and what would have to change; nothing is logged or counted."""
    return explanation(await service.explain(job_of(body, service)), service.core)


def idempotency_key(http: Request) -> str | None:
    """The key of a request, if it has one.

    Raises:
        ProblemError: 422, it is empty or too long.
    """
    key = http.headers.get(_KEY)
    if key is not None and not 1 <= len(key) <= 200:
        problem = FieldProblem(field=f"header {_KEY}", problem=f"has {len(key)} characters", fix="send 1 to 200")
        raise invalid([problem])
    return key


def kept_key(http: Request, key: str, *, line: int | None = None) -> str:
    """How an idempotency key is kept: under the API key that asked, so that two programs never meet in one.

    Args:
        http: the request.
        key: as it was sent.
        line: of a batch; a batch and a single request never meet either.
    """
    # What is before the first space is ours alone, whatever was sent.
    who = http.scope.get(KEY_ID, "dev")
    return f"{who} {key}" if line is None else f"{who}/{line} {key}"
