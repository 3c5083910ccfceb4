"""Keeping facts about stock."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from orchestrator.log.facts import write_rows
from orchestrator.log.stock import known_stock
from orchestrator.serving.jobs import Recorded, StockJob
from orchestrator.storage.tables import Row, stock


def record_stock(connection: Connection, jobs: Sequence[StockJob], *, now: float) -> list[Recorded]:
    """Keep the facts that are new; which were new, per job.

    Args:
        connection: in a transaction that has locked everybody else out.
        jobs: what to keep, in this order.
        now: seconds since 1970.
    """
    seen = known_stock(connection, [fact.stock_id for job in jobs for fact in job.facts])
    rows: list[Row] = []
    answers = []
    for job in jobs:
        new = []
        for fact in job.facts:
            new.append(fact.stock_id not in seen)
            if new[-1]:
                seen.add(fact.stock_id)
                rows.append(
                    {
                        "stock_id": fact.stock_id,
                        "category": fact.category,
                        "in_stock": fact.in_stock,
                        "timestamp": fact.timestamp,
                        "received_at": now,
                    }
                )
        answers.append(Recorded(tuple(new)))
    write_rows(connection, stock, rows)
    return answers
