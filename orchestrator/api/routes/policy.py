"""What decides now."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestrator.api.deps import ServiceDep
from orchestrator.api.models.fields import timestamp
from orchestrator.api.problems import responses

router = APIRouter(prefix="/v1/policy", tags=["policy"])


class PolicyResponse(BaseModel):
    """The policy that decides now."""

    version: str = Field(description="As registered; logged with every decision.", examples=["journey-demo/2"])
    kind: str = Field(description="Kind of policy.", examples=["journey"])
    reward: str = Field(description="Unit of its scores.", examples=["money"])
    since: datetime = Field(description="When it began to serve in this process.")
    actions: list[str] = Field(description="Action ids it chooses among.")


@router.get("", responses=responses(503), summary="Which policy decides now?")
async def read_policy(service: ServiceDep) -> PolicyResponse:
    """The champion, as soon as it is loaded and checked."""
    served = service.policies.required()
    return PolicyResponse(
        version=served.version,
        kind=served.policy.name,
        reward=served.policy.reward_name,
        since=timestamp(served.since),
        actions=list(served.policy.actions.ids),
    )
