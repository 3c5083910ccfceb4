"""Headers that tell browsers to do nothing with an answer but show it, on every answer."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.scopes import DOCS_FILES

ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = b"content-security-policy"
NOTHING = b"default-src 'none'; frame-ancestors 'none'"
_NO_STORE = (b"cache-control", b"no-store")


class SecurityHeaders:
    """Adds them outside of everything else, so that answers to crashes have them too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stored = scope["path"].startswith(DOCS_FILES)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if not any(name == _POLICY for name, _ in headers):
                    headers.append((_POLICY, NOTHING))
                if not stored:
                    headers.append(_NO_STORE)
                headers.extend(ALWAYS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def page_policy(html: str) -> str:
    """A content security policy for a page of our own: its own files, and the scripts that stand in it."""
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digests = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'none'; script-src 'self' {digests}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
