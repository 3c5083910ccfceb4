"""Collects what happened in columns: as events for the profiles, and as sums for the results."""

from __future__ import annotations

import numpy as np

from orchestrator.ingest.vocabulary import NONE
from orchestrator.profiles import EVENT_TYPES, EventRows
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from simulator.world.results import METRICS

CODE = {name: code for code, name in enumerate(EVENT_TYPES)}
METRIC = {name: i for i, name in enumerate(METRICS)}
Amount = Float32Array | Float64Array | float


class EventList:
    """Events of a part of a day, in the form `orchestrator.profiles.apply` takes."""

    def __init__(self) -> None:
        self._parts: list[tuple[IntArray, int, float, int | IntArray, int | IntArray, Amount, Amount]] = []

    def add(
        self,
        kind: str,
        rows: IntArray,
        *,
        at: float,
        channel: int | IntArray = NONE,
        category: int | IntArray = NONE,
        value: Amount = 0.0,
        discount: Amount = 0.0,
    ) -> None:
        """One event of this kind for each of these customers, at a time in seconds since 1970."""
        if len(rows):
            self._parts.append((rows, CODE[kind], at, channel, category, value, discount))

    def events(self) -> EventRows:
        """Everything added, in that order."""
        sizes = [len(part[0]) for part in self._parts]
        n = sum(sizes)
        customer, kinds, channels, categories = (np.empty(n, dtype=np.int64) for _ in range(4))
        times, values, discounts = (np.empty(n) for _ in range(3))
        start = 0
        for (rows, kind, at, channel, category, value, discount), size in zip(self._parts, sizes, strict=True):
            part = slice(start, start + size)
            customer[part], kinds[part], channels[part], categories[part] = rows, kind, channel, category
            times[part], values[part], discounts[part] = at, value, discount
            start += size
        return EventRows(
            customer=customer,
            timestamp=times,
            type=kinds,
            channel=channels,
            category=categories,
            value=values,
            quantity=np.ones(n),
            discount=discounts,
        )


class Totals:
    """Sums of `METRICS` per customer and per day, and money per customer and day where asked for.

    Attributes:
        by_customer: float64 (n, M).
        daily: float64 (D, M).
        margin: float32 (n, D), money kept per customer and day.
        worth: float32 (n, D), the same with what goals.yaml adds for outcomes that are not money yet.
        clicks: float32 (n, D).
    """

    def __init__(self, customers: int, days: int) -> None:
        # Customers stand side by side in memory: what is added to is one column at a time.
        self.by_customer = np.zeros((len(METRICS), customers)).T
        self.daily = np.zeros((days, len(METRICS)))
        self.margin = np.zeros((days, customers), dtype=np.float32).T
        self.worth = np.zeros((days, customers), dtype=np.float32).T
        self.clicks = np.zeros((days, customers), dtype=np.float32).T
        self.day = 0

    def add(self, metric: str, rows: IntArray, amount: Amount = 1.0) -> None:
        """Add an amount for each of these customers, each named once."""
        if not len(rows):
            return
        self.by_customer.T[METRIC[metric]][rows] += amount
        self.daily[self.day, METRIC[metric]] += np.sum(amount) if np.ndim(amount) else np.float64(amount) * len(rows)

    def click(self, rows: IntArray) -> None:
        """Each of these customers, each named once, clicked on an e-mail or a banner."""
        self.add("clicks", rows)
        self.clicks.T[self.day][rows] += 1

    def earn(self, rows: IntArray, margin: Amount) -> None:
        """Money kept (or spent) on each of these customers, each named once."""
        self.add("margin", rows, margin)
        self.margin.T[self.day][rows] += margin
        self.worth.T[self.day][rows] += margin

    def value(self, rows: IntArray, worth: float) -> None:
        """What goals.yaml says an outcome is worth that is no money in itself."""
        self.worth.T[self.day][rows] += np.float32(worth)

    def close_day(self, *, reachable: BoolArray, alive: BoolArray) -> None:
        """Count who is left at the end of the day."""
        for metric, still in (("reachable", reachable), ("alive", alive)):
            self.by_customer[:, METRIC[metric]] = still
            self.daily[self.day, METRIC[metric]] = still.sum()
        self.day += 1
