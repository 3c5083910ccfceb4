"""Whether the process is alive, and whether it can decide."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.deps import ServiceDep
from orchestrator.api.models.problems import Problem
from orchestrator.api.problems import MEDIA_TYPE, problem_of

router = APIRouter(tags=["health"])

_NO_CHAMPION = "no version of journey-policy, the model this server follows, has been promoted yet"


class HealthResponse(BaseModel):
    """All is well."""

    status: str = "ok"


class Check(BaseModel):
    """One thing a decision needs."""

    ok: bool
    reason: str | None = Field(default=None, description="What is wrong with it.")


class ReadyResponse(BaseModel):
    """It can decide."""

    status: str = "ok"
    checks: dict[str, Check] = Field(
        description="`running`: not told to stop. `policy`: one serves. `writer`: its thread is alive. "
        "`queue`: there is room. `database`: it took a write, and has this program's schema."
    )


class NotReady(Problem):
    """It cannot; the first check that fails is the problem."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:journey:problem:no-policy",
                    "title": "No policy",
                    "status": 503,
                    "detail": _NO_CHAMPION,
                    "fix": "train a policy that fits this configuration (`journey train`), or promote one",
                    "errors": [],
                    "request_id": "5f0c6b0e9b5e4f0f",
                    "checks": {
                        "running": {"ok": True, "reason": None},
                        "policy": {
                            "ok": False,
                            "reason": _NO_CHAMPION,
                        },
                        "writer": {"ok": True, "reason": None},
                        "queue": {"ok": True, "reason": None},
                        "database": {"ok": True, "reason": None},
                    },
                }
            ]
        }
    )

    checks: dict[str, Check]


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> HealthResponse:
    """Answers as long as the process runs and its event loop turns; says nothing about anything else."""
    return HealthResponse()


@router.get(
    "/readyz",
    response_model=ReadyResponse,
    responses={503: {"description": "It cannot decide.", "model": NotReady}},
    summary="Can it decide?",
)
async def readyz(http: Request, service: ServiceDep) -> Response:
    """Answers 503 until there is a policy and the database takes writes, and from the signal to stop on."""
    found = await service.ready()
    checks = {name: Check(ok=error is None, reason=str(error) if error else None) for name, error in found.items()}
    wrong = next((error for error in found.values() if error), None)
    if wrong is None:
        return Response(ReadyResponse(checks=checks).model_dump_json(), media_type="application/json")
    problem = problem_of(wrong, request_id=http.scope.get("journey.request_id"))
    body = NotReady(**problem.model_dump(), checks=checks)
    headers = {"Retry-After": str(wrong.retry_after)}
    return Response(body.model_dump_json(), status_code=503, media_type=MEDIA_TYPE, headers=headers)
