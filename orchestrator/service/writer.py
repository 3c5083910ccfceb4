"""The one writer: a batch of jobs of any kind is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from orchestrator.profiles import ProfileSchema
from orchestrator.service.batch_tally import BatchTally
from orchestrator.service.deciding import Decider
from orchestrator.service.errors import ServiceError, StorageUnavailableError, WaitedTooLongError
from orchestrator.service.gathering import Claim
from orchestrator.service.jobs import (
    Answer,
    DecisionJob,
    DecisionMade,
    DecisionsJob,
    DecisionsMade,
    EventsJob,
    Job,
    OutcomesJob,
    ProbeJob,
    Recorded,
)
from orchestrator.service.metrics import Metrics
from orchestrator.service.profiles_batch import ProfilesBatch
from orchestrator.service.recording import decided_from, record_events, record_outcomes
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.errors import SchemaError
from orchestrator.storage.log import read_decided, serialise
from orchestrator.storage.probe import probe

_ATTEMPTS = 5


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
            StorageUnavailableError: the database refused; nothing of the batch was kept.
        """
        for attempt in range(_ATTEMPTS):
            try:
                # One connection for good: checking one out of the pool costs as much as several rows.
                if self._connection is None or self._connection.closed:
                    self._connection = self._engine.connect()
                tally = BatchTally()
                answers = self._handle(self._connection, jobs, claim, tally)
                self._metrics.committed(tally)
                return answers
            except DBAPIError as error:
                if attempt + 1 < _ATTEMPTS and dialect_of(self._engine).try_again(error.orig):
                    self._metrics.database("retried")
                    continue  # undone as a whole; what was in the way is in the log now, and answers
                if isinstance(error, OperationalError | InterfaceError):
                    self._metrics.database("refused")
                    raise StorageUnavailableError(f"the database refused the write: {_why(error)}") from error
                self._metrics.database("failed")
                raise
        raise AssertionError("the last attempt returns or raises")

    def _handle(
        self, connection: Connection, jobs: Sequence[Job], claim: Claim, tally: BatchTally
    ) -> list[Answer | ServiceError]:
        answers: dict[int, Answer | ServiceError] = {}
        events = [(i, job) for i, job in enumerate(jobs) if isinstance(job, EventsJob)]
        outcomes = [(i, job) for i, job in enumerate(jobs) if isinstance(job, OutcomesJob)]
        decisions = [
            (i, one)
            for i, job in enumerate(jobs)
            for one in ((job,) if isinstance(job, DecisionJob) else job.jobs if isinstance(job, DecisionsJob) else ())
        ]
        with connection.begin():
            ids = [outcome.decision_id for _, job in outcomes for outcome in job.outcomes]
            decided = decided_from(read_decided(connection, ids))
            customers = [job.customer_id for _, job in decisions]
            customers += [customer for _, job in events for customer in job.events.customers.tolist()]
            customers += [of.customer_id for of in decided.values()]
            serialise(
                connection,
                customer_ids=customers,
                keys=[job.key for _, job in decisions if job.key is not None],
                fact_ids=[
                    *(event_id for _, job in events for event_id in job.events.event_id.tolist()),
                    *(outcome.outcome_id for _, job in outcomes for outcome in job.outcomes),
                ],
            )
            if denied := {i for i, wanted in enumerate(claim()) if not wanted}:
                answers.update((i, WaitedTooLongError("not begun in time, and not done")) for i in denied)
                events = [(i, job) for i, job in events if i not in denied]
                outcomes = [(i, job) for i, job in outcomes if i not in denied]
                decisions = [(i, job) for i, job in decisions if i not in denied]
            # Not earlier: waiting for others takes time, and they may have written what is read next.
            now = self._clock()
            profiles = ProfilesBatch(connection, self._schema, customers)
            tally.lap("reading")
            if events:
                recorded = record_events(connection, self._schema, profiles, [job for _, job in events], now=now)
                answers.update(zip([i for i, _ in events], recorded, strict=True))
                for of_job in recorded:
                    tally.recorded("event", of_job.new)
            if outcomes:
                kept = record_outcomes(
                    connection, self._schema, profiles, [job for _, job in outcomes], decided=decided, now=now
                )
                answers.update(zip([i for i, _ in outcomes], kept, strict=True))
                for answer in kept:
                    if isinstance(answer, Recorded):
                        tally.recorded("outcome", answer.new)
            if events or outcomes:
                tally.lap("recording")
            if decisions:
                made = self._decider.decide(connection, profiles, [job for _, job in decisions], now=now, tally=tally)
                of_many: dict[int, list[DecisionMade | ServiceError]] = {}
                for (i, _), of_one in zip(decisions, made, strict=True):
                    if isinstance(jobs[i], DecisionsJob):
                        of_many.setdefault(i, []).append(of_one)
                    else:
                        answers[i] = of_one
                answers.update((i, DecisionsMade(many)) for i, many in of_many.items())
            profiles.write(layout=self._profile_layout, now=now)
            if probes := [i for i, job in enumerate(jobs) if isinstance(job, ProbeJob)]:
                answers.update((i, _probe(connection)) for i in probes)
            tally.lap("writing")
        tally.lap("committing")
        return [answers[i] for i in range(len(jobs))]


def _probe(connection: Connection) -> Recorded | StorageUnavailableError:
    try:
        probe(connection)
    except SchemaError as error:
        return StorageUnavailableError(f"the database cannot be used: {error}")
    return Recorded(())


def _why(error: DBAPIError) -> str:
    """The database's first line; what follows in PostgreSQL's messages quotes rows."""
    return next(iter(str(error.orig).splitlines()), type(error.orig).__name__)
