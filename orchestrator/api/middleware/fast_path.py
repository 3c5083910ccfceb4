"""The routes asked most often are answered before the router, which would cost more than all the rest of a request."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.trace import get_current_span
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.bodies.strict_json import FastPathRoute, StrictJsonRequest
from orchestrator.api.problems import ProblemError, problem_response, refusal_problem
from orchestrator.serving.errors import ServiceError


class FastPath:
    """Answers requests to some routes itself, as the router would.

    Args:
        app: answers all others.
        routes: to be answered here; their paths have no parameters.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[FastPathRoute]) -> None:
        self._app = app
        self._routes = {(method, route.path): route for route in routes for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route  # which metrics and log lines name
        span = get_current_span()
        if span.is_recording():
            span.set_attribute("http.route", route.path)
            span.update_name(f"{scope['method']} {route.path}")
        request = StrictJsonRequest(scope, receive)
        try:
            response = await route.answer(request)
        except ProblemError as problem:
            response = problem_response(request, problem)
        except ServiceError as refusal:
            response = problem_response(request, refusal_problem(refusal))
        await response(scope, receive, send)
