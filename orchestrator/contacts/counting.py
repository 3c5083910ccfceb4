"""Until when a contact counts, for each moment from which a rule may count it.

A contact counts from its moment, and exactly `window` later no longer. Until the moment is reported it holds a
reservation, for `reserved_for` after what is known of it so far (decided, or sent where `seen` counts), so that a
limit holds although reports come late. A cancellation frees what is only reserved; what was reported stays.
"""

from __future__ import annotations

import numpy as np

from orchestrator.config.contact_policy import Counts
from orchestrator.contacts.history import ContactHistory
from policies.arrays import BoolArray, Float64Array, IntArray


def counts_until(
    history: ContactHistory, which: IntArray, *, counts: Counts, window: float, reserved_for: float
) -> Float64Array:
    """When each of some contacts stops counting.

    Args:
        history: m contacts.
        which: int64 (k,), positions of those that matter.
        counts: the moment a contact counts from.
        window: seconds for which it counts.
        reserved_for: seconds for which it counts unreported.

    Returns:
        Seconds since 1970, float64 (k,); minus infinity for one that never counts. It counts at any moment before.
    """
    if counts == "decided":
        return np.where(history.withdrawn[which], -np.inf, history.decided[which] + window)
    sent, seen = history.sent[which], history.seen[which]
    cancelled = ~np.isnan(history.cancelled[which])
    if counts == "sent":
        # What was seen was sent, at the latest then.
        moment, known = np.where(np.isnan(sent), seen, sent), history.decided[which]
    else:
        moment, known = seen, np.where(np.isnan(sent), history.decided[which], sent)
    reserved = np.where(cancelled, -np.inf, known + reserved_for)
    return np.where(np.isnan(moment), reserved, moment + window)


def count_of(row: IntArray, counting: BoolArray, *, n: int) -> IntArray:
    """How many count per customer; int64 (n,)."""
    return np.bincount(row[counting], minlength=n)


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
    if limit == 1:
        np.maximum.at(ends, row, until)
        return ends
    order = np.lexsort((-until, row))
    row, until = row[order], until[order]
    # The limit-th of a customer's is that whose limit-1-th predecessor is still the customer's.
    start = np.searchsorted(row, np.arange(n))
    enough = np.bincount(row, minlength=n) >= limit
    ends[enough] = until[start[enough] + limit - 1]
    return ends
