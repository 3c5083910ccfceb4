"""The one writer: a batch of jobs of any kind is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from orchestrator.ingest.link import Link
from orchestrator.log.decision_log import ChosenActions, read_chosen
from orchestrator.privacy.erasing import erase_customer
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.errors import (
    OtherConfigurationError,
    ServiceError,
    StorageUnavailableError,
    WaitedTooLongError,
)
from orchestrator.serving.handlers.deciding import Decider
from orchestrator.serving.handlers.identity import Identities, MovedError, Whose, lock_customers
from orchestrator.serving.handlers.merging import merge_customers
from orchestrator.serving.handlers.profiles_batch import ProfilesBatch
from orchestrator.serving.handlers.recording import record_events, record_outcomes, record_raw
from orchestrator.serving.handlers.stock import record_stock
from orchestrator.serving.jobs import (
    Answer,
    DecisionJob,
    DecisionMade,
    DecisionsJob,
    DecisionsMade,
    ErasureJob,
    EventsJob,
    Job,
    OutcomesJob,
    ProbeJob,
    Recorded,
    StockJob,
)
from orchestrator.serving.queue import Claim
from orchestrator.serving.telemetry.batch_metrics import BatchMetrics
from orchestrator.serving.telemetry.metrics import Metrics
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.errors import SchemaError
from orchestrator.storage.probe import probe

_ATTEMPTS = 5

log = structlog.get_logger(__name__)


class Writer:
    """Handles batches of jobs: facts first, so that the decisions beside them know the facts.

    Args:
        engine: the database.
        schema: the customers' profiles.
        profile_layout: digest of the profile columns, kept with every state.
        decider: decides.
        metrics: told of what is on disk, and of trouble.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        schema: ProfileSchema,
        profile_layout: str,
        decider: Decider,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._schema = schema
        self._profile_layout = profile_layout
        self._decider = decider
        self._clock = clock
        self._metrics = metrics
        self._said_other = False

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()

    def handle(self, jobs: Sequence[Job], claim: Claim) -> list[Answer | ServiceError]:
        """Do all jobs in one transaction; when this returns, it is on disk.

        Args:
            jobs: what to do.
            claim: asked when nothing has to be waited for any more; jobs it denies are not done.

        Raises:
            StorageUnavailableError: the database refused; nothing of the batch was kept, or all of it, where its commit
                was not answered.
            OtherConfigurationError: the profiles were rebuilt for another configuration; nothing was kept.
        """
        for attempt in range(_ATTEMPTS):
            try:
                # One connection for good: checking one out of the pool costs as much as several rows.
                if self._connection is None or self._connection.closed:
                    self._connection = self._engine.connect()
                tally = BatchMetrics()
                answers = self._handle(self._connection, jobs, claim, tally)
                self._metrics.committed(tally)
                return answers
            except MovedError:
                continue  # undone; nothing was in the way but an id that changed hands
            except OtherConfigurationError as error:
                if not self._said_other:  # once: each refused request has a line of its own
                    log.error(str(error))
                    self._said_other = True
                raise
            except DBAPIError as error:
                if attempt + 1 < _ATTEMPTS and dialect_of(self._engine).try_again(error.orig):
                    self._metrics.database("retried")
                    continue  # undone as a whole; what was in the way is in the log now, and answers
                if isinstance(error, OperationalError | InterfaceError):
                    self._metrics.database("refused")
                    raise StorageUnavailableError(f"the database did not confirm the write: {_why(error)}") from error
                self._metrics.database("failed")
                raise
        raise StorageUnavailableError("ids of these customers are being linked by others; send the request again")

    def _handle(
        self, connection: Connection, jobs: Sequence[Job], claim: Claim, tally: BatchMetrics
    ) -> list[Answer | ServiceError]:
        answers: dict[int, Answer | ServiceError] = {}
        with connection.begin():
            ids = [outcome.decision_id for job in jobs if isinstance(job, OutcomesJob) for outcome in job.outcomes]
            decided = read_chosen(connection, ids)
            identities = _lock(connection, jobs, decided)
            denied = {i for i, wanted in enumerate(claim()) if not wanted}
            answers.update((i, WaitedTooLongError("not begun in time, and not done")) for i in denied)
            batch = _Batch.of((i, job) for i, job in enumerate(jobs) if i not in denied)
            # Not earlier: waiting for others takes time, and they may have written what is read next.
            now = self._clock()
            whose = identities.resolve([job for _, job in batch.events])
            decided = {i: replace(d, customer_id=identities.final(d.customer_id)) for i, d in decided.items()}
            batch.decisions = [(i, _about(job, identities.customer(job.customer_id))) for i, job in batch.decisions]
            merged = merge_customers(connection, self._schema, identities, now=now)
            customers = [job.customer_id for _, job in batch.decisions]
            customers += [customer for of_job in whose for customer in of_job.events]
            customers += [of.customer_id for of in decided.values()]
            profiles = ProfilesBatch(connection, self._schema, customers + (merged.customers if merged else []))
            if merged:
                merged.apply(self._schema, profiles)
            if identities.owners:
                pairs = zip(batch.events, whose, strict=True)
                batch.events = [(i, replace(job, events=job.events.of(of.events))) for (i, job), of in pairs]
            tally.lap("reading")
            if batch.events or batch.outcomes or batch.stock:
                self._record(connection, profiles, batch, answers, whose=whose, decided=decided, tally=tally, now=now)
            if batch.decisions:
                asked = [job for _, job in batch.decisions]
                made = self._decider.decide(connection, profiles, asked, now=now, tally=tally)
                answers.update(_per_job(jobs, [i for i, _ in batch.decisions], made))
            profiles.write(layout=self._profile_layout, now=now)
            # Last, so that nothing about them is written afterwards.
            for i, erasure in batch.erasures:
                whom = identities.customer(erasure.customer_id)
                answers[i] = erase_customer(connection, whom, who=erasure.who, now=now)
            answers.update((i, _probe(connection)) for i in batch.probes)
            tally.lap("writing")
        tally.lap("committing")
        return [answers[i] for i in range(len(jobs))]

    def _record(
        self,
        connection: Connection,
        profiles: ProfilesBatch,
        batch: _Batch,
        answers: dict[int, Answer | ServiceError],
        *,
        whose: Sequence[Whose],
        decided: Mapping[str, ChosenActions],
        tally: BatchMetrics,
        now: float,
    ) -> None:
        """Keep what the batch tells."""
        if batch.events:
            told = [job for _, job in batch.events]
            recorded = record_events(connection, self._schema, profiles, told, now=now)
            answers.update(zip([i for i, _ in batch.events], recorded, strict=True))
            raw, of_raw = [raw for job in told for raw in job.raw], [customer for of in whose for customer in of.raw]
            tally.raw.update(record_raw(connection, raw, whose=of_raw, now=now))
            for of_job in recorded:
                tally.recorded("event", of_job.new)
        if batch.outcomes:
            followed = [job for _, job in batch.outcomes]
            kept = record_outcomes(connection, self._schema, profiles, followed, decided=decided, now=now)
            answers.update(zip([i for i, _ in batch.outcomes], kept, strict=True))
            for answer in kept:
                if isinstance(answer, Recorded):
                    tally.recorded("outcome", answer.new)
        if batch.stock:
            for (i, _), answer in zip(
                batch.stock, record_stock(connection, [job for _, job in batch.stock], now=now), strict=True
            ):
                answers[i] = answer
                tally.recorded("stock", answer.new)
        tally.lap("recording")


