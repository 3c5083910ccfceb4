"""Which actions may be taken for whom, with a reason for every one that may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from orchestrator.config import Retailer
from orchestrator.errors import ContextError, suggestion
from orchestrator.profiles import ProfileSchema, consent
from policies.arrays import BoolArray, Float64Array

ReasonArray = NDArray[np.uint8]


class Reason(IntEnum):
    """Why an action is not eligible; of several, the first in this order is reported."""

    ELIGIBLE = 0
    NOT_LIVE = 1
    NOT_YET_VALID = 2
    NO_LONGER_VALID = 3
    CHANNEL_NOT_ASKED = 4
    NO_CONSENT = 5


@dataclass(frozen=True)
class EligibilityRules:
    """The rules of one retailer's catalogue.

    `hold`, the first action, is always eligible: whatever else is refused, silence is possible.
    """

    retailer: Retailer
    schema: ProfileSchema

    def reasons(self, states: Float64Array, *, channels: Sequence[Sequence[str]], now: float) -> ReasonArray:
        """A reason per customer and action; uint8 (n, A), `Reason.ELIGIBLE` (0) where the action may be taken.

        Args:
            states: customer states, float64 (n, S).
            channels: per customer, the channels asked about; none for all.
            now: seconds since 1970 UTC.

        Raises:
            ContextError: an unknown channel, with the row and the nearest known name.
        """
        actions = self.retailer.catalogue.actions
        reasons = np.full((len(states), len(actions)), Reason.ELIGIBLE, dtype=np.uint8)
        code = np.array([self._code(a.channel) for a in actions])
        speaks = code >= 0
        allowed = consent(self.schema, states)
        # From the last reason to the first, so that the first that applies is the one that stays.
        reasons[~allowed[:, code] & speaks] = Reason.NO_CONSENT
        reasons[~self._asked(channels)[:, code] & speaks] = Reason.CHANNEL_NOT_ASKED
        for a, reason in enumerate(self._today(now)):
            if reason is not Reason.ELIGIBLE:
                reasons[:, a] = reason
        return reasons

    def _asked(self, channels: Sequence[Sequence[str]]) -> BoolArray:
        known: dict[tuple[str, ...], BoolArray] = {}
        asked = np.empty((len(channels), len(self.schema.channels)), dtype=bool)
        for row, names in enumerate(channels):
            key = tuple(names)
            if key not in known:
                for name in key:
                    if name not in self.schema.channels:
                        hint = suggestion(name, self.schema.channels)
                        raise ContextError(f"request {row}: channel = {name!r}: not known; {hint}")
                known[key] = np.array([not key or name in key for name in self.schema.channels])
            asked[row] = known[key]
        return asked

    def _today(self, now: float) -> list[Reason]:
        today = datetime.fromtimestamp(now, UTC).date()
        result = []
        for action in self.retailer.catalogue.actions:
            if action.status != "live":
                result.append(Reason.NOT_LIVE)
            elif action.valid_from and today < action.valid_from:
                result.append(Reason.NOT_YET_VALID)
            elif action.valid_until and today > action.valid_until:
                result.append(Reason.NO_LONGER_VALID)
            else:
                result.append(Reason.ELIGIBLE)
        return result

    def _code(self, channel: str) -> int:
        return self.schema.channels.index(channel) if channel else -1
