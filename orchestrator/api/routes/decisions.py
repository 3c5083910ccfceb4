"""Asking for decisions, and reading them back."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from orchestrator.api.answers import decision_json, decision_record, explanation
from orchestrator.api.deps import ServiceDep, service_of
from orchestrator.api.models.decisions import DecisionRecord, DecisionRequest, DecisionResponse, Explanation
from orchestrator.api.models.fields import Identifier
from orchestrator.api.problems import FieldProblem, invalid, responses, unknown_name
from orchestrator.api.strict_json import StrictJsonRoute
from orchestrator.profiles.context import DEVICES
from orchestrator.service.jobs import DecisionJob
from orchestrator.service.layout import digest
from orchestrator.service.service import Service

router = APIRouter(prefix="/v1/decisions", tags=["decisions"], route_class=StrictJsonRoute)
explain_router = APIRouter(prefix="/v1/explain", tags=["decisions"], route_class=StrictJsonRoute)

_KEY = "Idempotency-Key"
_KEY_PARAMETER = {
    "name": _KEY,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Makes retrying safe: a repeat of the same request with the same key gets the first answer.",
}


@router.post(
    "",
    response_model=DecisionResponse,
    responses=responses(400, 404, 409, 413, 415, 422, 503),
    summary="Decide what to do for one customer now",
    openapi_extra={"parameters": [_KEY_PARAMETER]},
)
async def decide(body: DecisionRequest, http: Request) -> Response:
    """Choose among the eligible actions, log the choice with its probability, and answer it."""
    # Read here, not injected: on this route alone, a dependency and a header cost a quarter of a request.
    service, idempotency_key = service_of(http), _idempotency_key(http)
    job = _job(body, service)
    if idempotency_key:
        job = replace(job, key=idempotency_key, fingerprint=digest(body.customer_id + job.request))
    # Already checked against DecisionResponse by construction (and by a test): not validated twice.
    return Response(decision_json(await service.decide(job)), media_type="application/json")


@router.get("/{decision_id}", responses=responses(404, 422), summary="Why this decision was made")
async def read_decision(decision_id: Annotated[Identifier, Path()], service: ServiceDep) -> DecisionRecord:
    """Everything logged about a decision, and what followed."""
    made, outcomes = await service.read_decision(decision_id)
    return decision_record(made, outcomes, service.contributions_to(made))


@explain_router.post(
    "", responses=responses(400, 404, 413, 415, 422, 503), summary="Why, and why not, without deciding"
)
async def explain(body: DecisionRequest, service: ServiceDep) -> Explanation:
    """Say what would be decided now for every action, and what would have to change; nothing is logged or counted."""
    return explanation(await service.explain(_job(body, service)), service.core)


def _job(body: DecisionRequest, service: Service) -> DecisionJob:
    return DecisionJob(
        customer_id=body.customer_id,
        channels=_channels(body, service),
        context=_context(body, service),
        request=body.model_dump_json(exclude={"customer_id"}, exclude_none=True, exclude_defaults=True),
        slots=body.slots,
        same_subject=body.same_subject,
    )


def _idempotency_key(http: Request) -> str | None:
    key = http.headers.get(_KEY)
    if key is not None and not 1 <= len(key) <= 200:
        problem = FieldProblem(field=f"header {_KEY}", problem=f"has {len(key)} characters", fix="send 1 to 200")
        raise invalid([problem])
    return key


def _channels(body: DecisionRequest, service: Service) -> tuple[str, ...]:
    """The channels asked for; a placement belongs to one channel."""
    channels = service.settings.retailer.channels
    if body.placement is not None:
        of_placement = {place: name for name, channel in channels.items() for place in channel.placements}
        if body.placement not in of_placement:
            raise invalid([unknown_name("placement", body.placement, of_placement)])
        return (of_placement[body.placement],)
    wrong = [
        unknown_name(f"channels[{i}]", name, channels)
        for i, name in enumerate(body.channels or ())
        if name not in channels
    ]
    if wrong:
        raise invalid(wrong)
    return tuple(body.channels or ())


def _context(body: DecisionRequest, service: Service) -> dict[str, str | int | None]:
    context = body.context
    known = {"device": DEVICES, "category": service.schema.categories}
    wrong = [
        unknown_name(f"context.{field}", given, names)
        for field, names in known.items()
        if (given := getattr(context, field)) is not None and given not in names
    ]
    if wrong:
        raise invalid(wrong)
    return {
        "placement": body.placement,
        "device": context.device,
        "hour": context.hour,
        "category": context.category,
    }
