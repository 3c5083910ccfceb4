"""What `/metrics` tells. One registry per application; the hot path adds arrays, and names are made when asked for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.registry import Collector

from orchestrator.decision.groups import Group
from orchestrator.experiments.lift_watcher import MeasuredLift
from orchestrator.ingest.sources import SOURCES
from orchestrator.serving.policy_watcher import ServedPolicy
from orchestrator.serving.queue import QueueState
from orchestrator.serving.telemetry.batch_metrics import STAGES, BatchMetrics, Counted
from orchestrator.serving.telemetry.counters import (
    SECONDS,
    Buckets,
    counts,
    gauge,
    gauges,
    histogram,
    histograms,
    named,
)
from policies.arrays import IntArray

# Whatever else a client sends as a method is one label: labels must be few.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Requests, and decisions, to be counted in one go.
_TOGETHER = 2048
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# The database was in the way and the batch was tried again, or it refused the batch, or the batch failed for good.
DATABASE = ("retried", "refused", "failed")
FACTS = ("event", "outcome", "stock")
# Whose messages may be kept as they were sent; told from the start, so that the first one is seen as a change.


class Metrics(Collector):
    """Counts of one service, from its start on.

    Args:
        actions: ids, in the order of the core's arrays.
        reasons: names by reason code; the first is that of eligible cells.
        clock: seconds since 1970 UTC.
    """

    def __init__(self, *, actions: Sequence[str], reasons: Sequence[str], clock: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self._action_ids = tuple(actions)
        self._reason_names = tuple(reasons)
        self._clock = clock
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, ...], Buckets] = {}
        self._refusals: Counter[str] = Counter()
        self._stages: dict[tuple[str, ...], Buckets] = {(stage,): Buckets(SECONDS) for stage in STAGES}
        self._batch = Buckets(_BATCH)
        self._eligible: IntArray = np.zeros(len(actions) + 1, dtype=np.int64)
        self._reasons: IntArray = np.zeros(len(reasons), dtype=np.int64)
        self._groups: IntArray = np.zeros(len(Group), dtype=np.int64)
        self._actions: IntArray = np.zeros(len(actions), dtype=np.int64)
        self._holds = 0
        self._waits: list[float] = []
        self._decided: list[Counted] = []
        self._uncounted = 0
        self._repeats = 0
        self._facts: Counter[tuple[str, ...]] = Counter()
        self._raw: Counter[str] = Counter(dict.fromkeys((source.name for source in SOURCES), 0))
        self._database: Counter[str] = Counter()
        self._lift: tuple[MeasuredLift, float] | None = None
        # What is asked when someone looks; set by the service.
        self.queue: Callable[[], QueueState | None] = lambda: None
        self.policy: Callable[[], ServedPolicy | None] = lambda: None
        self.looked_at_registry: Callable[[], float | None] = lambda: None
        self.stopping: Callable[[], bool] = lambda: False

    def answered(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request. Belongs to the event loop.

        Args:
            route: template of the path; empty where there is none.
            method: of HTTP.
            status: of HTTP.
            seconds: until the last byte was handed over.
        """
        key = (route, method if method in _METHODS else "other", str(status))
        buckets = self._requests.get(key)
        if buckets is None:
            buckets = self._requests[key] = Buckets(SECONDS)
        buckets.add(seconds)

    def refused(self, kind: str) -> None:
        """Count a problem document by its kind. Belongs to the event loop."""
        self._refusals[kind] += 1

    def gathered(self, waits: Sequence[float]) -> None:
        """Count a batch of requests by how long each waited, in seconds."""
        with self._lock:
            self._batch.add(len(waits))
            self._waits.extend(waits)
            if len(self._waits) > _TOGETHER:
                self._count()

    def committed(self, tally: BatchMetrics) -> None:
        """Count what is on disk now."""
        with self._lock:
            for stage, seconds in tally.seconds.items():
                self._stages[stage,].add(seconds)
            self._decided += tally.decided
            self._uncounted += sum(len(made.first) for made in tally.decided)
            if self._uncounted > _TOGETHER:
                self._count()
            if tally.facts:
                self._facts.update(tally.facts)
            if tally.raw:
                self._raw.update(tally.raw)
            self._repeats += tally.repeats

    def database(self, what: str) -> None:
        """Count trouble with the database: one of `DATABASE`."""
        with self._lock:
            self._database[what] += 1

    def measured(self, lift: MeasuredLift) -> None:
        """Tell of a measurement of what groups are worth."""
        self._lift = lift, self._clock()

    def collect(self) -> Iterator[Metric]:
        """Everything, as Prometheus families."""
        with self._lock:
            self._count()
            # Now, not as they are asked for: the writer waits for the lock.
            counted = [*self._of_decisions(), *self._of_batches()]
        yield from counted
        yield from self._of_requests()
        yield from self._of_policy()
        yield from self._of_lift()

    def _count(self) -> None:
        """Count what was noted, many batches at a time.

        Batch by batch it would cost more: NumPy gives up the interpreter lock in some of these calls, and while the
        event loop is busy the writer thread then waits for it.
        """
        self._stages["waiting",].add_all(self._waits)
        self._waits.clear()
        if self._decided:
            made = Counted.joined(self._decided)
            self._decided, self._uncounted = [], 0
            self._eligible += np.bincount(made.eligible.sum(axis=1), minlength=len(self._eligible))
            self._reasons += np.bincount(made.reasons.ravel(), minlength=len(self._reasons))
            self._groups += np.bincount(made.groups, minlength=len(self._groups))
            self._actions += np.bincount(made.chosen, minlength=len(self._actions))
            self._holds += int((made.first == 0).sum())

    def _of_requests(self) -> Iterator[Metric]:
        labels = ("route", "method", "status")
        yield histograms("journey_request_seconds", "Requests by route template.", labels, self._requests)
        refusals = [((kind,), n) for kind, n in list(self._refusals.items())]
        yield counts("journey_refusals", "Problem documents by kind.", ["kind"], refusals)
        yield gauge("journey_stopping", "1 from the signal to stop on.", self.stopping())
        if (queue := self.queue()) is not None:
            yield gauge("journey_queue_requests", "Requests that wait.", queue.jobs)
            yield gauge("journey_queue_requests_limit", "Requests that may wait.", queue.most_jobs)
            yield gauge("journey_queue_bytes", "Memory of requests not yet done.", queue.bytes)
            yield gauge("journey_queue_bytes_limit", "Memory such requests may take.", queue.most_bytes)
            yield gauge("journey_queue_oldest_seconds", "How long the oldest request has waited.", queue.seconds)

    def _of_batches(self) -> Iterator[Metric]:
        yield histograms("journey_stage_seconds", "Per batch, but waiting: per request.", ["stage"], self._stages)
        yield histogram("journey_batch_requests", "Requests handled in one transaction.", self._batch)
        facts = [((kind, new), self._facts[kind, new]) for kind in FACTS for new in _NEW]
        yield counts("journey_facts", "Events, outcomes and facts about stock received.", ["kind", "result"], facts)
        raw = [((source,), n) for source, n in self._raw.items()]
        yield counts("journey_raw_messages", "Messages not understood, kept as they were sent.", ["source"], raw)
        troubles = [((what,), self._database[what]) for what in DATABASE]
        yield counts("journey_database_errors", "Batches the database did not take at once.", ["result"], troubles)

    def _of_decisions(self) -> Iterator[Metric]:
        groups = named([group.label for group in Group], self._groups)
        yield counts("journey_decisions", "Decisions made, by experiment group.", ["group"], groups)
        yield counts("journey_decisions_repeated", "Decisions answered from the log.", [], [((), self._repeats)])
        yield counts("journey_holds", "Decisions to do nothing.", [], [((), self._holds)])
        actions = named(self._action_ids, self._actions)
        yield counts("journey_actions", "Actions chosen; several slots count each.", ["action"], actions)
        reasons = named(self._reason_names, self._reasons)[1:]
        yield counts("journey_ineligible", "Actions not eligible in decisions, by reason.", ["reason"], reasons)
        eligible = Buckets(range(len(self._eligible)))
        eligible.add_counts(self._eligible)
        yield histogram("journey_eligible_actions", "Eligible actions per decision, `hold` included.", eligible)

    def _of_policy(self) -> Iterator[Metric]:
        now, served, looked = self._clock(), self.policy(), self.looked_at_registry()
        if served is not None:
            info = [((served.version, served.policy.name), 1.0)]
            yield gauges("journey_policy_info", "The policy that decides.", ["version", "kind"], info)
            yield gauge("journey_policy_age_seconds", "Since it began to serve here.", now - served.since)
        if looked is not None:
            yield gauge("journey_registry_look_age_seconds", "Since the registry was last read.", now - looked)

    def _of_lift(self) -> Iterator[Metric]:
        if self._lift is None:
            return
        lift, at = self._lift
        found = [
            ((group.group, lift.reference, name), value)
            for group in lift.groups
            for name, value in (("value", group.value), ("lower", group.lower), ("upper", group.upper))
            if value is not None
        ]
        labels = ("group", "reference", "bound")
        yield gauges("journey_lift_money_per_customer", "Above the reference; 95 %, at any time.", labels, found)
        sizes = [((group.group,), group.customers) for group in lift.groups]
        yield gauges("journey_lift_customers", "Customers whose time is over.", ["group"], sizes)
        yield gauge("journey_lift_age_seconds", "Since it was last measured.", self._clock() - at)


_NEW = ("accepted", "duplicate")
