"""The door: every request needs a key that allows it, before anything of its body is read."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable

from fastapi import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.access.key_ring import KeyRing
from orchestrator.access.keys import ApiKey
from orchestrator.access.rates import Rate
from orchestrator.access.scopes import Scope as Permission
from orchestrator.access.token_bucket import TokenBucket
from orchestrator.api.middleware.request_ids import KEY_ID
from orchestrator.api.problems import ProblemError, problem_response
from orchestrator.api.scopes import scope_needed
from orchestrator.errors import AccessError

_REALM = 'Bearer realm="journey-orchestrator"'
_HOW = "send a key made by `journey keys create` as Authorization: Bearer KEY, or as X-API-Key: KEY"


class Access:
    """Lets a request through if its key allows it; the key's id is in the scope from then on.

    The application's `state.keys` holds the keys. Requests are counted here, so each server process counts its own.

    Args:
        app: what is behind the door.
        clock: seconds.
    """

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "http" and (needed := scope_needed(scope["method"], scope["path"])) is not None:
            ring: KeyRing = scope["app"].state.keys
            try:
                key = _key_of(scope, ring)
                scope[KEY_ID] = key.id
                if key.rate is not None:
                    send = self._counted(key.id, key.rate, send)
                if not (key.allows(needed) or _nothing_there(scope)):
                    raise _scope_missing(key, needed)
            except ProblemError as refusal:
                await problem_response(Request(scope), refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _counted(self, key_id: str, rate: Rate, send: Send) -> Send:
        """Sending that tells how much of the rate is left.

        Raises:
            ProblemError: nothing is left.
        """
        now = self._clock()
        bucket = self._buckets.get(key_id)
        if bucket is None:
            bucket = self._buckets[key_id] = TokenBucket(rate, now=now)
        passes = bucket.take(now)
        told = {
            "RateLimit-Policy": f'"key";q={rate.limit};w={rate.window:.0f}',
            "RateLimit": f'"key";r={bucket.left};t={bucket.full_in}',
        }
        if not passes:
            raise ProblemError(
                429,
                "too-many-requests",
                detail=f"the key {key_id} may ask {rate} at this server",
                fix="wait for the seconds in Retry-After, then send the request again; events can be sent many at once",
                headers={"Retry-After": str(bucket.wait), **told},
            )
        headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].extend(headers)
            await send(message)

        return send_counted


def _key_of(scope: Scope, ring: KeyRing) -> ApiKey:
    text = _key_text(scope)
    if not text:
        raise _unauthorised("the request has no key", _REALM)
    try:
        return ring.find(text)
    except AccessError as error:
        raise _unauthorised(f"the key {error}", f'{_REALM}, error="invalid_token"') from error


def _nothing_there(scope: Scope) -> bool:
    """Whether no route answers the path, or none the method: then a mistake is to be told as one, not as a scope."""
    return all(route.matches(scope)[0] != Match.FULL for route in scope["app"].routes)


def _scope_missing(key: ApiKey, needed: Permission) -> ProblemError:
    return ProblemError(
        403,
        "scope-missing",
        detail=f"the key {key.id} lacks the scope {needed.value!r}",
        fix=f"use a key with the scope {needed.value!r}; a key's scopes never change, so make another one",
        headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{needed.value}"'},
    )


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
