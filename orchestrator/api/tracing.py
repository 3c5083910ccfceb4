"""A request id for every request, on its answer and on its log lines."""

from __future__ import annotations

import random
import re
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

# Where the door leaves the id of the key that let a request in.
KEY_ID = "journey.key_id"

# Not secret, and os.urandom would hand the interpreter lock to the writer thread on every request.
_ids = random.Random()  # noqa: S311

_SAFE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Takes `X-Request-ID` or makes one; logs refusals and failures, never what a request held."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _SAFE.fullmatch(given) else b"%016x" % _ids.getrandbits(64)
        scope["journey.request_id"] = request_id.decode()
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", request_id))
                if message["status"] >= 400:
                    _log_refusal(scope, message["status"], time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, send_with_id)


def _log_refusal(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    (log.error if status >= 500 else log.info)(
        "request refused",
        request_id=scope["journey.request_id"],
        key=scope.get(KEY_ID),
        method=scope["method"],
        # The template, not the path: a path may hold an id.
        route=getattr(route, "path", None),
        status=status,
        milliseconds=round(seconds * 1000, 1),
    )
