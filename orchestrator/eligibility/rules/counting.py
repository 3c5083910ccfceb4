"""Until when a contact counts, for each moment from which a rule may count it.

A contact counts from its moment, and exactly `window` later no longer. Until the moment is reported it holds a
reservation, for `reserved_for` after what is known of it so far (decided, or sent where `seen` counts), so that a
limit holds although reports come late. A cancellation frees what is only reserved; what was reported stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.config.contact_policy import Counts
from orchestrator.eligibility.history import ContactHistory
from policies.arrays import Float64Array, IntArray


@dataclass(frozen=True)
class Counting:
    """From when m contacts count for one kind of moment; of each contact at most one time is known.

    Attributes:
        moment: float64 (m,), when it was reported, nan if it was not.
        reserved: float64 (m,), from when it holds a reservation, nan if it holds none; none where no contact does.
    """

    moment: Float64Array
    reserved: Float64Array | None

    @classmethod
    def of(cls, history: ContactHistory, counts: Counts) -> Counting:
        """What is known of each contact's moment."""
        cancelled = ~np.isnan(history.cancelled)
        if counts == "decided":
            withdrawn = cancelled & np.isnan(history.sent) & np.isnan(history.seen)
            return cls(np.where(withdrawn, np.nan, history.decided) if withdrawn.any() else history.decided, None)
        unsent = np.isnan(history.sent)
        # What was seen was sent, at the latest then.
        moment = np.where(unsent, history.seen, history.sent) if counts == "sent" else history.seen
        reserved = np.where(unsent, history.decided, history.sent)
        reserved[cancelled | ~np.isnan(moment)] = np.nan
        return cls(moment, reserved)

    def still(self, *, window: float, reserved_for: float, now: float) -> IntArray:
        """Which contacts count at a moment; positions, int64 (k,)."""
        counts = self.moment + window > now
        if self.reserved is not None:
            counts |= self.reserved + reserved_for > now
        return np.flatnonzero(counts)

    def until(self, which: IntArray, *, window: float, reserved_for: float) -> Float64Array:
        """When contacts that count stop to; seconds since 1970, float64 (k,)."""
        until: Float64Array = self.moment[which] + window
        if self.reserved is not None:
            np.fmax(until, self.reserved[which] + reserved_for, out=until)
        return until


def below_limit_from(row: IntArray, until: Float64Array, *, limit: int, n: int) -> Float64Array:
    """When fewer than `limit` contacts of each customer count, if no other comes.

    Args:
        row: int64 (k,), whose.
        until: float64 (k,), when each stops counting.
        limit: at least 1.
        n: customers.

    Returns:
        Seconds since 1970, float64 (n,): the limit-th latest end; minus infinity where there are fewer contacts.
    """
    ends = np.full(n, -np.inf)
    count = np.bincount(row, minlength=n)
    enough = count >= limit
    mine = enough[row]
    row, until = row[mine], until[mine]
    until = until[np.lexsort((-until, row))]
    start = np.cumsum(np.where(enough, count, 0)) - count
    ends[enough] = until[start[enough] + limit - 1]
    return ends
