"""Which actions may be taken for whom, with a reason for every one that may not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from orchestrator.config import Retailer
from orchestrator.config.catalogue import Action
from orchestrator.errors import ContextError, suggestion
from orchestrator.profiles import ProfileSchema
from policies.arrays import BoolArray

ReasonArray = NDArray[np.uint8]


class Reason(IntEnum):
    """Why an action is not eligible; of several, the first in this order is reported.

    Codes stand in logs and never change their meaning. Those of the catalogue and of consent come first, then what is
    not said to this customer, then what facts forbid for some time, the longest first, then what the clock forbids.
    """

    ELIGIBLE = 0
    NOT_LIVE = 1
    NOT_YET_VALID = 2
    NO_LONGER_VALID = 3
    CHANNEL_NOT_ASKED = 4
    NO_CONSENT = 5
    NOT_TARGETED = 6
    CONTENT_MISSING = 7
    OUT_OF_STOCK = 8
    SUPPRESSED = 9
    CAP_REACHED = 10
    TOO_SOON = 11
    QUIET_HOURS = 12
    STORE_CLOSED = 13


class EligibilityRules:
    """The rules of one retailer's catalogue.

    `hold`, the first action, is always eligible: whatever else is refused, silence is possible.
    """

    def __init__(self, retailer: Retailer, schema: ProfileSchema) -> None:
        self.schema = schema
        self._actions = retailer.catalogue.actions
        self._channel = np.array([schema.channels.index(a.channel) if a.channel else -1 for a in self._actions])
        self._of_day: tuple[date, ReasonArray] = (date.min, np.empty(0, dtype=np.uint8))

    def reasons(
        self, *, consented: BoolArray, channels: BoolArray, now: float, contacts: ReasonArray | None = None
    ) -> ReasonArray:
        """A reason per customer and action; uint8 (n, A), `Reason.ELIGIBLE` (0) where the action may be taken.

        Args:
            consented: the channels that may be used, bool (n, channels), as `profiles.consent` gives it.
            channels: the channels asked about, bool (n, channels).
            now: seconds since 1970 UTC.
            contacts: what contact rules say, uint8 (n, A); reported where nothing here forbids. None for no rules.
        """
        # Dates first, then what was asked, then consent: the first that applies is the one that stays.
        # An action is a row of memory here, copied whole from its channel's.
        n, silent = channels.shape
        by_channel = np.zeros((silent + 1, n), dtype=np.uint8)  # the last row is of actions that say nothing
        np.multiply(~consented.T, np.uint8(Reason.NO_CONSENT), out=by_channel[:silent])
        by_channel[:silent][~channels.T] = Reason.CHANNEL_NOT_ASKED
        reasons: ReasonArray = by_channel[self._channel]
        today = self._today(now)
        dated = np.flatnonzero(today)
        reasons[dated] = today[dated, None]
        if contacts is not None:
            np.copyto(reasons, contacts.T, where=reasons == Reason.ELIGIBLE)
        return reasons.T

    def asked(self, channels: Sequence[Sequence[str]]) -> BoolArray:
        """The channels asked about, by name; bool (n, channels).

        Args:
            channels: per customer, names of channels; none for all.

        Raises:
            ContextError: an unknown channel, with the row and the nearest known name.
        """
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

    def _today(self, now: float) -> ReasonArray:
        today = datetime.fromtimestamp(now, UTC).date()
        # Read and written once each, so that every thread sees its own day whole.
        of_day = self._of_day
        if today != of_day[0]:
            of_day = today, np.array([dated(action, today) for action in self._actions], dtype=np.uint8)
            self._of_day = of_day
        return of_day[1]


def dated(action: Action, today: date) -> Reason:
    """What an action's status and days of validity say on a day (UTC)."""
    if action.status != "live":
        return Reason.NOT_LIVE
    if action.valid_from and today < action.valid_from:
        return Reason.NOT_YET_VALID
    if action.valid_until and today > action.valid_until:
        return Reason.NO_LONGER_VALID
    return Reason.ELIGIBLE
