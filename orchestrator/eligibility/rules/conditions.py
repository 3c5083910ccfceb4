"""Rules of the catalogue itself: who an action is for, what its text needs, what it takes of stock and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from orchestrator.config import Retailer
from orchestrator.config.catalogue import Action
from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.eligibility.rules.rule import ConditionRule
from orchestrator.eligibility.targeting import distinct_targeting
from orchestrator.errors import ContextError
from policies.arrays import BoolArray

# Said about what is sold out as well: help, and thanks for what was bought.
SAID_WITHOUT_STOCK = ("service", "thank")


def condition_rules(retailer: Retailer, actions: Sequence[Action]) -> Iterator[ConditionRule]:
    """One rule per condition of targeting, content field, and category that must be in stock.

    Args:
        retailer: whose catalogue.
        actions: the known actions, in scope order.
    """

    def scope(fits: Iterable[bool]) -> BoolArray:
        return np.fromiter(fits, dtype=bool, count=len(actions))

    for e, text in enumerate(distinct_targeting(retailer.catalogue.actions)):
        about = scope(action.targeting == text for action in actions)
        yield ConditionRule(f"targeting {text}", Reason.NOT_TARGETED, about, _targeted(e))
    for f, name in enumerate(retailer.profiles.content_fields):
        about = scope(name in action.requires for action in actions)
        yield ConditionRule(f"content field {name}", Reason.CONTENT_MISSING, about, _printable(f))
    for c, category in enumerate(retailer.catalogue.categories):
        about = scope(a.subject == category and a.intent not in SAID_WITHOUT_STOCK for a in actions)
        yield ConditionRule(f"stock of {category}", Reason.OUT_OF_STOCK, about, _in_stock(c), "in_stock")


def _targeted(expression: int) -> Callable[[EligibilityContext], BoolArray]:
    def fulfilled(moment: EligibilityContext) -> BoolArray:
        if moment.targeted is None:
            raise ContextError("targeted is missing, and actions have targeting; give what `Targeting.holds` says")
        return moment.targeted[:, expression]

    return fulfilled


def _printable(field: int) -> Callable[[EligibilityContext], BoolArray]:
    def fulfilled(moment: EligibilityContext) -> BoolArray:
        return ~moment.everyone() if moment.content is None else moment.content[:, field]

    return fulfilled


def _in_stock(category: int) -> Callable[[EligibilityContext], BoolArray]:
    def fulfilled(moment: EligibilityContext) -> BoolArray:
        everyone = moment.everyone()
        return everyone if moment.in_stock is None else everyone & moment.in_stock[:, category]

    return fulfilled
