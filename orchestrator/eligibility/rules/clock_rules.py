"""Times of the day and week: quiet hours by each customer's clock, store hours by each store's."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import numpy as np

from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.rules.open_hours import OpenHours
from orchestrator.eligibility.rules.rule import Rule
from orchestrator.eligibility.zones import offset
from policies.arrays import BoolArray, Float64Array, IntArray


@dataclass(frozen=True)
class ClockRule(Rule):
    """A rule that blocks outside certain hours of certain clocks."""

    @abstractmethod
    def clocks(self, moment: EligibilityContext) -> tuple[tuple[tuple[str, OpenHours], ...], IntArray]:
        """The clocks by zone, with their hours, and which is each customer's; int64 (n,)."""

    def blocked(self, moment: EligibilityContext) -> BoolArray:
        """Whom it blocks now; bool (n,)."""
        clocks, which = self.clocks(moment)
        second = int(moment.now // 1)
        opened = [bool(hours.open(np.array(second + offset(zone, second)))) for zone, hours in clocks]
        return ~np.array(opened, dtype=bool)[which]

    def free_from(self, moment: EligibilityContext, at: Float64Array) -> Float64Array:
        """See `Rule.free_from`."""
        clocks, which = self.clocks(moment)
        free = np.array(at, dtype=np.float64)
        for code in np.unique(which):
            (zone, hours), rows = clocks[code], np.flatnonzero(which == code)
            free[rows] = hours.open_from(free[rows], zone=zone)
        return free


@dataclass(frozen=True)
class QuietHoursRule(ClockRule):
    """Only outside of quiet hours, as each customer's own clock shows them.

    Attributes:
        hours: when it is not quiet.
    """

    hours: OpenHours = field(repr=False)

    def clocks(self, moment: EligibilityContext) -> tuple[tuple[tuple[str, OpenHours], ...], IntArray]:
        """The customers' zones."""
        return tuple((zone, self.hours) for zone in moment.zones.names), moment.zones.code


@dataclass(frozen=True)
class StoreHoursRule(ClockRule):
    """Only while the customer's store is open.

    Attributes:
        stores: zone and hours, by store code; the last is of every store that has none of its own.
    """

    stores: tuple[tuple[str, OpenHours], ...] = field(repr=False)

    def clocks(self, moment: EligibilityContext) -> tuple[tuple[tuple[str, OpenHours], ...], IntArray]:
        """The stores, and each customer's: code -1 is the last."""
        if moment.store is None:
            return self.stores[-1:], np.zeros(len(moment), dtype=np.int64)
        return self.stores, np.where(moment.store < 0, len(self.stores) - 1, moment.store)
