"""Bodies of /v1/outcomes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.models.fields import Amount, Body, Identifier, Name, OneOrMany, PastTime


class OutcomeRequest(Body):
    """A fact that followed a decision."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "outcome_id": "order-881",
                    "decision_id": "01936f3e-9d3a-7c41-a6a4-0f2a6be3c1d9",
                    "type": "purchase",
                    "value": 59.9,
                    "timestamp": "2026-01-20T18:20:00Z",
                }
            ]
        }
    )

    outcome_id: Identifier = Field(
        description="Yours; sending it again changes nothing. The same id at /v1/events is the same fact."
    )
    decision_id: Identifier
    type: Name = Field(
        description="One of the outcomes in goals.yaml; or `sent`, `seen` or `failed` (it will not be sent), by which "
        "the channel reports what became of a contact."
    )
    value: Amount = Field(
        default=0.0,
        description="Money it carries: an order total, what was paid back. A `purchase` or `return` needs it.",
    )
    timestamp: PastTime | None = Field(default=None, description="When it happened; now if left out.")
    slot: Annotated[int, Field(ge=1, le=20)] = Field(
        default=1, description="Which result it is about, where a decision has several: 1 for the first."
    )


OutcomesRequest = OneOrMany[OutcomeRequest]


class FactReceipt(BaseModel):
    """What became of one fact."""

    id: str
    status: str = Field(description="`accepted`, or `duplicate` if this id was in the log already.")


class FactsResponse(BaseModel):
    """What became of each fact, in the order sent; all of it is in the log."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"accepted": 1, "duplicates": 0, "items": [{"id": "order-881", "status": "accepted"}]}]
        }
    )

    accepted: int
    duplicates: int
    items: list[FactReceipt]


class OutcomeRecord(BaseModel):
    """An outcome in the log."""

    outcome_id: str
    type: str
    value: float
    slot: int
    timestamp: datetime
    received_at: datetime
