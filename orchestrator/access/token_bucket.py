"""Counting requests against a rate."""

from __future__ import annotations

import math

from orchestrator.access.rates import Rate


class TokenBucket:
    """Full at first, refilled evenly, emptied by one with each request; a request needs a whole token.

    >>> bucket = TokenBucket(Rate(limit=2, window=1.0), now=0.0)
    >>> [bucket.take(now) for now in (0.0, 0.0, 0.0, 0.5)]
    [True, True, False, True]
    """

    def __init__(self, rate: Rate, *, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate.limit)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether a request may pass now, in seconds; then it has taken a token."""
        # A clock that is set back neither fills nor empties the bucket.
        elapsed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self.rate.limit, self._tokens + elapsed * self.rate.limit / self.rate.window)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    @property
    def left(self) -> int:
        """Requests that may pass at once."""
        return int(self._tokens)

    @property
    def wait(self) -> int:
        """Whole seconds, at least one, after which a request may pass."""
        return max(1, math.ceil((1.0 - self._tokens) * self.rate.window / self.rate.limit))

    @property
    def full_in(self) -> int:
        """Whole seconds after which the bucket is full."""
        return math.ceil((self.rate.limit - self._tokens) * self.rate.window / self.rate.limit)
