"""API keys: `jo_<id>_<secret>`, of which only the id and a digest of the secret are kept.

The digest is plain SHA-256. Slow hashes protect passwords, which people choose and which can be guessed; a secret of
256 random bits cannot be guessed however fast the hash is, and a slow one would cost every request its time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from orchestrator.access.rates import Rate
from orchestrator.access.scopes import Scope

_FORM = re.compile(r"jo_([0-9a-f]{12})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key; times in seconds since 1970 UTC.

    Attributes:
        id: public; names the key in lists and logs.
        name: what it is for, as its maker called it.
        scopes: what it allows; `admin` allows everything.
        digest: of the secret.
        created_at: when it was made.
        expires_at: from when on it is refused; none for never.
        revoked_at: when it was revoked; none if it was not.
        last_used_at: roughly; none for never.
        rate: how often it may ask; none for any.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    rate: Rate | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the key holds a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def fault(self, now: float) -> str:
        """Why the key is refused now; empty if it is not."""
        if self.revoked_at is not None:
            return "was revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "has expired"
        return ""


def new_key(
    name: str, *, scopes: frozenset[Scope], now: float, expires_in: float | None = None, rate: Rate | None = None
) -> tuple[ApiKey, str]:
    """A new key, and its text, which nobody can make again.

    Args:
        name: what it is for.
        scopes: what it allows.
        now: seconds since 1970 UTC.
        expires_in: seconds until it expires; none for never.
        rate: how often it may ask; none for any.
    """
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    key = ApiKey(
        id=key_id,
        name=name,
        scopes=scopes,
        digest=digest(secret),
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
        rate=rate,
    )
    return key, f"jo_{key_id}_{secret}"


def split(text: str) -> tuple[str, str]:
    """Id and secret of a key's text; both empty if it is no such text."""
    found = _FORM.fullmatch(text)
    return (found[1], found[2]) if found else ("", "")


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()
