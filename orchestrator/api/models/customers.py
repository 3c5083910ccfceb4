"""Bodies of /v1/customers."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class LastDecisionRecord(BaseModel):
    """One of the latest decisions."""

    decision_id: str
    decided_at: datetime
    action: str
    policy_version: str


class CustomerResponse(BaseModel):
    """What is known of a customer now."""

    customer_id: str = Field(description="The customer's own, also where another of its ids was asked for.")
    features: dict[str, float | None] = Field(description="What policies are told, by name.")
    consent: dict[str, bool] = Field(description="Whether each channel may be used.")
    stated: dict[str, str] = Field(description="Texts the customer stated, by name.")
    other_ids: list[str] = Field(description="Other ids under which facts about the customer came.")
    decisions: list[LastDecisionRecord] = Field(description="The ten latest, the last one first.")


class ErasureResponse(BaseModel):
    """What was erased."""

    erased: dict[str, int] = Field(description="Rows deleted, by table; all zero if nothing was held.")
    wiped: bool = Field(
        description="Whether the bytes are gone from the files, too (of PostgreSQL: whether their place may be "
        "used again). If not, somebody else was using the database; ask again. If it stays so, what is held of "
        "somebody else says the id."
    )
