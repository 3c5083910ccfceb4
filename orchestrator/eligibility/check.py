"""What the decision core is given to ask: the contact rules, and the moment they are asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.eligible_actions import ReasonArray
from orchestrator.eligibility.rules.rules import ContactRules
from policies.arrays import BoolArray


@dataclass(frozen=True)
class ContactCheck:
    """The contact rules about n customers, but for whom actions are meant: that, only features tell.

    Attributes:
        rules: of the retailer.
        moment: of the n customers; its `targeted` is not looked at.
    """

    rules: ContactRules
    moment: EligibilityContext

    def __len__(self) -> int:
        return len(self.moment)

    def reasons(self, targeted: BoolArray, *, start: int) -> ReasonArray:
        """Why each action may not be said now to the customers from row `start` on; uint8 (m, A).

        Args:
            targeted: bool (m, E), as `Targeting.holds` gives it.
            start: row of the first of these m customers.

        Raises:
            ContextError: the history has codes that the rules do not know.
        """
        stop = start + len(targeted)
        moment = self.moment if stop - start == len(self) else self.moment.of_rows(start, stop)
        return self.rules.reasons(replace(moment, targeted=targeted))
