"""Local clocks of many customers: offsets from UTC, exact across changes to and from summer time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.config.contact_policy import DAY, time_zone
from orchestrator.errors import ContextError
from policies.arrays import Float64Array, IntArray


@dataclass(frozen=True)
class CustomerZones:
    """The time zones of n customers.

    Attributes:
        names: the distinct ones.
        code: int64 (n,), position in `names`.
    """

    names: tuple[str, ...]
    code: IntArray

    @classmethod
    def of(cls, zones: Sequence[str], *, default: str = "UTC") -> CustomerZones:
        """The zones of n customers, by name.

        Args:
            zones: names such as `Europe/Berlin`; empty for the default.
            default: the retailer's `time_zone`.

        Raises:
            ContextError: no such time zone, with the row and the nearest known name.
        """
        codes: dict[str, int] = {}
        code = np.array([codes.setdefault(name, len(codes)) for name in zones], dtype=np.int64)
        for name in codes:
            try:
                time_zone(name or default)
            except ValueError as error:
                raise ContextError(f"request {zones.index(name)}: time_zone = {name!r}: {error}") from None
        return cls(tuple(name or default for name in codes) or (default,), code)

    @classmethod
    def same(cls, zone: str, n: int) -> CustomerZones:
        """One zone for n customers."""
        return cls((zone,), np.zeros(n, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.code)

    def offsets(self, now: float) -> IntArray:
        """Seconds each customer's clock is ahead of UTC at a moment; int64 (n,)."""
        return np.array([offset(name, now) for name in self.names], dtype=np.int64)[self.code]


def offsets(zones: Sequence[str], now: float) -> IntArray:
    """Seconds that the clocks of n zones are ahead of UTC at a moment; int64 (n,).

    Args:
        zones: names such as `Europe/Berlin`.
        now: seconds since 1970 UTC.

    Raises:
        ContextError: no such time zone.

    >>> winter, summer = 1767225600.0, 1782864000.0
    >>> offsets(["Europe/Berlin", "Asia/Kathmandu"], winter), offsets(["Europe/Berlin"], summer)
    (array([ 3600, 20700]), array([7200]))
    """
    return CustomerZones.of(zones).offsets(now)


def offset(zone: str, at: float) -> int:
    """Seconds a zone's clock is ahead of UTC at a moment."""
    # Changes are at whole seconds, and so exact for the second a moment is in.
    ahead = datetime.fromtimestamp(at // 1, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert ahead is not None  # noqa: S101 -- an aware time has one
    return int(ahead.total_seconds())


@dataclass(frozen=True)
class Clock:
    """One zone's offsets from `start` to `end`, in pieces of the same offset.

    Attributes:
        changes: float64 (k,), when the offset changes, ascending.
        ahead: int64 (k + 1,), seconds ahead of UTC before, between and after the changes.
    """

    changes: Float64Array
    ahead: IntArray

    @classmethod
    def of(cls, zone: str, *, start: float, end: float) -> Clock:
        """The clock of a zone between two moments; no zone changes twice within a day."""
        return _clock(zone, int(start // DAY), int(end // DAY) + 1)

    def offset(self, at: Float64Array) -> IntArray:
        """Seconds ahead of UTC at moments; int64 of their shape."""
        return self.ahead[np.searchsorted(self.changes, at, side="right")]

    def next_change(self, at: Float64Array) -> Float64Array:
        """The first change after moments, infinite if there is none; float64 of their shape."""
        return np.append(self.changes, np.inf)[np.searchsorted(self.changes, at, side="right")]


@lru_cache(maxsize=256)
def _clock(zone: str, start: int, end: int) -> Clock:
    """The clock between the starts of two days since 1970 UTC."""
    changes, ahead = [], [offset(zone, start * DAY)]
    for day in range(start + 1, end + 1):
        after = offset(zone, day * DAY)
        if after != ahead[-1]:
            changes.append(_change(zone, (day - 1) * DAY, day * DAY))
            ahead.append(after)
    return Clock(np.array(changes, dtype=np.float64), np.array(ahead, dtype=np.int64))


def _change(zone: str, before: int, after: int) -> int:
    """The first second of the new offset, by halving."""
    old = offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if offset(zone, middle) == old else (before, middle)
    return after
