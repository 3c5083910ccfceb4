"""The application: `create_app(settings)` shares nothing with another one in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from orchestrator.api.bodies.strict_json import FastPathRoute
from orchestrator.api.docs import add_docs
from orchestrator.api.middleware.access import Access
from orchestrator.api.middleware.fast_path import FastPath
from orchestrator.api.middleware.local_only import LocalOnly
from orchestrator.api.middleware.request_ids import RequestIds
from orchestrator.api.middleware.security_headers import SecurityHeaders
from orchestrator.api.middleware.telemetry import telemetry_of
from orchestrator.api.problems import add_problem_handlers, problem_media_types
from orchestrator.api.routes import (
    batch,
    customers,
    decisions,
    events,
    health,
    metrics,
    outcomes,
    policy,
    stock,
    webhooks,
)
from orchestrator.api.scopes import describe_scopes
from orchestrator.serving.service import Service, ServiceSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

DESCRIPTION = """
Next best action per customer, across channels.

1. Send what customers do to `POST /v1/events`, as it is or as CloudEvents; or let a Segment SDK send it to `/v1/batch`.
2. Ask `POST /v1/decisions` what to do for one of them now. `hold` (do nothing) is a normal answer.
3. Send what became of it to `POST /v1/outcomes`, with the `decision_id`: `sent`, `seen` or `failed` by the channel that
   carried it, and what the customer did.

What is sold out goes to `PUT /v1/stock`: decisions then say nothing that needs it.

Every request needs a key whose scopes allow it. Whatever is answered with 200 is on disk. Repeating a request is safe:
facts (events, outcomes, stock) are known by their ids, decisions by the `Idempotency-Key` header. Every error is an
`application/problem+json` document (RFC 9457) that names the field and the fix.
"""


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        schema = problem_media_types(super().openapi())
        return schema if self.state.dev else describe_scopes(schema)

    def build_middleware_stack(self) -> ASGIApp:
        # Outside of Starlette's own outermost, which answers crashes.
        return SecurityHeaders(super().build_middleware_stack())


def create_app(
    settings: ServiceSettings, *, dev: bool = False, tracer_provider: TracerProvider | None = None
) -> FastAPI:
    """Build the HTTP application; its lifespan opens the database and starts the writer and the watcher.

    Args:
        settings: what the service is made of.
        dev: let everybody on this machine in, without a key.
        tracer_provider: takes spans, as `traces.collector` makes one; none for no traces.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Service(settings, tracer_provider=tracer_provider) as service:
            app.state.service = service
            app.state.keys = service.keys
            app.state.disk_room = batch.disk_room()
            if not dev:
                await asyncio.to_thread(service.keys.start)
            try:
                yield
            finally:
                if not dev:
                    await asyncio.to_thread(service.keys.stop)

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
    app.state.dev = dev
    app.add_middleware(
        FastPath, routes=[route for route in decisions.router.routes if isinstance(route, FastPathRoute)]
    )
    if dev:
        app.add_middleware(LocalOnly)
    else:
        app.add_middleware(Access, clock=settings.clock)
    app.add_middleware(RequestIds, access_log=settings.retailer.serving.operations.access_log)
    add_problem_handlers(app)
    routers = (
        decisions.router,
        decisions.read_router,
        batch.router,
        decisions.explain_router,
        events.router,
        webhooks.router,
        outcomes.router,
        stock.router,
        customers.router,
        policy.router,
        health.router,
        metrics.router,
    )
    for router in routers:
        app.include_router(router)
    add_docs(app)
    return app
