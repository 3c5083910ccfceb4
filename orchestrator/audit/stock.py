"""Whether decisions refused what was out of stock, and nothing else for that."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection

from orchestrator.audit.rows import Faults
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.eligibility.rules.conditions import SAID_WITHOUT_STOCK
from orchestrator.log.decision_log import LoggedDecisions
from orchestrator.log.stock import StockHistory


class StockAudit:
    """Rebuilds what decisions knew of stock; reads the facts once, from the connection it is first given."""

    def __init__(self) -> None:
        self._history: StockHistory | None = None

    def check(self, connection: Connection, logged: LoggedDecisions, faults: Faults) -> None:
        """Compare with the facts up to the last one each decision knew."""
        if self._history is None:
            self._history = StockHistory.read(connection)
        reasons, actions = logged.reasons, logged.schema.actions
        # What comes before it in the order of reasons may hide it.
        refused = (reasons != Reason.ELIGIBLE) & (reasons <= Reason.OUT_OF_STOCK)
        out = np.zeros(reasons.shape, dtype=bool)
        for category in {action.subject for action in actions}:
            about = [a.subject == category and a.intent not in SAID_WITHOUT_STOCK for a in actions]
            out[:, about] = self._history.out_of_stock(category, logged.stock_until)[:, None]
        wrong = np.where(out, ~refused, reasons == Reason.OUT_OF_STOCK)
        for i in np.flatnonzero(wrong.any(axis=1)).tolist():
            a = int(wrong[i].argmax())
            state = "out of stock" if out[i, a] else "in stock"
            faults.add(i, f"reasons: that of {actions[a].id} does not follow from its category, which was {state}")
