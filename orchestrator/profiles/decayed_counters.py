"""What each kind of event leaves behind in its customer's state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from orchestrator.config.event_names import EVENT_TYPES
from policies.arrays import Float64Array, IntArray

CODES = ("", "category", "channel")
AMOUNTS = ("count", "value", "discount")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One thing an event changes.

    Attributes:
        slot: block of the state, as `ProfileSchema.slot` knows it.
        of: of the block `last`, the one of `LAST`.
        code: which code of the event chooses the cell of the block; an event without that code leaves nothing.
        amount: what is added: 1, or an amount of the event.
        weight: times this.
    """

    slot: str
    of: str = ""
    code: Literal["", "category", "channel"] = ""
    amount: Literal["count", "value", "discount"] = "count"
    weight: float = 1.0


def _responses(weight: float) -> Trace:
    return Trace(slot="responses", code="channel", weight=weight)


# A click shows more interest than an open, which a mail program may have done by itself.
SUMS: dict[str, tuple[Trace, ...]] = {
    "view": (Trace(slot="views", code="category"),),
    "visit": (Trace(slot="visits"),),
    "store_visit": (Trace(slot="store_visits"),),
    "purchase": (
        Trace(slot="buys", code="category"),
        Trace(slot="purchases"),
        Trace(slot="spend", amount="value"),
        Trace(slot="discounts", amount="discount"),
    ),
    "return": (Trace(slot="returns", amount="value"),),
    "sent": (Trace(slot="fatigue", code="channel"), Trace(slot="sends", code="channel")),
    "open": (_responses(0.25),),
    "click": (_responses(1.0),),
    "coupon_redeemed": (_responses(1.0), Trace(slot="redemptions")),
}
_RESPONSE = (Trace(slot="last", of="response"), Trace(slot="last.response", code="channel"))
LAST_TIMES: dict[str, tuple[Trace, ...]] = {
    "visit": (Trace(slot="last", of="visit"),),
    "store_visit": (Trace(slot="last", of="store_visit"),),
    "want": (Trace(slot="last.wanted", code="category"),),
    "cart_add": (Trace(slot="last.carted", code="category"),),
    "cart_remove": (Trace(slot="last.uncarted", code="category"),),
    "purchase": (Trace(slot="last", of="purchase"), Trace(slot="last.bought", code="category")),
    "open": _RESPONSE,
    "click": _RESPONSE,
    "coupon_redeemed": _RESPONSE,
    "subscribe": (Trace(slot="last.subscribed", code="channel"),),
    "unsubscribe": (Trace(slot="last.unsubscribed", code="channel"),),
}


@dataclass(frozen=True, eq=False)
class TraceTable:
    """Traces as arrays, those of one event type side by side, so that a whole batch is looked up at once.

    Attributes:
        first: int64 (types,), the first trace of each event type.
        count: int64 (types,), how many it leaves.
        cell: int64 (traces,), where its block starts in a state.
        code: int64 (traces,), index into `CODES`.
        amount: int64 (traces,), index into `AMOUNTS`.
        weight: float64 (traces,).
        half_life: float64 (traces,), seconds; infinite for what does not decay.
    """

    first: IntArray
    count: IntArray
    cell: IntArray
    code: IntArray
    amount: IntArray
    weight: Float64Array
    half_life: Float64Array

    @classmethod
    def of(
        cls,
        traces: dict[str, tuple[Trace, ...]],
        *,
        cell: Callable[[Trace], int],
        half_life: Callable[[Trace], float] = lambda _: np.inf,
    ) -> TraceTable:
        """The table of `SUMS` or `LAST_TIMES`, given where each trace stands and how it decays."""
        count = np.array([len(traces.get(kind, ())) for kind in EVENT_TYPES], dtype=np.int64)
        every = [trace for kind in EVENT_TYPES for trace in traces.get(kind, ())]
        return cls(
            first=np.cumsum(count) - count,
            count=count,
            cell=np.array([cell(trace) for trace in every], dtype=np.int64),
            code=np.array([CODES.index(trace.code) for trace in every], dtype=np.int64),
            amount=np.array([AMOUNTS.index(trace.amount) for trace in every], dtype=np.int64),
            weight=np.array([trace.weight for trace in every]),
            half_life=np.array([half_life(trace) for trace in every]),
        )

    def left_by(self, types: IntArray, codes: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """What n events leave: m traces, in the order of the events.

        Args:
            types: int64 (n,), indices into `EVENT_TYPES`.
            codes: int64 (3, n), per name in `CODES` the code of each event, -1 for none.

        Returns:
            the event of each trace, its row in this table, and its cell within a state; int64 (m,) each.
        """
        count = self.count[types]
        event = np.repeat(np.arange(len(types)), count)
        within = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
        trace = self.first[types][event] + within
        code = codes[self.code[trace], event]
        known = code >= 0
        if not known.all():
            event, trace, code = event[known], trace[known], code[known]
        return event, trace, self.cell[trace] + code
