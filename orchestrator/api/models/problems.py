"""What an error looks like: RFC 9457 problem documents."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FieldProblem(BaseModel):
    """One field at fault."""

    field: str = Field(description="Where: `context.hour`, `[3].event_id`, `header Idempotency-Key`.")
    problem: str
    fix: str


class Problem(BaseModel):
    """Problem document (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:journey:problem:unknown-customer",
                    "title": "Unknown customer",
                    "status": 404,
                    "detail": "no event of this customer was ever received",
                    "fix": "send an event for this customer to POST /v1/events first",
                    "errors": [],
                    "request_id": "5f0c6b0e9b5e4f0f",
                }
            ]
        }
    )

    type: str = Field(description="Stable name of the kind of problem, `urn:journey:problem:...`.")
    title: str
    status: int
    detail: str
    fix: str = Field(description="What to do about it.")
    errors: list[FieldProblem] = Field(default=[], description="The fields at fault, where there are any.")
    request_id: str | None = Field(default=None, description="Quote this when asking for help; it is in the logs.")
