"""At most so many contacts in a sliding window; a minimum gap is such a cap of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.config.contact_policy import Counts
from orchestrator.contacts.counting import below_limit_from, count_of, counts_until
from orchestrator.contacts.moment import ContactMoment
from orchestrator.contacts.rule import DeadlineRule
from policies.arrays import BoolArray, Float64Array, IntArray


@dataclass(frozen=True)
class CapRule(DeadlineRule):
    """No more than `limit` contacts in scope within any `window`.

    Attributes:
        limit: contacts.
        window: seconds.
        counts: the moment a contact counts from.
        reserved_for: seconds for which an unreported contact counts.
    """

    limit: int
    window: float
    counts: Counts
    reserved_for: float

    def blocked(self, moment: ContactMoment) -> BoolArray:
        """Whom it blocks now; bool (n,)."""
        return self._count(moment) >= self.limit

    def until(self, moment: ContactMoment) -> Float64Array:
        """When the count falls below the limit; float64 (n,)."""
        row, until = self._ends(moment)
        return below_limit_from(row, until, limit=self.limit, n=len(moment))

    def counted(self, moment: ContactMoment) -> tuple[IntArray, int]:
        """How many contacts count now, int64 (n,), and the limit."""
        return self._count(moment), self.limit

    def _count(self, moment: ContactMoment) -> IntArray:
        row, until = self._ends(moment)
        return count_of(row, until > moment.now, n=len(moment))

    def _ends(self, moment: ContactMoment) -> tuple[IntArray, Float64Array]:
        """Contacts in scope: whose, int64 (k,), and when they stop counting, float64 (k,)."""
        history = moment.history
        which = np.flatnonzero(self.scope[history.action])
        until = counts_until(history, which, counts=self.counts, window=self.window, reserved_for=self.reserved_for)
        return history.row[which], until
