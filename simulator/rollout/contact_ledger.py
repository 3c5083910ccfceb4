"""What the contact rules look at in a simulated life: contacts, and outcomes after which it is quiet."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import numpy as np

from orchestrator.config import OUTCOMES, Retailer
from orchestrator.eligibility import ContactCheck, ContactHistory, ContactRules
from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.history import OutcomeHistory
from orchestrator.eligibility.rules.caps import CapRule
from orchestrator.eligibility.rules.suppression import SuppressionRule
from orchestrator.eligibility.zones import CustomerZones
from orchestrator.profiles import EVENT_TYPES, EventRows
from policies.arrays import BoolArray, IntArray

# The clock of the world is everybody's own: it has no time zones.
ZONE = "UTC"
_OUTCOME = np.array([OUTCOMES.index(name) if name in OUTCOMES else -1 for name in EVENT_TYPES])


def rules_of(retailer: Retailer) -> ContactRules:
    """A retailer's contact rules by the clock of the world."""
    return ContactRules(replace(retailer, contacts=retailer.contacts.model_copy(update={"time_zone": ZONE})))


class ContactLedger:
    """Contacts of n customers and what followed, for as long as a rule may look back.

    Every content field of simulated customers is fit to print, and their store is none with hours of its own; the
    minutes of associates are the world's own matter.

    Args:
        rules: of the retailer, by the world's clock.
        content_fields: how many the retailer has.
        customers: n.
    """

    def __init__(self, rules: ContactRules, *, content_fields: int, customers: int) -> None:
        self._rules = rules
        self._content_fields = content_fields
        self._customers = customers
        self._zones = CustomerZones.same(ZONE, customers)
        self._history, self._outcomes = ContactHistory.empty(), OutcomeHistory.empty()
        caps = [rule for rule in rules.rules if isinstance(rule, CapRule)]
        quiet = [rule for rule in rules.rules if isinstance(rule, SuppressionRule)]
        self._counted = (
            np.any([rule.scope for rule in caps], axis=0) if caps else np.zeros(len(rules.codes), dtype=bool)
        )
        self._after = np.any([rule.after for rule in quiet], axis=0) if quiet else np.zeros(len(OUTCOMES), dtype=bool)
        self._longest = max((max(rule.window, rule.reserved_for) for rule in caps), default=0.0)
        self._lasts = max((rule.lasts for rule in quiet), default=0.0)

    def copy(self) -> ContactLedger:
        """An independent copy; what it holds is never changed in place."""
        return copy.copy(self)

    def decided(self, rows: IntArray, action: IntArray, done: BoolArray, *, at: float) -> None:
        """Keep the contacts among the actions of a moment.

        Args:
            rows: int64 (m,), customers.
            action: int64 (m,).
            done: bool (m,), whether it reached them; what did not was called off at once.
            at: seconds since 1970.
        """
        which = np.flatnonzero(self._counted[action])
        made, reached = np.full(len(which), at), done[which]
        new = ContactHistory.of(
            row=rows[which],
            action=action[which],
            decided=made,
            sent=np.where(reached, at, np.nan),
            cancelled=np.where(reached, np.nan, at),
        )
        kept = np.flatnonzero(self._history.decided > at - self._longest)
        self._history = ContactHistory(
            **{
                f.name: np.concatenate([getattr(self._history, f.name)[kept], getattr(new, f.name)])
                for f in fields(new)
            }
        )

    def happened(self, events: EventRows, *, now: float) -> None:
        """Keep the outcomes after which it is quiet for a while."""
        outcome = _OUTCOME[events.type]
        which = np.flatnonzero((outcome >= 0) & self._after[outcome])
        old = self._outcomes
        kept = np.flatnonzero(old.at > now - self._lasts)
        self._outcomes = OutcomeHistory(
            row=np.concatenate([old.row[kept], events.customer[which]]),
            type=np.concatenate([old.type[kept], outcome[which]]),
            at=np.concatenate([old.at[kept], events.timestamp[which]]),
        )

    def check(self, rows: IntArray, *, now: float, in_stock: BoolArray) -> ContactCheck:
        """What the decision core asks about customers `rows`, int64 (m,), each there once; `in_stock` is bool (K,)."""
        place = np.full(self._customers, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        moment = EligibilityContext(
            now=now,
            zones=CustomerZones(self._zones.names, self._zones.code[rows]),
            history=self._history.placed(place),
            outcomes=self._outcomes.placed(place),
            content=np.ones((len(rows), self._content_fields), dtype=bool),
            in_stock=in_stock[None],
        )
        return ContactCheck(self._rules, moment)
