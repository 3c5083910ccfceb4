"""What every contact rule can say: about which actions it is, whom it blocks now, and until when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from orchestrator.eligibility.context import EligibilityContext
from orchestrator.eligibility.eligible_actions import Reason
from policies.arrays import BoolArray, Float64Array, IntArray


@dataclass(frozen=True)
class Rule(ABC):
    """One rule about some actions.

    Attributes:
        name: what an explanation calls it.
        reason: of the cells it blocks.
        scope: bool (known actions,), which it is about: those of the catalogue, then former ones.
    """

    name: str
    reason: Reason
    scope: BoolArray = field(repr=False)

    def idle(self, moment: EligibilityContext) -> bool:
        """Whether there is nothing it could block for: then it blocks nobody, and need not be asked."""
        del moment
        return False

    @abstractmethod
    def blocked(self, moment: EligibilityContext) -> BoolArray:
        """Whom it blocks now; bool (n,)."""

    @abstractmethod
    def free_from(self, moment: EligibilityContext, at: Float64Array) -> Float64Array:
        """The first moment from `at` on, not before now, when it does not block, if nothing else happens.

        Args:
            moment: what is known now.
            at: seconds since 1970, float64 (n,); nan stays nan.

        Returns:
            Seconds since 1970, float64 (n,); nan where time alone does not help.
        """

    def counted(self, moment: EligibilityContext) -> tuple[IntArray, int] | None:
        """How many contacts it counts now, int64 (n,), and its limit; none for a rule that counts nothing."""
        del moment
        return None


@dataclass(frozen=True)
class DeadlineRule(Rule):
    """A rule that blocks up to a moment and, without new facts, never again."""

    @abstractmethod
    def until(self, moment: EligibilityContext) -> Float64Array:
        """Until when it blocks; seconds since 1970, float64 (n,), at or before now where it does not."""

    def blocked(self, moment: EligibilityContext) -> BoolArray:
        """Whom it blocks now; bool (n,)."""
        return self.until(moment) > moment.now

    def free_from(self, moment: EligibilityContext, at: Float64Array) -> Float64Array:
        """See `Rule.free_from`."""
        return np.maximum(self.until(moment), at)


@dataclass(frozen=True)
class ConditionRule(Rule):
    """A rule that blocks whoever does not fulfil a condition, for as long as that is so.

    Attributes:
        fulfilled: bool (n,) of a moment.
        about: attribute of a moment; where that is none, everybody fulfils it. None where that says nothing.
    """

    fulfilled: Callable[[EligibilityContext], BoolArray] = field(repr=False)
    about: str | None = None

    def idle(self, moment: EligibilityContext) -> bool:
        """See `Rule.idle`."""
        return self.about is not None and getattr(moment, self.about) is None

    def blocked(self, moment: EligibilityContext) -> BoolArray:
        """Whom it blocks now; bool (n,)."""
        return ~self.fulfilled(moment)

    def free_from(self, moment: EligibilityContext, at: Float64Array) -> Float64Array:
        """See `Rule.free_from`."""
        return np.where(self.fulfilled(moment), at, np.nan)
