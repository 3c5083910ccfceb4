"""What contact rules look at, read from the log for the customers of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from sqlalchemy import Connection

from orchestrator.config import Retailer
from orchestrator.config.catalogue import Action
from orchestrator.config.contact_policy import time_zone
from orchestrator.config.fact_types import OUTCOMES
from orchestrator.eligibility import (
    ContactCheck,
    ContactHistory,
    ContactRules,
    CustomerZones,
    EligibilityContext,
    OutcomeHistory,
    clean_content,
)
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.eligibility.rules.caps import CapRule
from orchestrator.eligibility.rules.clock_rules import QuietHoursRule
from orchestrator.eligibility.rules.suppression import SuppressionRule
from orchestrator.log.facts import LoggedContact, Wanted, read_facts
from orchestrator.log.stock import StockSeen, read_out_of_stock
from policies.arrays import BoolArray, IntArray

# Texts every customer may state, whatever the configuration names: they say by which clock rules hold.
ZONE, HOME_STORE = "timezone", "home_store"
_SLACK = 1.0  # seconds; the rules themselves draw the line exactly


@dataclass(frozen=True)
class ContactFacts:
    """Facts about k customers of one batch.

    Attributes:
        customers: id to row in [0, k).
        history: their contacts.
        outcomes: what followed, of the types that rules look at.
        texts: name to text by customer id; no entry where nothing is stated.
        last_event: sequence of the last event in the log.
        stock: what is out of stock.
    """

    customers: Mapping[str, int]
    history: ContactHistory
    outcomes: OutcomeHistory
    texts: Mapping[str, Mapping[str, str]]
    last_event: int
    stock: StockSeen

    def with_contacts(self, customer_ids: Sequence[str], *, action: IntArray, now: float) -> ContactFacts:
        """The facts once these contacts were decided too.

        Args:
            customer_ids: of whom.
            action: int64 (m,), code of each.
            now: when, seconds since 1970.
        """
        m, known = len(customer_ids), self.history
        row = np.fromiter((self.customers[c] for c in customer_ids), dtype=np.int64, count=m)
        made = ContactHistory.of(row=row, action=action, decided=np.full(m, now))
        columns = ("row", "action", "decided", "sent", "seen", "cancelled")
        joined = {name: np.concatenate([getattr(known, name), getattr(made, name)]) for name in columns}
        return replace(self, history=ContactHistory(**joined))


class ContactReader:
    """Reads what one retailer's contact rules look at, and no more.

    Attributes:
        rules: over the catalogue, and over former actions once they are met in the log.
        counts: whether any rule counts contacts; if none does, decisions about one customer do not touch each other.
        is_contact: bool (A,), which actions belong in the ledger: of channels that contact, or counted by a rule.
    """

    rules: ContactRules
    counts: bool
    is_contact: BoolArray

    def __init__(self, retailer: Retailer) -> None:
        self._retailer = retailer
        self._former: dict[str, Action] = {}
        self.rules = ContactRules(retailer)
        actions = retailer.catalogue.actions
        caps = [rule for rule in self.rules.rules if isinstance(rule, CapRule)]
        self.counts = bool(caps)
        self.is_contact = np.array([bool(a.channel) and retailer.channels[a.channel].contacts for a in actions])
        for cap in caps:
            self.is_contact |= cap.scope[: len(actions)]
        longest = max([retailer.contacts.reserved_for, *(cap.window for cap in caps)]) + _SLACK
        quiet = [rule for rule in self.rules.rules if isinstance(rule, SuppressionRule)]
        self._wanted = Wanted(
            contacts=longest if self.counts else None,
            types=tuple(name for i, name in enumerate(OUTCOMES) if any(rule.after[i] for rule in quiet)),
            happened=max((rule.lasts for rule in quiet), default=0.0) + _SLACK,
            stated=any(action.requires for action in actions)
            or any(isinstance(rule, QuietHoursRule) for rule in self.rules.rules)
            or bool(self.rules.stores),
        )
        self._reads_stock = any(rule.reason is Reason.OUT_OF_STOCK for rule in self.rules.rules)

    def read(self, connection: Connection, customer_ids: Sequence[str], *, now: float) -> ContactFacts:
        """The facts about some customers; nobody else may write about them until the transaction ends.

        Args:
            connection: in a transaction that has them to itself.
            customer_ids: whose; one may be there twice.
            now: seconds since 1970.
        """
        customers = {customer: row for row, customer in enumerate(dict.fromkeys(customer_ids))}
        found = read_facts(connection, list(customers), self._wanted, now=now)
        self._meet(found.contacts)
        whom, kinds, times = zip(*found.happened, strict=True) if found.happened else ((), (), ())
        outcomes = OutcomeHistory(
            row=np.array([customers[customer] for customer in whom], dtype=np.int64),
            type=np.array([OUTCOMES.index(kind) for kind in kinds], dtype=np.int64),
            at=np.array(times, dtype=np.float64),
        )
        texts: dict[str, dict[str, str]] = {}
        for customer, name, text in found.stated:
            texts.setdefault(customer, {})[name] = text
        history = _history(found.contacts, customers, self.rules.codes)
        stock = read_out_of_stock(connection) if self._reads_stock else StockSeen()
        return ContactFacts(customers, history, outcomes, texts, found.last_event, stock)

    def check(self, facts: ContactFacts, customer_ids: Sequence[str], *, now: float) -> ContactCheck:
        """What the decision core asks about n different customers of the batch."""
        n, history, outcomes = len(customer_ids), facts.history, facts.outcomes
        if list(facts.customers) != customer_ids:
            place = np.full(len(facts.customers), -1, dtype=np.int64)
            place[[facts.customers[customer] for customer in customer_ids]] = np.arange(n)
            history, outcomes = history.placed(place), outcomes.placed(place)
        texts = [facts.texts.get(customer, {}) for customer in customer_ids]
        fields, stores = self._retailer.profiles.content_fields, self.rules.stores
        zones = [zone if _is_zone(zone := of.get(ZONE, "")) else "" for of in texts]
        moment = EligibilityContext(
            now=now,
            zones=CustomerZones.of(zones, default=self._retailer.contacts.time_zone),
            history=history,
            outcomes=outcomes,
            content=clean_content({name: [of.get(name) for of in texts] for name in fields}, names=fields, n=n),
            store=np.array([stores.get(of.get(HOME_STORE, ""), -1) for of in texts], dtype=np.int64),
            in_stock=self._in_stock(facts.stock),
        )
        return ContactCheck(self.rules, moment)

    def _in_stock(self, stock: StockSeen) -> BoolArray | None:
        if not stock.out:
            return None
        return np.array([[category not in stock.out for category in self._retailer.catalogue.categories]])

    def _meet(self, contacts: Sequence[LoggedContact]) -> None:
        """Actions in the ledger that the catalogue no longer has count in the scopes they fit."""
        strangers = {contact.action: contact for contact in contacts if contact.action not in self.rules.codes}
        for name, contact in strangers.items():
            self._former[name] = Action(id=name, channel=contact.channel, intent=contact.intent)
        if strangers:
            self.rules = ContactRules(self._retailer, former=tuple(self._former.values()))


def _history(
    contacts: Sequence[LoggedContact], customers: Mapping[str, int], codes: Mapping[str, int]
) -> ContactHistory:
    times = np.array([contact[-4:] for contact in contacts], dtype=np.float64)  # none becomes nan
    decided, sent, seen, cancelled = times.reshape(len(contacts), 4).T
    return ContactHistory(
        row=np.array([customers[contact.customer_id] for contact in contacts], dtype=np.int64),
        action=np.array([codes[contact.action] for contact in contacts], dtype=np.int64),
        decided=decided,
        sent=sent,
        seen=seen,
        cancelled=cancelled,
    )


@lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    """A zone that was known when it was stated may not be on this machine; then the retailer's own holds."""
    try:
        return bool(name) and bool(time_zone(name))
    except ValueError:
        return False
