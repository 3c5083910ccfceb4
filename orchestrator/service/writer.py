"""The one writer: a batch of jobs of any kind is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from orchestrator.profiles import ProfileSchema
from orchestrator.service.deciding import Decider
from orchestrator.service.errors import ServiceError, StorageUnavailableError
from orchestrator.service.identity import Identities, MovedError, lock_customers
from orchestrator.service.jobs import (
    Answer,
    DecisionJob,
    DecisionMade,
    DecisionsJob,
    DecisionsMade,
    ErasureJob,
    EventsJob,
    Job,
    OutcomesJob,
)
from orchestrator.service.merging import merge_customers
from orchestrator.service.profiles_batch import ProfilesBatch
from orchestrator.service.recording import Decided, decided_from, record_events, record_outcomes, record_raw
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.erasing import erase_customer
from orchestrator.storage.log import read_decided
from orchestrator.wire.link import Link

_ATTEMPTS = 5


class Writer:
    """Handles batches of jobs: facts first, so that the decisions beside them know the facts.

    Args:
        engine: the database.
        schema: the customers' profiles.
        profile_layout: digest of the profile columns, kept with every state.
        decider: decides.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        schema: ProfileSchema,
        profile_layout: str,
        decider: Decider,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._schema = schema
        self._profile_layout = profile_layout
        self._decider = decider
        self._clock = clock

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()

    def handle(self, jobs: Sequence[Job]) -> list[Answer | ServiceError]:
        """Do all jobs in one transaction; when this returns, it is on disk.

        Raises:
            StorageUnavailableError: the database refused; nothing of the batch was kept.
        """
        for attempt in range(_ATTEMPTS):
            try:
                # One connection for good: checking one out of the pool costs as much as several rows.
                if self._connection is None or self._connection.closed:
                    self._connection = self._engine.connect()
                return self._handle(self._connection, jobs)
            except MovedError:
                continue  # undone; nothing was in the way but an id that changed hands
            except DBAPIError as error:
                if attempt + 1 < _ATTEMPTS and dialect_of(self._engine).try_again(error.orig):
                    continue  # undone as a whole; what was in the way is in the log now, and answers
                if isinstance(error, OperationalError | InterfaceError):
                    # Only its first line: PostgreSQL quotes rows in the next ones.
                    said = str(error.orig).partition("\n")[0]
                    raise StorageUnavailableError(f"the database refused the write: {said}") from error
                raise
        raise StorageUnavailableError("ids of these customers are being linked by others; send the request again")

    def _handle(self, connection: Connection, jobs: Sequence[Job]) -> list[Answer | ServiceError]:
        answers: dict[int, Answer | ServiceError] = {}
        events = [(i, job) for i, job in enumerate(jobs) if isinstance(job, EventsJob)]
        outcomes = [(i, job) for i, job in enumerate(jobs) if isinstance(job, OutcomesJob)]
        decisions = [
            (i, one)
            for i, job in enumerate(jobs)
            for one in ((job,) if isinstance(job, DecisionJob) else job.jobs if isinstance(job, DecisionsJob) else ())
        ]
        erasures = [(i, job) for i, job in enumerate(jobs) if isinstance(job, ErasureJob)]
        with connection.begin():
            ids = [outcome.decision_id for _, job in outcomes for outcome in job.outcomes]
            decided = decided_from(read_decided(connection, ids))
            identities = _lock(connection, jobs, decided)
            # Not earlier: waiting for others takes time, and they may have written what is read next.
            now = self._clock()
            whose = identities.resolve([job for _, job in events])
            decided = {i: replace(d, customer_id=identities.final(d.customer_id)) for i, d in decided.items()}
            asked = [_about(job, identities.customer(job.customer_id)) for _, job in decisions]
            merged = merge_customers(connection, self._schema, identities, now=now)
            customers = [job.customer_id for job in asked]
            customers += [customer for of_job in whose for customer in of_job]
            customers += [of.customer_id for of in decided.values()]
            profiles = ProfilesBatch(connection, self._schema, customers + (merged.customers if merged else []))
            if merged:
                merged.apply(self._schema, profiles)
            if events:
                told = [job for _, job in events]
                if identities.owners:
                    told = [replace(job, events=job.events.of(of)) for job, of in zip(told, whose, strict=True)]
                recorded = record_events(connection, self._schema, profiles, told, now=now)
                answers.update(zip([i for i, _ in events], recorded, strict=True))
                record_raw(connection, [raw for _, job in events for raw in job.raw], now=now)
            if outcomes:
                kept = record_outcomes(
                    connection, self._schema, profiles, [job for _, job in outcomes], decided=decided, now=now
                )
                answers.update(zip([i for i, _ in outcomes], kept, strict=True))
            if decisions:
                made = self._decider.decide(connection, profiles, asked, now=now)
                of_many: dict[int, list[DecisionMade | ServiceError]] = {}
                for (i, _), answer in zip(decisions, made, strict=True):
                    if isinstance(jobs[i], DecisionsJob):
                        of_many.setdefault(i, []).append(answer)
                    else:
                        answers[i] = answer
                answers.update((i, DecisionsMade(many)) for i, many in of_many.items())
            profiles.write(layout=self._profile_layout, now=now)
            # Last, so that nothing about them is written afterwards.
            for i, job in erasures:
                answers[i] = erase_customer(connection, identities.customer(job.customer_id), who=job.who, now=now)
        return [answers[i] for i in range(len(jobs))]


def _lock(connection: Connection, jobs: Sequence[Job], decided: Mapping[str, Decided]) -> Identities:
    """Have everything to oneself that the jobs read or change."""
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
        elif isinstance(job, EventsJob):
            given += job.events.customers.tolist()
            fact_ids += job.events.event_id.tolist()
            fact_ids += [f"{raw.source} {raw.message_id}" for raw in job.raw]
            links += job.links
        else:
            fact_ids += [outcome.outcome_id for outcome in job.outcomes]
    logged = [of.customer_id for of in decided.values()]
    return lock_customers(connection, given=given, logged=logged, links=links, keys=keys, fact_ids=fact_ids)


def _about(job: DecisionJob, customer_id: str) -> DecisionJob:
    return job if job.customer_id == customer_id else replace(job, customer_id=customer_id)
