"""What each kind of event leaves behind in its customer's state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from orchestrator.config.fact_types import Trace
from policies.arrays import Float64Array, IntArray

CODES = ("", "category", "channel")
AMOUNTS = ("count", "value", "discount")


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
        traces: Sequence[Sequence[Trace]],
        *,
        cell: Callable[[Trace], int],
        half_life: Callable[[Trace], float] = lambda _: np.inf,
    ) -> TraceTable:
        """The table, given the traces of each event type, where each of them stands and how it decays."""
        count = np.array([len(of_type) for of_type in traces], dtype=np.int64)
        every = list(chain.from_iterable(traces))
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
