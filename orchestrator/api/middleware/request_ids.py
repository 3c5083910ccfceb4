"""A request id for every request, on its answer and on its log lines; and its place in the metrics."""

from __future__ import annotations

import random
import re
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

# Where the door leaves the id of the key that let a request in.
KEY_ID = "journey.key_id"
# Where a refusal leaves its kind.
PROBLEM = "journey.problem"

# Not secret, and os.urandom would hand the interpreter lock to the writer thread on every request.
_ids = random.Random()  # noqa: S311

_SAFE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Takes `X-Request-ID` or makes one; logs refusals and failures, or every request, never what one held.

    Args:
        app: handles the request.
        access_log: whether to log every request.
    """

    def __init__(self, app: ASGIApp, *, access_log: bool = False) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _SAFE.fullmatch(given) else b"%016x" % _ids.getrandbits(64)
        scope["journey.request_id"] = request_id.decode()
        bound = structlog.contextvars.bind_contextvars(request_id=scope["journey.request_id"])
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            if service := getattr(scope["app"].state, "service", None):
                service.metrics.answered(route=_route(scope), method=scope["method"], status=status, seconds=seconds)
            if status >= 400 or self._access_log:
                _log(scope, status, seconds)
            structlog.contextvars.reset_contextvars(**bound)


def _log(scope: Scope, status: int, seconds: float) -> None:
    (log.error if status >= 500 else log.info)(
        "request refused" if status >= 400 else "request answered",
        request_id=scope["journey.request_id"],
        key=scope.get(KEY_ID),
        method=scope["method"],
        route=_route(scope) or None,
        status=status,
        **({"problem": scope[PROBLEM]} if PROBLEM in scope else {}),
        milliseconds=round(seconds * 1000, 1),
    )


def _route(scope: Scope) -> str:
    """The template, not the path: a path may hold an id. Empty where nothing is."""
    return getattr(scope.get("route"), "path", "")
