"""At most so many contacts in a sliding window; a minimum gap is such a cap of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.config.contact_policy import Counts
from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.rules.counting import below_limit_from
from orchestrator.eligibility.rules.rule import DeadlineRule
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

    def idle(self, moment: EligibilityContext) -> bool:
        """See `Rule.idle`."""
        return moment.most_contacts < self.limit

    def blocked(self, moment: EligibilityContext) -> BoolArray:
        """Whom it blocks now; bool (n,)."""
        return self.counted(moment)[0] >= self.limit

    def until(self, moment: EligibilityContext) -> Float64Array:
        """When the count falls below the limit; float64 (n,)."""
        which = self._still(moment)
        until = moment.counting(self.counts).until(which, window=self.window, reserved_for=self.reserved_for)
        return below_limit_from(moment.history.row[which], until, limit=self.limit, n=len(moment))

    def counted(self, moment: EligibilityContext) -> tuple[IntArray, int]:
        """How many contacts count now, int64 (n,), and the limit."""
        return np.bincount(moment.history.row[self._still(moment)], minlength=len(moment)), self.limit

    def _still(self, moment: EligibilityContext) -> IntArray:
        """Which contacts in scope count now; positions, int64 (k,)."""
        counting = moment.counting(self.counts)
        # Time first: most contacts of a history are over.
        which = counting.still(window=self.window, reserved_for=self.reserved_for, now=moment.now)
        return which[self.scope[moment.history.action[which]]]
