"""What a key may be allowed to do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from orchestrator.errors import AccessError, suggestion


class Scope(StrEnum):
    """One permission; each route of the API needs one."""

    DECIDE = "decide"
    EVENTS = "events"
    OUTCOMES = "outcomes"
    STOCK = "stock"
    EXPLAIN = "explain"
    CUSTOMERS = "customers"
    POLICY = "policy"
    METRICS = "metrics"
    ADMIN = "admin"


def read_scopes(text: str) -> frozenset[Scope]:
    """The scopes in a list separated by commas.

    Raises:
        AccessError: one is not known, or there is none.

    >>> sorted(read_scopes("events, decide"))
    [<Scope.DECIDE: 'decide'>, <Scope.EVENTS: 'events'>]
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [scope.value for scope in Scope]
    if not names:
        raise AccessError(f"--scopes {text!r} names none; {suggestion('', known)}")
    for name in names:
        if name not in known:
            raise AccessError(f"--scopes: {name!r} is no scope; {suggestion(name, known)}")
    return frozenset(map(Scope, names))


def write_scopes(scopes: Iterable[Scope]) -> str:
    """As `read_scopes` reads it, in the order of `Scope`."""
    held = set(scopes)
    return ",".join(scope.value for scope in Scope if scope in held)
