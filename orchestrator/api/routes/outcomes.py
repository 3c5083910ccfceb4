"""Receiving what followed decisions."""

from __future__ import annotations

from fastapi import APIRouter

from orchestrator.api.bodies.answers import facts_response
from orchestrator.api.bodies.strict_json import StrictJsonRoute
from orchestrator.api.deps import ServiceDep
from orchestrator.api.models.outcomes import FactsResponse, OutcomesRequest
from orchestrator.api.models.problems import FieldProblem
from orchestrator.api.problems import invalid, refuse_future, refuse_repeated_ids, responses, unknown_name
from orchestrator.config.fact_types import NEEDS, REPORTED
from orchestrator.serving.jobs import Outcome, OutcomesJob

router = APIRouter(prefix="/v1/outcomes", tags=["outcomes"], route_class=StrictJsonRoute)


@router.post(
    "",
    responses=responses(400, 404, 413, 415, 422, 503),
    summary="Tell what followed a decision: one outcome or a list",
)
async def receive_outcomes(body: OutcomesRequest, service: ServiceDep) -> FactsResponse:
    """Keep the outcomes, all or none of the request; those that are events too count in the profile."""
    sent = body if isinstance(body, list) else [body]
    ids = [outcome.outcome_id for outcome in sent]
    refuse_repeated_ids("outcome_id", ids, sent)
    known = (*service.settings.retailer.goals.outcomes, *REPORTED)
    wrong = [
        unknown_name(f"[{i}].type" if isinstance(body, list) else "type", outcome.type, known)
        for i, outcome in enumerate(sent)
        if outcome.type not in known
    ]
    wrong += [
        FieldProblem(
            field=f"[{i}].value" if isinstance(body, list) else "value",
            problem="is missing",
            fix=f"a {outcome.type!r} outcome needs the money it moved",
        )
        for i, outcome in enumerate(sent)
        if outcome.type in NEEDS["value"] and "value" not in outcome.model_fields_set
    ]
    if wrong:
        raise invalid(wrong)
    now = service.settings.clock()
    refuse_future([outcome.timestamp for outcome in sent], now=now, many=isinstance(body, list))
    outcomes = [
        Outcome(
            outcome_id=outcome.outcome_id,
            decision_id=outcome.decision_id,
            type=outcome.type,
            value=outcome.value,
            timestamp=outcome.timestamp.timestamp() if outcome.timestamp else now,
            body=outcome.model_dump_json(exclude_none=True),
            slot=outcome.slot,
        )
        for outcome in sent
    ]
    return facts_response(ids, await service.record(OutcomesJob(outcomes)))
