"""Facts about stock: which categories of goods are out of stock, since when, and what was known of it before.

Of a category's facts the one with the newest time holds; of several of the same time, the one that was received last.
Nobody else decides while a fact is kept (`Dialect.lock_out_others`), so sequences are in the order of transactions:
whoever has seen one has seen all before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from orchestrator.log.facts import where_any
from orchestrator.storage.tables import stock
from policies.arrays import BoolArray, IntArray

# From one category to the next by the index, and for each straight to its newest fact: the facts may be very many. The
# row after the last category has none, and is there always.
_CATEGORIES = """
    WITH RECURSIVE told (category) AS (
        SELECT min(category) FROM stock
        UNION ALL
        SELECT (SELECT min(category) FROM stock WHERE category > told.category) FROM told WHERE category IS NOT NULL
    )
"""
_OUT_OF_STOCK = f"""
    {_CATEGORIES}
    SELECT category, (SELECT max(sequence) FROM stock) FROM told WHERE category IS NULL OR NOT (
        SELECT in_stock FROM stock WHERE category = told.category ORDER BY timestamp DESC, sequence DESC LIMIT 1
    )
"""
# The state began with the first fact after the last one that said otherwise.
_STATES = f"""
    {_CATEGORIES}
    SELECT now.category, now.in_stock, coalesce(
        (
            SELECT timestamp FROM stock
            WHERE category = now.category AND timestamp >= otherwise.timestamp
            AND (timestamp > otherwise.timestamp OR sequence > otherwise.sequence)
            ORDER BY timestamp, sequence LIMIT 1
        ),
        (SELECT min(timestamp) FROM stock WHERE category = now.category)
    )
    FROM told
    JOIN stock AS now ON now.sequence = (
        SELECT sequence FROM stock WHERE category = told.category ORDER BY timestamp DESC, sequence DESC LIMIT 1
    )
    LEFT JOIN stock AS otherwise ON otherwise.sequence = (
        SELECT sequence FROM stock WHERE category = now.category AND in_stock <> now.in_stock
        ORDER BY timestamp DESC, sequence DESC LIMIT 1
    )
"""


@dataclass(frozen=True)
class StockSeen:
    """What a transaction sees.

    Attributes:
        out: the categories out of stock.
        until: sequence of the last fact in the log; 0 if there is none.
    """

    out: frozenset[str] = frozenset()
    until: int = 0


class CategoryState(NamedTuple):
    """Whether a category is in stock, and from when on it has been so (seconds since 1970)."""

    category: str
    in_stock: bool
    since: float


def read_out_of_stock(connection: Connection) -> StockSeen:
    """The categories that are out of stock now; one short statement, however many facts there are."""
    found = connection.exec_driver_sql(_OUT_OF_STOCK).all()
    return StockSeen(frozenset(row[0] for row in found if row[0] is not None), found[0][1] or 0)


def read_states_of_stock(connection: Connection) -> list[CategoryState]:
    """Every category about which there is a fact, in any order."""
    return [CategoryState(row[0], bool(row[1]), row[2]) for row in connection.exec_driver_sql(_STATES)]


def known_stock(connection: Connection, stock_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are in the log."""
    return {row[0] for row in where_any(connection, select(stock.c.stock_id), stock.c.stock_id, stock_ids)}


@dataclass(frozen=True)
class StockHistory:
    """What was out of stock after each fact, to be asked for any moment of the log.

    Attributes:
        turns: by category, the sequences of the facts that changed its state: the first one took it out of stock, the
            second one brought it back, and so on.
    """

    turns: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, connection: Connection) -> StockHistory:
        """Of all facts in the log."""
        history, newest = cls(), dict[str, float]()
        s = stock.c
        for sequence, category, in_stock, timestamp in connection.execute(
            select(s.sequence, s.category, s.in_stock, s.timestamp).order_by(s.sequence)
        ):
            if timestamp < newest.get(category, timestamp):
                continue
            newest[category] = timestamp
            turns = history.turns.setdefault(category, [])
            if in_stock == bool(len(turns) % 2):
                turns.append(sequence)
        return history

    def out_of_stock(self, category: str, until: IntArray) -> BoolArray:
        """Whether it was out of stock, as far as the facts up to each of n sequences say; bool (n,)."""
        turns = self.turns.get(category, [])
        return np.array([bisect_right(turns, sequence) % 2 == 1 for sequence in until.tolist()], dtype=bool)
