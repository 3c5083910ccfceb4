"""One request to the API, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

Answer = TypeVar("Answer", bound=BaseModel)
IDEMPOTENCY_KEY = "Idempotency-Key"


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request, which can be sent again as it is."""

    method: str
    path: str
    answer: type[Answer]
    body: bytes | None = None
    headers: Mapping[str, str] | None = None

    @property
    def key(self) -> str | None:
        """The idempotency key it is sent under, if it has one."""
        return (self.headers or {}).get(IDEMPOTENCY_KEY)
