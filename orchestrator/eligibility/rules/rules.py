"""A retailer's contact rules together: reasons for n customers at once, when each ends, and which rule it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.config import Retailer, Scope
from orchestrator.config.catalogue import Action
from orchestrator.config.fact_types import OUTCOMES
from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.eligible_actions import Reason, ReasonArray
from orchestrator.eligibility.rules.caps import CapRule
from orchestrator.eligibility.rules.clock_rules import ClockRule, QuietHoursRule, StoreHoursRule
from orchestrator.eligibility.rules.conditions import condition_rules
from orchestrator.eligibility.rules.open_hours import OpenHours
from orchestrator.eligibility.rules.rule import Rule
from orchestrator.eligibility.rules.suppression import SuppressionRule
from orchestrator.errors import ConfigError, ContextError
from policies.arrays import BoolArray, IntArray


@dataclass(frozen=True)
class Blocked:
    """One action that one rule blocks for one customer.

    Attributes:
        action: id.
        rule: name, as in contacts.yaml; of a condition in catalog.yaml, what it says.
        reason: what is reported, if no rule before it blocks the action too.
        count: contacts counted now; none for a rule that counts nothing.
        limit: contacts at which it blocks; none likewise.
        next_allowed: when this rule alone would allow it, seconds since 1970; none where time alone does not help.
    """

    action: str
    rule: str
    reason: Reason
    count: int | None
    limit: int | None
    next_allowed: float | None


class ContactRules:
    """The contact rules of one retailer: contacts.yaml, and the conditions of catalog.yaml.

    Of several rules that block a cell, the one whose reason comes first in `Reason` is reported; of the same reason,
    the first in the file. `hold` is never blocked.

    Attributes:
        codes: action id to its code in `ContactHistory`: its column, or beyond the columns for a former action.
        stores: name to code of the stores with hours of their own.
        rules: in the order in which they are reported.
    """

    codes: Mapping[str, int]
    stores: Mapping[str, int]
    rules: tuple[Rule, ...]

    def __init__(self, retailer: Retailer, *, former: Sequence[Action] = ()) -> None:
        """Prepare the rules.

        Args:
            retailer: its configuration.
            former: actions that are no longer in the catalogue but in the history; they still count in the scopes they
                fit. Only their id, channel and intent matter.

        Raises:
            ConfigError: a former action is in the catalogue, or given twice.
        """
        actions = (*retailer.catalogue.actions, *former)
        self.codes = {action.id: code for code, action in enumerate(actions)}
        if len(self.codes) < len(actions):
            raise ConfigError(["a former action is in the catalogue, or given twice; give each action once"])
        self.stores = {name: code for code, name in enumerate(retailer.contacts.store_hours.stores)}
        self._ids = retailer.catalogue.ids
        known = [*_fact_rules(retailer, actions), *_clock_rules(retailer, actions), *condition_rules(retailer, actions)]
        self.rules = tuple(sorted((r for r in known if r.scope[: len(self._ids)].any()), key=lambda r: r.reason))
        self._classes = _Classes.of(self.rules, len(self._ids))

    def reasons(self, moment: EligibilityContext) -> ReasonArray:
        """Why each action may not be said now; uint8 (n, A), `Reason.ELIGIBLE` (0) where no contact rule blocks it.

        Args:
            moment: n customers at a moment.

        Raises:
            ContextError: the history has codes that are not known here, or `targeted` is missing.
        """
        self._check(moment)
        by_class = np.zeros((self._classes.count, len(moment)), dtype=np.uint8)
        # Complements of codes: the first reason is the largest number, and maxima are found many cells at a time.
        for rule, classes in self._classes.of_rule:
            if rule.idle(moment):
                continue
            blocked = rule.blocked(moment)
            if blocked.any():
                mark = blocked * np.uint8(~np.uint8(rule.reason))
                by_class[classes] = np.maximum(by_class[classes], mark)
        np.invert(by_class, out=by_class, where=by_class > 0)
        reasons: ReasonArray = by_class[self._classes.of_action]
        return reasons.T

    def explain(self, moment: EligibilityContext, row: int) -> tuple[Blocked, ...]:
        """Every rule that blocks an action for one customer, by action and then in the order of reporting.

        Args:
            moment: n customers at a moment.
            row: which of them.
        """
        self._check(moment)
        one = moment.of_rows(row, row + 1)
        found: list[tuple[int, Blocked]] = []
        for rule in self.rules:
            if not rule.blocked(one)[0]:
                continue
            counted, free = rule.counted(one), float(rule.free_from(one, np.array([one.now]))[0])
            count, limit = (None, None) if counted is None else (int(counted[0][0]), counted[1])
            until = None if np.isnan(free) else free
            for column in np.flatnonzero(rule.scope[: len(self._ids)]).tolist():
                found.append((column, Blocked(self._ids[column], rule.name, rule.reason, count, limit, until)))
        return tuple(blocked for _, blocked in sorted(found, key=lambda pair: pair[0]))

    def _check(self, moment: EligibilityContext) -> None:
        for name, codes, known in (
            ("history.action", moment.history.action, len(self.codes)),
            ("outcomes.type", moment.outcomes.type, len(OUTCOMES)),
        ):
            if len(codes) and not 0 <= codes.min() <= codes.max() < known:
                raise ContextError(f"{name} is from {codes.min()} to {codes.max()}; there are {known} codes")
        if moment.store is not None and len(moment.store) and not moment.store.max() < max(len(self.stores), 1):
            raise ContextError(f"store is up to {moment.store.max()}; known are {len(self.stores)} codes, and -1")


@dataclass(frozen=True)
class _Classes:
    """Actions that the same rules are about share a class, so that each class is worked out once.

    Attributes:
        count: classes.
        of_action: int64 (A,).
        of_rule: each rule with the classes it is about, int64.
    """

    count: int
    of_action: IntArray
    of_rule: tuple[tuple[Rule, IntArray], ...]

    @classmethod
    def of(cls, rules: Sequence[Rule], actions: int) -> _Classes:
        table = np.zeros((len(rules), actions), dtype=bool)
        for about, rule in zip(table, rules, strict=True):
            about[:] = rule.scope[:actions]
        kinds, of_action = np.unique(table, axis=1, return_inverse=True)
        classes = tuple((rule, np.flatnonzero(about)) for rule, about in zip(rules, kinds, strict=True))
        return cls(kinds.shape[1], of_action, classes)


def _fact_rules(retailer: Retailer, actions: Sequence[Action]) -> Iterator[Rule]:
    """Suppressions, caps and gaps, in file order."""
    policy = retailer.contacts

    def covered(scope: Scope) -> BoolArray:
        return np.array([scope.covers(action, retailer.channels) for action in actions], dtype=bool)

    for quiet in policy.suppressions:
        after = np.array([outcome in quiet.after for outcome in OUTCOMES], dtype=bool)
        yield SuppressionRule(quiet.name, Reason.SUPPRESSED, covered(quiet), after=after, lasts=quiet.lasts)
    reserved_for = policy.reserved_for
    for cap in policy.caps:
        yield CapRule(
            cap.name, Reason.CAP_REACHED, covered(cap), cap.limit, cap.window, cap.counts, reserved_for=reserved_for
        )
    for gap in policy.gaps:
        yield CapRule(gap.name, Reason.TOO_SOON, covered(gap), 1, gap.gap, gap.counts, reserved_for=reserved_for)


def _clock_rules(retailer: Retailer, actions: Sequence[Action]) -> Iterator[ClockRule]:
    """Quiet hours in file order, then store hours."""
    policy = retailer.contacts

    def through(channels: Sequence[str]) -> BoolArray:
        return np.array([action.channel in channels for action in actions], dtype=bool)

    for quiet in policy.quiet_hours:
        hours = OpenHours.outside(quiet.start, quiet.end)
        yield QuietHoursRule(quiet.name, Reason.QUIET_HOURS, through(quiet.channels), hours)
    stores = policy.store_hours
    if stores.channels:
        own = [(s.time_zone or policy.time_zone, OpenHours.of_week(s.hours.of_week())) for s in stores.stores.values()]
        default = policy.time_zone, OpenHours.of_week(stores.hours.of_week())
        yield StoreHoursRule("store_hours", Reason.STORE_CLOSED, through(stores.channels), (*own, default))
