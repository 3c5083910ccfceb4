"""The service behind the API: opens the database, gathers requests, decides, records, reads back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from opentelemetry.trace import TracerProvider
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.access.key_ring import KeyRing
from orchestrator.access.key_rows import note_used, read_keys
from orchestrator.access.keys import ApiKey
from orchestrator.config import Retailer
from orchestrator.decision.core import DecisionCore
from orchestrator.decision.groups import Assignment, Experiment, business_rules
from orchestrator.experiments.lift_watcher import LiftWatcher
from orchestrator.ingest.sources import SOURCES
from orchestrator.log.contact_facts import ContactReader
from orchestrator.log.decision_log import LoggedDecisions, read_decisions
from orchestrator.log.decision_schema import DecisionSchema
from orchestrator.log.facts import keep_schema, read_outcomes
from orchestrator.log.stock import CategoryState, read_states_of_stock
from orchestrator.privacy.customers import CustomerSummary, export_customer, log_export, read_customer
from orchestrator.privacy.erasing import Erased
from orchestrator.privacy.personal import is_held
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.errors import (
    ServiceError,
    StorageUnavailableError,
    UnknownCustomerError,
    UnknownDecisionError,
)
from orchestrator.serving.handlers.deciding import Decider
from orchestrator.serving.handlers.explaining import Contribution, Explained, Explainer, contributions
from orchestrator.serving.handlers.profiles_batch import require_layout
from orchestrator.serving.job_sizes import bytes_of, weight_of
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
    Recorded,
    StockJob,
)
from orchestrator.serving.policy_watcher import ChampionWatcher, PolicyHolder
from orchestrator.serving.queue import GroupCommitQueue, MemoryReservation
from orchestrator.serving.readiness import Checks, Readiness
from orchestrator.serving.telemetry.batch_spans import batch_spans
from orchestrator.serving.telemetry.metrics import Metrics
from orchestrator.serving.writer import Writer
from orchestrator.storage.database import READ_ONLY, open_database
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.errors import SchemaError
from orchestrator.storage.tables import Row, customers
from policies.policy import Policy
from policies.vw.policy import VWPolicy


@dataclass(frozen=True)
class ServiceSettings:
    """What one service is made of.

    Attributes:
        retailer: its configuration; `retailer.serving.database` is where the log is.
        champion: version and directory of the policy that should serve; none, or `NoChampionError`, while there is
            none. Called every `retailer.serving.champion_poll_seconds` on a thread.
        load_policy: reads and checks a policy directory; raises if it must not serve.
        clock: seconds since 1970 UTC.
    """

    retailer: Retailer
    champion: Callable[[], tuple[str, Path] | None]
    load_policy: Callable[[Path], VWPolicy]
    clock: Callable[[], float] = time.time


class Service:
    """Use as `async with Service(settings) as service`; leaving finishes what was accepted."""

    def __init__(self, settings: ServiceSettings, *, tracer_provider: TracerProvider | None = None) -> None:
        self.settings = settings
        self._stopping = False
        self._around = batch_spans(tracer_provider)
        self._operations = settings.retailer.serving.operations
        self.schema = ProfileSchema.from_retailer(settings.retailer)
        self.core = DecisionCore(settings.retailer, self.schema)
        rules = business_rules(settings.retailer)
        self._experiment = Experiment.of(rules, actions=self.core.actions, columns=self.core.columns)
        self.readers = {source.name: source.reader(settings.retailer, self.schema) for source in SOURCES}
        self.policies = PolicyHolder()
        self._contacts = ContactReader(settings.retailer)
        self._groups = Assignment(settings.retailer.serving.groups)
        self._explainer = Explainer(
            self.core,
            settings.retailer,
            policies=self.policies,
            groups=self._groups,
            experiment=self._experiment,
        )
        # Not started here: who needs no keys does not read them.
        self.keys = KeyRing(load=self._read_keys, note=self._note_used, clock=settings.clock)
        self.metrics = Metrics(actions=self.core.actions.ids, reasons=self.core.reasons, clock=settings.clock)
        self._lift = LiftWatcher(
            database=settings.retailer.serving.database,
            goals=settings.retailer.goals,
            experiment=self._groups.experiment,
            window=self._operations.lift_days * 86400,
            every=self._operations.lift_minutes * 60,
            clock=settings.clock,
            tell=self.metrics.measured,
        )
        self._watcher = ChampionWatcher(
            self.policies,
            champion=settings.champion,
            load=self._load,
            every=settings.retailer.serving.champion_poll_seconds,
            clock=settings.clock,
        )

    async def __aenter__(self) -> Service:
        # Looking at every profile may take long; nothing afterwards may.
        await asyncio.to_thread(self.check_database)
        self._engine = await asyncio.to_thread(
            open_database,
            self.settings.retailer.serving.database,
            answers_within=self._operations.database_timeout_seconds,
        )
        self._reading = self._engine.execution_options(**READ_ONLY)
        self._writer = Writer(
            self._engine,
            schema=self.schema,
            profile_layout=self._profile_layout,
            decider=Decider(
                self.core,
                schema=self._decision_schema,
                policies=self.policies,
                contacts=self._contacts,
                groups=self._groups,
                experiment=self._experiment,
            ),
            metrics=self.metrics,
            clock=self.settings.clock,
        )
        self._gatherer: GroupCommitQueue[Job, Answer] = GroupCommitQueue(
            self._writer.handle,
            capacity=self._operations.queue_requests,
            capacity_bytes=self._operations.queue_bytes,
            bytes_of=bytes_of,
            weight_of=weight_of,
            patience=self._operations.request_timeout_seconds,
            observe=self.metrics.gathered,
            around=self._around,
        )
        self._gatherer.start()
        self._readiness = Readiness(self._gatherer, policies=self.policies, stopping=lambda: self._stopping)
        self.metrics.stopping = lambda: self._stopping
        self.metrics.queue = self._gatherer.state
        self.metrics.policy = lambda: self.policies.current
        self.metrics.looked_at_registry = lambda: self._watcher.looked_at
        await asyncio.to_thread(self._watcher.start)
        self._lift.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._gatherer.stop()
        await asyncio.to_thread(self._watcher.stop)
        await asyncio.to_thread(self._lift.stop)
        self._writer.close()
        self._engine.dispose()

    def check_database(self) -> None:
        """Open the database, creating it where missing, and close it again.

        Raises:
            StorageError: it cannot be used, or holds profiles of another configuration.
        """
        self._open().dispose()

    def has_usable_key(self) -> bool:
        """Whether the database holds a key that would let somebody in.

        Raises:
            StorageError: the database cannot be used.
        """
        engine = self._open()
        with engine.connect() as connection:
            found = read_keys(connection)
        engine.dispose()
        now = self.settings.clock()
        return any(not key.fault(now) for key in found.values())

    def check_room(self, size: int) -> None:
        """Check that a request of so many bytes may wait.

        Raises:
            OverloadedError: too many do already.
        """
        self._gatherer.refuse_if_full(size)

    def holding(self, size: int = 0) -> AbstractContextManager[MemoryReservation]:
        """Take up room for so many bytes, while a request is being received or read; for more as it grows.

        Raises:
            OverloadedError: there is none.
        """
        return self._gatherer.holding(size)

    async def decide(self, job: DecisionJob) -> DecisionMade:
        """Decide; durable when this returns.

        Raises:
            ServiceError: refused; nothing was kept.
        """
        self.policies.required()
        answer = await self._gatherer.submit(job)
        assert isinstance(answer, DecisionMade)  # noqa: S101 - narrows the type
        return answer

    async def decide_many(self, jobs: Sequence[DecisionJob]) -> Sequence[DecisionMade | ServiceError]:
        """Decide several in one transaction, in this order; an answer or a refusal for each. Durable when this returns.

        Raises:
            ServiceError: all were refused; nothing was kept.
        """
        self.policies.required()
        if not jobs:
            return []
        answer = await self._gatherer.submit(DecisionsJob(jobs))
        assert isinstance(answer, DecisionsMade)  # noqa: S101 - narrows the type
        return answer.answers

    async def record(
        self, job: EventsJob | OutcomesJob | StockJob, *, room: MemoryReservation | None = None
    ) -> Recorded:
        """Keep facts; durable when this returns.

        Args:
            job: the facts.
            room: held until this returns, and counts the job's bytes already.

        Raises:
            ServiceError: refused; nothing was kept.
        """
        answer = await self._gatherer.submit(job, room=room)
        assert isinstance(answer, Recorded)  # noqa: S101 - narrows the type
        return answer

    async def read_decision(self, decision_id: str) -> tuple[LoggedDecisions, list[Row]]:
        """A decision as logged, a batch of one, and its outcomes.

        Raises:
            UnknownDecisionError: no such decision.
        """
        return await asyncio.to_thread(self._read_decision, decision_id)

    async def explain(self, job: DecisionJob) -> Explained:
        """What would be decided now and why; writes nothing and counts no contact.

        Raises:
            ServiceError: refused.
        """
        return await asyncio.to_thread(self._explain, job)

    def contributions_to(self, logged: LoggedDecisions) -> tuple[tuple[Contribution, ...], ...] | None:
        """What each action's score of the first decision owes most to; None if another policy serves by now."""
        served, schema = self.policies.current, logged.schema
        if served is None or served.version != logged.policy_version[0] or schema.id != self._decision_schema.id:
            return None
        return contributions(served.policy, logged.features[0], columns=schema.columns)

    async def read_stock(self) -> dict[str, CategoryState]:
        """What is known of stock now, by category; no entry where nothing was ever told."""
        return await asyncio.to_thread(self._read_stock)

    async def read_customer(self, customer_id: str) -> CustomerSummary:
        """What is known of a customer now.

        Raises:
            UnknownCustomerError: nothing.
        """
        found = await asyncio.to_thread(self._read_customer, customer_id)
        if found is None:
            raise UnknownCustomerError("no event of this customer was ever received")
        return found

    async def export_customer(self, customer_id: str, *, who: str) -> Iterator[dict[str, Any]]:
        """Everything held about a customer, row by row; iterating reads the database, so do it at once.

        Raises:
            UnknownCustomerError: nothing is.
        """
        await asyncio.to_thread(self._begin_export, customer_id, who)
        return self._exported(customer_id)

    async def erase_customer(self, customer_id: str, *, who: str) -> tuple[Erased, bool]:
        """Erase everything about a customer; whether the bytes are gone from the storage, too.

        Raises:
            ServiceError: refused; nothing was erased.
        """
        erased = await self._gatherer.submit(ErasureJob(customer_id, who))
        assert isinstance(erased, Erased)  # noqa: S101 - narrows the type
        wiped = await asyncio.to_thread(dialect_of(self._engine).wipe, self._engine, ids=erased.ids, texts=erased.texts)
        return erased, wiped

    async def ready(self) -> Checks:
        """What is wrong with each thing a decision needs; nothing where all is well."""
        return await self._readiness.checks()

    def stop_soon(self) -> None:
        """Say from now on that it is not ready; requests are handled as before. May be called by a signal's handler."""
        self._stopping = True

    @cached_property
    def _decision_schema(self) -> DecisionSchema:
        core = self.core
        return DecisionSchema.of(
            self.settings.retailer,
            columns=core.columns,
            reasons=core.reasons,
            action_set=core.actions,
            counted=self._contacts.is_contact,
            profiles=self.schema.features_fingerprint,
        )

    @property
    def _profile_layout(self) -> str:
        return self.schema.fingerprint

    def _load(self, directory: Path) -> Policy:
        return self.core.bind(self.settings.load_policy(directory))

    def _open(self) -> Engine:
        engine = open_database(self.settings.retailer.serving.database)
        with engine.begin() as connection:
            keep_schema(connection, self._decision_schema.id, self._decision_schema.to_json())
            other = connection.execute(
                select(customers.c.layout).where(customers.c.layout != self._profile_layout).limit(1)
            ).first()
        if other is not None:
            engine.dispose()
            raise SchemaError(
                f"{engine.url} holds profiles of another configuration (categories, channels or profiles.yaml "
                "changed); run `journey db rebuild` to make them anew from the events, or restore the configuration"
            )
        return engine

    def _read_keys(self) -> dict[str, ApiKey]:
        with self._reading.connect() as connection:
            return read_keys(connection)

    def _note_used(self, used: Mapping[str, float]) -> None:
        with self._engine.begin() as connection:
            note_used(connection, used)

    def _read_decision(self, decision_id: str) -> tuple[LoggedDecisions, list[Row]]:
        try:
            with self._reading.connect() as connection:
                found = next(read_decisions(connection, [decision_id]), None)
                if found is None:
                    raise UnknownDecisionError("no decision has this id")
                return found, read_outcomes(connection, decision_id)
        except SQLAlchemyError as error:
            raise StorageUnavailableError("the database cannot be read") from error

    def _explain(self, job: DecisionJob) -> Explained:
        try:
            with self._engine.connect().execution_options(**dialect_of(self._engine).snapshot()) as connection:
                return self._explainer.explain(connection, self.schema, job, now=self.settings.clock())
        except SQLAlchemyError as error:
            raise StorageUnavailableError("the database cannot be read") from error

    def _read_stock(self) -> dict[str, CategoryState]:
        try:
            with self._seeing_one_moment() as connection:
                return {state.category: state for state in read_states_of_stock(connection)}
        except SQLAlchemyError as error:
            raise StorageUnavailableError("the database cannot be read") from error

    def _read_customer(self, customer_id: str) -> CustomerSummary | None:
        try:
            with self._seeing_one_moment() as connection:
                require_layout(connection, self.schema)
                return read_customer(connection, self.schema, customer_id, now=self.settings.clock())
        except SQLAlchemyError as error:
            raise StorageUnavailableError("the database cannot be read") from error

    def _begin_export(self, customer_id: str, who: str) -> None:
        try:
            with self._engine.begin() as connection:
                if not is_held(connection, customer_id):
                    raise UnknownCustomerError("nothing is held about this customer")
                log_export(connection, customer_id, who=who, now=self.settings.clock())
        except SQLAlchemyError as error:
            raise StorageUnavailableError("the database did not confirm the write") from error

    def _exported(self, customer_id: str) -> Iterator[dict[str, Any]]:
        try:
            with self._seeing_one_moment() as connection:
                yield from export_customer(connection, self.schema, customer_id)
        except SQLAlchemyError as error:
            raise StorageUnavailableError("the database cannot be read") from error

    def _seeing_one_moment(self) -> Connection:
        return self._engine.connect().execution_options(**dialect_of(self._engine).snapshot())
