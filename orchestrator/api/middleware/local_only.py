"""Without keys, only this machine may ask: not a web page from elsewhere that a browser on it shows."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.problems import ProblemError, problem_response


class LocalOnly:
    """Refuses what was addressed to another name, or sent by a page of another site.

    A page may let its own name point to this machine, or send simple requests here without being able to read answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin")
            if not _is_here(f"//{host}") or (origin is not None and not _is_here(origin.decode("latin-1"))):
                refusal = ProblemError(
                    403,
                    "not-from-here",
                    detail="without keys, only this machine may ask, at localhost or 127.0.0.1",
                    fix="ask http://localhost:PORT, or serve without --dev and send a key",
                )
                await problem_response(Request(scope), refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether a name or address is of this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_here(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
