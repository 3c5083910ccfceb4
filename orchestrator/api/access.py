"""The door: every request needs a key that allows it, before anything of its body is read."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.access.key_ring import KeyRing
from orchestrator.access.keys import ApiKey
from orchestrator.access.scopes import Scope as Permission
from orchestrator.api.problems import ProblemError, problem_response
from orchestrator.api.scopes import scope_needed
from orchestrator.api.tracing import KEY_ID
from orchestrator.errors import AccessError

_REALM = 'Bearer realm="journey-orchestrator"'
_HOW = "send a key made by `journey keys create` as Authorization: Bearer KEY, or as X-API-Key: KEY"


class Access:
    """Lets a request through if its key allows it; the key's id is in the scope from then on.

    The application's `state.keys` holds the keys.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "http" and (needed := scope_needed(scope["method"], scope["path"])) is not None:
            ring: KeyRing = scope["app"].state.keys
            try:
                key = _authorised(scope, ring, needed)
            except ProblemError as refusal:
                await problem_response(Request(scope), refusal)(scope, receive, send)
                return
            scope[KEY_ID] = key.id
        await self._app(scope, receive, send)


def _authorised(scope: Scope, ring: KeyRing, needed: Permission) -> ApiKey:
    text = _key_text(scope)
    if not text:
        raise _unauthorised("the request has no key", _REALM)
    try:
        key = ring.find(text)
    except AccessError as error:
        raise _unauthorised(f"the key {error}", f'{_REALM}, error="invalid_token"') from error
    if not key.allows(needed):
        raise ProblemError(
            403,
            "scope-missing",
            detail=f"the key {key.id} lacks the scope {needed.value!r}",
            fix=f"use a key with the scope {needed.value!r}; a key's scopes never change, so make another one",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{needed.value}"'},
        )
    return key


def _key_text(scope: Scope) -> str:
    """The key a request carries: `X-API-Key` first, since a proxy may set `Authorization` for itself."""
    authorization = b""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return str(value.decode("latin-1")).strip()
        if name == b"authorization":
            authorization = value
    scheme, _, given = authorization.decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(given.strip(), validate=True).decode("latin-1").partition(":")[0]
        except NotBase64:
            return ""
    return ""


def _unauthorised(detail: str, challenge: str) -> ProblemError:
    return ProblemError(401, "no-usable-key", detail=detail, fix=_HOW, headers={"WWW-Authenticate": challenge})
