"""Counting without locks per number: histograms and counts that take whole batches, and their Prometheus families."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from policies.arrays import IntArray

# Seconds: from a tenth of a millisecond to longer than any request may wait.
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Buckets:
    """A histogram; a value equal to a bound is in that bound's bucket."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_all(self, values: ArrayLike) -> None:
        """Count many values, (n,)."""
        array = np.asarray(values, dtype=np.float64)
        found = np.bincount(np.searchsorted(self._bounds, array), minlength=len(self._counts))
        self._counts = [old + new for old, new in zip(self._counts, found.tolist(), strict=True)]
        self._sum += float(array.sum())

    def add_counts(self, found: IntArray) -> None:
        """Count values that are the bounds themselves, (number of bounds,) times each."""
        self._counts = [old + new for old, new in zip(self._counts, [*found.tolist(), 0], strict=True)]
        self._sum += float(found @ np.asarray(self._bounds, dtype=np.float64))

    def to_family(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add the histogram to a family."""
        names = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        below = np.cumsum(self._counts).tolist()
        family.add_metric(labels, list(zip(names, map(float, below), strict=True)), self._sum)


def histogram(name: str, documentation: str, buckets: Buckets) -> HistogramMetricFamily:
    """A family of one histogram."""
    family = HistogramMetricFamily(name, documentation)
    buckets.to_family(family)
    return family


def histograms(
    name: str, documentation: str, labels: Sequence[str], buckets: Mapping[tuple[str, ...], Buckets]
) -> HistogramMetricFamily:
    """A family of histograms by label values."""
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for values, one in list(buckets.items()):
        one.to_family(family, values)
    return family


def counts(
    name: str, documentation: str, labels: Sequence[str], found: Iterable[tuple[tuple[str, ...], float]]
) -> CounterMetricFamily:
    """A family of counters by label values."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, count in found:
        family.add_metric(values, float(count))
    return family


def gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    """A family of one value."""
    return GaugeMetricFamily(name, documentation, value=value)


def gauges(
    name: str, documentation: str, labels: Sequence[str], found: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    """A family of values by label values."""
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, value in found:
        family.add_metric(values, float(value))
    return family


def named(labels: Sequence[str], found: IntArray) -> list[tuple[tuple[str, ...], float]]:
    """Counts by position as counts by name."""
    return [((label,), count) for label, count in zip(labels, found.tolist(), strict=True)]
