"""From a request's body to what the service is asked."""

from __future__ import annotations

from orchestrator.api.models.decisions import DecisionRequest
from orchestrator.api.problems import invalid, unknown_name
from orchestrator.profiles.context import DEVICES
from orchestrator.serving.jobs import DecisionJob
from orchestrator.serving.service import Service

_SAID_ALREADY = {"customer_id"}
_ONE_RESULT = {"customer_id", "slots", "same_subject"}


def job_of(body: DecisionRequest, service: Service, *, candidates: bool = True) -> DecisionJob:
    """A request for a decision, its names checked.

    Raises:
        ProblemError: 422, a channel, placement or part of the context is not known.
    """
    return DecisionJob(
        customer_id=body.customer_id,
        channels=_channels(body, service),
        context=_context(body, service),
        request=body.model_dump_json(exclude=_SAID_ALREADY if body.slots > 1 else _ONE_RESULT, exclude_none=True),
        slots=body.slots,
        same_subject=body.same_subject,
        candidates=candidates,
    )


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
