"""Receiving what customers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter

from orchestrator.api.bodies.answers import facts_response
from orchestrator.api.bodies.cloud_events import CloudEventsRoute
from orchestrator.api.bodies.text_attributes import text_attributes
from orchestrator.api.deps import ServiceDep
from orchestrator.api.models.events import EventRequest, EventsRequest
from orchestrator.api.models.fields import timestamp
from orchestrator.api.models.outcomes import FactsResponse
from orchestrator.api.models.problems import FieldProblem
from orchestrator.api.problems import ProblemError, invalid, refuse_future, refuse_repeated_ids, responses
from orchestrator.errors import EventError
from orchestrator.ingest.cloudevents import BATCH_MEDIA_TYPE, MEDIA_TYPE
from orchestrator.profiles import Events, ProfileSchema
from orchestrator.serving.jobs import EventsJob

_CLOUD_EVENTS = {
    MEDIA_TYPE: {"schema": {"type": "object"}},
    BATCH_MEDIA_TYPE: {"schema": {"type": "array", "items": {"type": "object"}}},
}

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=CloudEventsRoute)


@router.post(
    "",
    responses=responses(400, 413, 415, 422, 503),
    summary="Tell what customers did: one event or a list",
    openapi_extra={"requestBody": {"content": _CLOUD_EVENTS}},
)
async def receive_events(body: EventsRequest, service: ServiceDep) -> FactsResponse:
    """Keep the events and bring their customers' profiles up to date, all or none of the request.

    CloudEvents 1.0 are read too: structured (`application/cloudevents+json`), as a batch
    (`application/cloudevents-batch+json`), or binary (`ce-` headers). `source` and `id` together are the event's id,
    `time` is its time, `subject` the customer unless the data names a `customer_id`; the data holds the other fields.
    """
    sent = body if isinstance(body, list) else [body]
    ids = [event.event_id for event in sent]
    refuse_repeated_ids("event_id", ids, sent)
    many, now = isinstance(body, list), service.settings.clock()
    refuse_future([event.timestamp for event in sent], now=now, many=many)
    texts = text_attributes(
        [event.attributes or {} for event in sent],
        fields=service.settings.retailer.profiles.content_fields,
        profile=service.schema.attributes,
        many=many,
    )
    job = EventsJob(
        events=_read(service.schema, sent, texts, many=many, now=now),
        # Without the customer: a column says whose an event is, which may change, and the id be another's then.
        bodies=[event.model_dump_json(exclude_none=True, exclude={"customer_id"}) for event in sent],
        texts=texts,
    )
    return facts_response(ids, await service.record(job))


def _read(
    schema: ProfileSchema,
    sent: Sequence[EventRequest],
    texts: Sequence[Mapping[str, str]],
    *,
    many: bool,
    now: float,
) -> Events:
    records = []
    for event, of_event in zip(sent, texts, strict=True):
        record = event.model_dump(exclude_none=True)
        record["timestamp"] = (event.timestamp or timestamp(now)).isoformat()
        # A text may be an attribute too: then policies know it as well.
        only_text = of_event.keys() - schema.attributes.keys()
        if only_text:
            record["attributes"] = {k: v for k, v in record["attributes"].items() if k not in only_text}
        records.append(record)
    try:
        return Events.from_records(schema, records, now=now)
    except EventError as error:
        raise _refusal(error, many=many) from error


def _refusal(error: EventError, *, many: bool) -> ProblemError:
    fault = error.fault
    if fault is None:
        return invalid([FieldProblem(field="body", problem=str(error), fix="correct it")])
    place = f"[{fault.row}].{fault.field}" if many else fault.field
    # Names of channels and the like may be quoted; what is said of a customer may not, since answers get logged.
    quoted = fault.value and fault.field in ("type", "channel", "category")
    problem = f"{fault.value}: {fault.problem}" if quoted else fault.problem
    return invalid([FieldProblem(field=place, problem=problem, fix=fault.fix or "correct it")])
