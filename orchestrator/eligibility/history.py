"""Facts that contact rules count: what was decided, sent and seen, and what followed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from orchestrator.errors import EventError
from policies.arrays import Float64Array, IntArray


@dataclass(frozen=True)
class ContactHistory:
    """m contacts of n customers, in any order. Times are seconds since 1970.

    Attributes:
        row: int64 (m,), whose: row of the customer in [0, n).
        action: int64 (m,), code as of `ContactRules.codes`.
        decided: float64 (m,), when it was decided.
        sent: float64 (m,), when it was reported sent; nan if it was not yet.
        seen: float64 (m,), when it was reported seen; nan if it was not yet.
        cancelled: float64 (m,), when the channel said it will not be; nan if it never did.
    """

    row: IntArray
    action: IntArray
    decided: Float64Array
    sent: Float64Array
    seen: Float64Array
    cancelled: Float64Array

    def __post_init__(self) -> None:
        m = self.row.shape
        for column in fields(self):
            if len(m) != 1 or (shape := getattr(self, column.name).shape) != m:
                shape = getattr(self, column.name).shape
                raise EventError(f"contacts: {column.name} has shape {shape}, row has {m}; give one value per contact")
        if not np.isfinite(self.decided).all():
            raise EventError("contacts: decided has a time that is not finite; every contact was decided at some time")

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(
        cls,
        *,
        row: IntArray,
        action: IntArray,
        decided: Float64Array,
        sent: Float64Array | None = None,
        seen: Float64Array | None = None,
        cancelled: Float64Array | None = None,
    ) -> ContactHistory:
        """A history in which what is not given never happened."""
        never = np.full(len(row), np.nan)
        given = (never if times is None else times for times in (sent, seen, cancelled))
        return cls(row, action, decided, *given)

    @classmethod
    def empty(cls) -> ContactHistory:
        """No contacts."""
        codes = np.empty(0, dtype=np.int64)
        return cls.of(row=codes, action=codes, decided=np.empty(0))

    def placed(self, place: IntArray) -> ContactHistory:
        """The contacts of some customers, in other rows.

        Args:
            place: int64 (n,), the new row of each customer, -1 for one who is left out.
        """
        row = place[self.row]
        kept = np.flatnonzero(row >= 0)
        taken = {column.name: getattr(self, column.name)[kept] for column in fields(self)}
        return ContactHistory(**{**taken, "row": row[kept]})


@dataclass(frozen=True)
class OutcomeHistory:
    """m outcomes of n customers, in any order.

    Attributes:
        row: int64 (m,), row of the customer in [0, n).
        type: int64 (m,), position in `config.OUTCOMES`.
        at: float64 (m,), seconds since 1970.
    """

    row: IntArray
    type: IntArray
    at: Float64Array

    def __post_init__(self) -> None:
        if self.row.ndim != 1 or not self.row.shape == self.type.shape == self.at.shape:
            shapes = f"{self.row.shape}, {self.type.shape} and {self.at.shape}"
            raise EventError(f"outcomes: row, type and at have shapes {shapes}; give one value per outcome")
        if not np.isfinite(self.at).all():
            raise EventError("outcomes: at has a time that is not finite; every outcome happened at some time")

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def empty(cls) -> OutcomeHistory:
        """No outcomes."""
        codes = np.empty(0, dtype=np.int64)
        return cls(codes, codes, np.empty(0))

    def placed(self, place: IntArray) -> OutcomeHistory:
        """The outcomes of some customers, in other rows; `place` as of `ContactHistory.placed`."""
        row = place[self.row]
        kept = np.flatnonzero(row >= 0)
        return OutcomeHistory(row[kept], self.type[kept], self.at[kept])
