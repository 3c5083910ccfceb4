"""Silence for some time after an outcome, such as an unsubscription or a complaint's return."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.rules.rule import DeadlineRule
from policies.arrays import BoolArray, Float64Array


@dataclass(frozen=True)
class SuppressionRule(DeadlineRule):
    """Nothing in scope for `lasts` seconds after certain outcomes; exactly that long after, again.

    Attributes:
        after: bool (outcome types,), after which.
        lasts: seconds.
    """

    after: BoolArray = field(repr=False)
    lasts: float

    def idle(self, moment: EligibilityContext) -> bool:
        """See `Rule.idle`."""
        return not len(moment.outcomes)

    def until(self, moment: EligibilityContext) -> Float64Array:
        """When the latest such outcome is long enough ago; float64 (n,)."""
        outcomes = moment.outcomes
        which = np.flatnonzero(self.after[outcomes.type])
        ends = np.full(len(moment), -np.inf)
        np.maximum.at(ends, outcomes.row[which], outcomes.at[which] + self.lasts)
        return ends
