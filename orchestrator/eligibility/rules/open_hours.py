"""Hours of the week, as a clock on the wall shows them, and the first moment that falls into them.

Whether it is open depends on the wall clock alone: an hour that comes twice in autumn is open or closed twice, and
where clocks jump over an opening in spring, it opens as they do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from orchestrator.config.contact_policy import DAY
from orchestrator.eligibility.zones import Clock
from policies.arrays import BoolArray, Float64Array, IntArray

WEEK = 7 * DAY
# 1 January 1970 was a Thursday.
_EPOCH = 3 * DAY
# No hours of a week, alone or together with others, open for the first time later than this, if ever.
HORIZON = 15.0 * DAY


@dataclass(frozen=True)
class OpenHours:
    """Spans of a week, in seconds since Monday 00:00 on the wall; the end no longer belongs to a span.

    Attributes:
        starts: int64 (k,), ascending.
        ends: int64 (k,), each after its start and before the next one's.
    """

    starts: IntArray
    ends: IntArray

    @classmethod
    def of_week(cls, days: Iterable[tuple[int, int]]) -> OpenHours:
        """Open hours from each day's start and end, in seconds since its midnight; Monday first.

        An end after midnight reaches into the next day, Sunday's into Monday.
        """
        spans: list[tuple[int, int]] = []
        for day, (start, end) in enumerate(days):
            first, last = day * DAY + start, day * DAY + end
            spans += [(first, min(last, WEEK)), (0, last - WEEK)]
        merged: list[tuple[int, int]] = []
        for start, end in sorted(span for span in spans if span[0] < span[1]):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        bounds = np.array(merged, dtype=np.int64).reshape(-1, 2)
        return cls(bounds[:, 0], bounds[:, 1])

    @classmethod
    def outside(cls, start: int, end: int) -> OpenHours:
        """All but the time from `start` to `end` of every day; seconds since midnight."""
        return cls.of_week([(end, start if start > end else start + DAY)] * 7)

    def open(self, wall: IntArray) -> BoolArray:
        """Whether it is open; bool of the shape of `wall`, seconds since 1970 on the wall clock."""
        week = (wall + _EPOCH) % WEEK
        span = np.searchsorted(self.starts, week, side="right") - 1
        return (span >= 0) & (week < np.append(self.ends, 0)[span])

    def wait(self, wall: IntArray) -> Float64Array:
        """Seconds on the wall until it opens next, infinite if it never does; for times when it is closed."""
        if not len(self.starts):
            return np.full(wall.shape, np.inf)
        week = (wall + _EPOCH) % WEEK
        following = np.append(self.starts, self.starts[0] + WEEK)
        return (following[np.searchsorted(self.starts, week, side="right")] - week).astype(np.float64)

    def open_from(self, at: Float64Array, *, zone: str) -> Float64Array:
        """The first moment from `at` on when it is open.

        Args:
            at: seconds since 1970 UTC, float64 (k,); nan stays nan.
            zone: whose clock is on the wall.

        Returns:
            Seconds since 1970 UTC, float64 (k,); nan if it never opens.
        """
        first = np.array(at, dtype=np.float64)
        left = np.flatnonzero(~np.isnan(first))
        if not len(left):
            return first
        clock = Clock.of(zone, start=float(first[left].min()), end=float(first[left].max()) + HORIZON)
        while len(left):
            second = np.floor(first[left])  # spans start and end at whole seconds, and so do clocks' changes
            wall = second.astype(np.int64) + clock.offset(second)
            closed = ~self.open(wall)
            left, second, wall = left[closed], second[closed], wall[closed]
            # A change of the clocks may come before the opening: then look again from there.
            opens = np.minimum(second + self.wait(wall), clock.next_change(second))
            first[left] = np.where(np.isinf(opens), np.nan, opens)
            left = left[np.isfinite(opens)]
        return first
