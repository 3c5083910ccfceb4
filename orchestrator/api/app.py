"""The application: `create_app(settings)` shares nothing with another one in the same process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from orchestrator.api.docs import add_docs
from orchestrator.api.problems import add_problem_handlers, problem_media_types
from orchestrator.api.routes import batch, decisions, events, health, metrics, outcomes, policy
from orchestrator.api.traces import telemetry_of
from orchestrator.api.tracing import RequestIds
from orchestrator.service.service import Service, ServiceSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

DESCRIPTION = """
Next best action per customer, across channels.

1. Send what customers do to `POST /v1/events`.
2. Ask `POST /v1/decisions` what to do for one of them now. `hold` (do nothing) is a normal answer.
3. Send what became of it to `POST /v1/outcomes`, with the `decision_id`: `sent`, `seen` or `failed` by the channel that
   carried it, and what the customer did.

Whatever is answered with 200 is on disk. Repeating a request is safe: events and outcomes are known by
their ids, decisions by the `Idempotency-Key` header. Every error is an `application/problem+json`
document (RFC 9457) that names the field and the fix.
"""


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        return problem_media_types(super().openapi())


def create_app(settings: ServiceSettings, *, tracer_provider: TracerProvider | None = None) -> FastAPI:
    """Build the HTTP application; its lifespan opens the database and starts the writer and the watcher.

    Args:
        settings: of the service.
        tracer_provider: takes spans, as `traces.collector` makes one; none for no traces.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Service(settings, tracer_provider=tracer_provider) as service:
            app.state.service = service
            yield

    app = _Application(
        title="Journey orchestrator",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        telemetry=telemetry_of(tracer_provider),
    )
    app.state.max_body_bytes = settings.retailer.serving.max_body_bytes
    app.add_middleware(RequestIds, access_log=settings.retailer.serving.operations.access_log)
    add_problem_handlers(app)
    routers = (
        decisions.router,
        batch.router,
        decisions.explain_router,
        events.router,
        outcomes.router,
        policy.router,
        health.router,
        metrics.router,
    )
    for router in routers:
        app.include_router(router)
    add_docs(app)
    return app
