"""What contact rules look at: n customers at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from orchestrator.config.contact_policy import Counts
from orchestrator.eligibility.history import ContactHistory, OutcomeHistory
from orchestrator.eligibility.rules.counting import Counting
from orchestrator.eligibility.zones import CustomerZones
from orchestrator.errors import ContextError
from policies.arrays import BoolArray, IntArray


@dataclass(frozen=True)
class EligibilityContext:
    """n customers at one moment.

    Attributes:
        now: seconds since 1970 UTC.
        zones: of the n customers.
        history: what was decided for them.
        outcomes: what followed.
        targeted: bool (n, E), as `Targeting.holds` gives it; only catalogues without conditions do without.
        content: bool (n, fields), which content fields are present and clean, as `clean_content` gives it, in the order
            of `content_fields` in profiles.yaml; none where nobody has any.
        store: int64 (n,), code of each customer's store as of `ContactRules.stores`, -1 for one that is not listed
            there; none for no store listed.
        in_stock: bool (n, categories), or (1, categories) for everybody the same; none where all is.
    """

    now: float
    zones: CustomerZones
    history: ContactHistory = field(default_factory=ContactHistory.empty)
    outcomes: OutcomeHistory = field(default_factory=OutcomeHistory.empty)
    targeted: BoolArray | None = None
    content: BoolArray | None = None
    store: IntArray | None = None
    in_stock: BoolArray | None = None
    _counting: dict[Counts, Counting] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = len(self)
        for name in ("targeted", "content", "store"):
            given = getattr(self, name)
            if given is not None and len(given) != n:
                raise ContextError(f"{name} has {len(given)} rows, zones has {n}; give one row per customer")
        if self.in_stock is not None and len(self.in_stock) not in {1, n}:
            raise ContextError(f"in_stock has {len(self.in_stock)} rows, zones has {n}; give one row, or one each")
        for name in ("history", "outcomes"):
            row = getattr(self, name).row
            if len(row) and not 0 <= row.min() <= row.max() < n:
                raise ContextError(f"{name}.row is from {row.min()} to {row.max()}, there are {n} customers")

    def __len__(self) -> int:
        return len(self.zones)

    def of_rows(self, start: int, stop: int) -> EligibilityContext:
        """The same moment for the customers from row `start` up to `stop` alone."""
        block, place = slice(start, stop), np.arange(len(self)) - start
        place[:start], place[stop:] = -1, -1

        def some(table: BoolArray | None) -> BoolArray | None:
            return None if table is None else table[block]

        return replace(
            self,
            zones=CustomerZones(self.zones.names, self.zones.code[block]),
            history=self.history.placed(place),
            outcomes=self.outcomes.placed(place),
            targeted=some(self.targeted),
            content=some(self.content),
            store=None if self.store is None else self.store[block],
            in_stock=self.in_stock if self.in_stock is None or len(self.in_stock) == 1 else some(self.in_stock),
        )

    def counting(self, counts: Counts) -> Counting:
        """From when each contact counts; worked out once for all rules."""
        if counts not in self._counting:
            self._counting[counts] = Counting.of(self.history, counts)
        return self._counting[counts]

    @cached_property
    def most_contacts(self) -> int:
        """Contacts in the history of whoever has most."""
        return int(np.bincount(self.history.row).max(initial=0))

    def everyone(self) -> BoolArray:
        """True for each customer; bool (n,)."""
        return np.ones(len(self), dtype=bool)
