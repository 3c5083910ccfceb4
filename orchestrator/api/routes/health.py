"""Whether the process is alive, and whether it can decide."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from orchestrator.api.deps import ServiceDep
from orchestrator.api.problems import responses

router = APIRouter(tags=["health"])


class HealthResponse(BaseModel):
    """All is well."""

    status: str = "ok"


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> HealthResponse:
    """Answers as long as the process runs."""
    return HealthResponse()


@router.get("/readyz", responses=responses(503), summary="Can it decide?")
async def readyz(service: ServiceDep) -> HealthResponse:
    """Answers 503 until there is a policy and the database takes writes."""
    await service.check_ready()
    return HealthResponse()
