"""Gathering: concurrent requests become one batch, handled by one thread.

The event loop collects jobs while there are more to read from its sockets, and while the batch before
is being committed; so batches grow with load and a lone request never waits for company. Handing over
early would cost throughput: the two threads share one interpreter lock, and small batches repeat the
fixed work of a transaction.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import structlog

from orchestrator.service.errors import OverloadedError, ServiceError, StoppingError

Job = TypeVar("Job")
Result = TypeVar("Result")
Waiting = tuple[Any, asyncio.Future[Any]]

# A request is read in one turn of the event loop and submitted in the next.
_QUIET_TURNS = 2
_LONGEST_GATHERING = 0.005

log = structlog.get_logger(__name__)


class Gatherer(Generic[Job, Result]):
    """Hands queued jobs, many at a time, to one handler on one thread. Its methods belong to one event loop.

    Args:
        handle: given jobs, returns one result or refusal per job, in order. It makes a batch durable
            before it returns; if it raises, none of the batch may have been kept.
        capacity: jobs that may wait; more are refused with `OverloadedError`.
        batch: most jobs handed over at once.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Job]], Sequence[Result | ServiceError]],
        *,
        capacity: int = 4096,
        batch: int = 256,
    ) -> None:
        self._handle = handle
        self._capacity = capacity
        self._batch = batch
        self._waiting: list[Waiting] = []
        self._busy = False
        self._gathering = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._batches: SimpleQueue[list[Waiting] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="gatherer", daemon=True)

    def start(self) -> None:
        """Start the thread; call on the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def check(self) -> None:
        """Check that jobs are being handled.

        Raises:
            StoppingError: they are not any more.
        """
        if self._stopping or not self._thread.is_alive():
            raise StoppingError("the service is stopping; send the request again")

    async def submit(self, job: Job) -> Result:
        """Queue a job and wait until it is handled and durable.

        Raises:
            ServiceError: the handler refused the job, the queue is full, or the service is stopping.
        """
        if self._stopping:
            raise StoppingError("the service is stopping; send the request again")
        if len(self._waiting) >= self._capacity:
            raise OverloadedError(f"{self._capacity} requests are waiting; send the request again in a second")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.append((job, future))
        self._gather()
        return await future

    async def stop(self) -> None:
        """Refuse new jobs, finish the queued ones, end the thread."""
        self._stopping = True
        if self._busy or self._waiting:
            self._idle.clear()
            await self._idle.wait()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _gather(self) -> None:
        """Begin to gather a batch, unless one is being gathered or handled."""
        if self._waiting and not (self._gathering or self._busy):
            self._gathering = True
            self._loop.call_soon(self._look, len(self._waiting), 0, self._loop.time() + _LONGEST_GATHERING)

    def _look(self, seen: int, quiet: int, until: float) -> None:
        """Hand over once the event loop brings nothing new, or enough has come."""
        found = len(self._waiting)
        quiet = quiet + 1 if found == seen else 0
        if quiet < _QUIET_TURNS and found < self._batch and self._loop.time() < until:
            self._loop.call_soon(self._look, found, quiet, until)
            return
        taken, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
        self._gathering, self._busy = False, True
        self._batches.put(taken)

    def _finish(self, taken: Sequence[Waiting], results: Sequence[Any]) -> None:
        self._busy = False
        for (_, future), result in zip(taken, results, strict=True):
            if future.done():  # the client went away
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._gather()
        if not self._waiting:
            self._idle.set()

    def _run(self) -> None:
        while (taken := self._batches.get()) is not None:
            results = self._handle_safely([job for job, _ in taken])
            # One wake-up of the event loop for the whole batch.
            self._loop.call_soon_threadsafe(self._finish, taken, results)

    def _handle_safely(self, jobs: Sequence[Job]) -> Sequence[Result | Exception]:
        try:
            return self._handle(jobs)
        except ServiceError as refusal:
            return [refusal] * len(jobs)
        except Exception as error:
            if len(jobs) == 1:
                log.exception("job failed", error_type=type(error).__name__)
                return [error]
            # One job that cannot be handled must not take its neighbours down with it.
            log.warning("batch failed, handling its jobs one by one", jobs=len(jobs), error_type=type(error).__name__)
            return [self._handle_safely([job])[0] for job in jobs]
