"""What is held about a customer: reading it, taking it along, erasing it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from orchestrator.api.deps import ServiceDep
from orchestrator.api.middleware.request_ids import KEY_ID
from orchestrator.api.models.customers import CustomerResponse, ErasureResponse, LastDecisionRecord
from orchestrator.api.models.fields import Identifier, finite_or_none, timestamp
from orchestrator.api.problems import responses

router = APIRouter(prefix="/v1/customers", tags=["customers"])

CustomerId = Annotated[Identifier, Path()]
_LINES = "application/x-ndjson"
_IN_MEMORY = 2**20  # bytes of an export; a longer one is copied to a file
_PIECE = 65_536


# Ids may hold slashes. An id that ends in /export is read on the command line.
@router.get(
    "/{customer_id:path}/export",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_LINES: {"schema": {"type": "string"}}}, "description": "One JSON object per line."},
        **responses(404, 422, 503),
    },
    summary="Everything held about a customer",
)
async def export_customer(customer_id: CustomerId, service: ServiceDep, http: Request) -> StreamingResponse:
    """A line per row, with its `table`; the last one, of the table `end`, says how many there were. Audited."""
    rows = await service.export_customer(customer_id, who=_who(http))
    # All of it first: while the client reads, nothing of the database is held open, nor kept from being erased.
    copied = await asyncio.to_thread(_copied, rows)
    return StreamingResponse(_pieces(copied), media_type=_LINES)


@router.get("/{customer_id:path}", responses=responses(404, 422, 503), summary="What is known of a customer now")
async def read_customer(customer_id: CustomerId, service: ServiceDep) -> CustomerResponse:
    """Features, consent, stated texts, and the latest decisions."""
    found = await service.read_customer(customer_id)
    return CustomerResponse(
        customer_id=found.customer_id,
        features={name: finite_or_none(value) for name, value in found.features.items()},
        consent=dict(found.consent),
        stated=dict(found.stated),
        other_ids=list(found.other_ids),
        decisions=[
            LastDecisionRecord(
                decision_id=made.decision_id,
                decided_at=timestamp(made.decided_at),
                action=made.action,
                policy_version=made.policy_version,
            )
            for made in found.decisions
        ],
    )


@router.delete("/{customer_id:path}", responses=responses(422, 503), summary="Erase everything about a customer")
async def erase_customer(customer_id: CustomerId, service: ServiceDep, http: Request) -> ErasureResponse:
    """Every row about the customer goes; of decisions, counts per day, action and version are kept. Audited.

    Erasing again is fine. Facts that are sent again afterwards are new facts.
    """
    erased, wiped = await service.erase_customer(customer_id, who=_who(http))
    return ErasureResponse(erased=erased.rows, wiped=wiped)


def _who(http: Request) -> str:
    return str(http.scope.get(KEY_ID, "dev"))


def _copied(rows: Iterator[Mapping[str, Any]]) -> IO[bytes]:
    """Rows as lines, in memory while they are few."""
    copy = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed in _pieces
    try:
        for row in rows:
            copy.write(to_json(row, inf_nan_mode="null") + b"\n")
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _pieces(copy: IO[bytes]) -> Iterator[bytes]:
    with copy:
        while piece := copy.read(_PIECE):
            yield piece