@dataclass
class _Batch:
    """Jobs by kind, each with its place; of a job of several decisions, each has the place of the job."""

    events: list[tuple[int, EventsJob]] = field(default_factory=list)
    outcomes: list[tuple[int, OutcomesJob]] = field(default_factory=list)
    stock: list[tuple[int, StockJob]] = field(default_factory=list)
    decisions: list[tuple[int, DecisionJob]] = field(default_factory=list)
    erasures: list[tuple[int, ErasureJob]] = field(default_factory=list)
    probes: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, jobs: Iterable[tuple[int, Job]]) -> _Batch:
        """Sort jobs."""
        batch = cls()
        for i, job in jobs:
            match job:
                case EventsJob():
                    batch.events.append((i, job))
                case OutcomesJob():
                    batch.outcomes.append((i, job))
                case StockJob():
                    batch.stock.append((i, job))
                case DecisionJob():
                    batch.decisions.append((i, job))
                case DecisionsJob():
                    batch.decisions += ((i, one) for one in job.jobs)
                case ErasureJob():
                    batch.erasures.append((i, job))
                case ProbeJob():
                    batch.probes.append(i)
        return batch


def _per_job(
    jobs: Sequence[Job], places: Sequence[int], made: Sequence[DecisionMade | ServiceError]
) -> Iterator[tuple[int, Answer | ServiceError]]:
    """Answers by job: those to a job of several decisions together."""
    of_many: dict[int, list[DecisionMade | ServiceError]] = {}
    for i, answer in zip(places, made, strict=True):
        if isinstance(jobs[i], DecisionsJob):
            of_many.setdefault(i, []).append(answer)
        else:
            yield i, answer
    for i, many in of_many.items():
        yield i, DecisionsMade(many)


def _lock(connection: Connection, jobs: Sequence[Job], decided: Mapping[str, ChosenActions]) -> Identities:
    """Have everything to oneself that the jobs read or change."""
    # Every decision reads what is in stock: one that is answered after this must know it.
    if any(isinstance(job, StockJob) for job in jobs):
        dialect_of(connection).lock_out_others(connection)
    given: list[str] = []
    keys: list[str] = []
    fact_ids: list[str] = []
    links: list[Link] = []
    for job in jobs:
        if isinstance(job, DecisionJob | DecisionsJob):
            asked = [job] if isinstance(job, DecisionJob) else job.jobs
            given += [one.customer_id for one in asked]
            keys += [one.key for one in asked if one.key is not None]
        elif isinstance(job, ErasureJob):
            given.append(job.customer_id)
        elif isinstance(job, StockJob | ProbeJob):
            continue
        elif isinstance(job, EventsJob):
            given += job.events.customers.tolist()
            fact_ids += job.events.event_id.tolist()
            given += [raw.about for raw in job.raw if raw.about is not None]
            fact_ids += [f"{raw.source} {raw.message_id}" for raw in job.raw]
            links += job.links
        else:
            fact_ids += [outcome.outcome_id for outcome in job.outcomes]
    logged = [of.customer_id for of in decided.values()]
    return lock_customers(connection, given=given, logged=logged, links=links, keys=keys, fact_ids=fact_ids)


def _about(job: DecisionJob, customer_id: str) -> DecisionJob:
    return job if job.customer_id == customer_id else replace(job, customer_id=customer_id)


def _probe(connection: Connection) -> Recorded | StorageUnavailableError:
    try:
        probe(connection)
    except SchemaError as error:
        return StorageUnavailableError(f"the database cannot be used: {error}")
    return Recorded(())


def _why(error: DBAPIError) -> str:
    """The database's first line; what follows in PostgreSQL's messages quotes rows."""
    return next(iter(str(error.orig).splitlines()), type(error.orig).__name__)
