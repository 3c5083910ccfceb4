"""How often a key may ask."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.errors import AccessError

_WINDOWS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` requests in `window` seconds on average, and at most `limit` at once."""

    limit: int
    window: float

    def __str__(self) -> str:
        unit = next((name for name, seconds in _WINDOWS.items() if seconds == self.window), f"{self.window:g} s")
        return f"{self.limit}/{unit}"


def read_rate(text: str) -> Rate:
    """A rate such as `100/s`, `600/min` or `5000/h`.

    Raises:
        AccessError: it is not like that.

    >>> read_rate("600/min")
    Rate(limit=600, window=60.0)
    """
    found = re.fullmatch(r"\s*([1-9]\d{0,8})\s*/\s*(s|min|h|d)\s*", text)
    if not found:
        raise AccessError(f"--rate {text!r} is no rate; write it like 100/s, 600/min or 5000/h")
    return Rate(int(found[1]), _WINDOWS[found[2]])
