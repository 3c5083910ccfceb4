"""Gathering: concurrent requests become one batch, handled by one thread.

While a batch is being committed the next one queues up behind it, so batches grow with load and a lone
request never waits for company.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import structlog

from orchestrator.service.errors import OverloadedError, ServiceError, StoppingError

Job = TypeVar("Job")
Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class Gatherer(Generic[Job, Result]):
    """Hands queued jobs, many at a time, to one handler on one thread.

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
        self._waiting: SimpleQueue[tuple[Job, asyncio.Future[Any]] | None] = SimpleQueue()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="gatherer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

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
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        if self._stopping:
            raise StoppingError("the service is stopping; send the request again")
        if self._waiting.qsize() >= self._capacity:
            raise OverloadedError(f"{self._capacity} requests are waiting; send the request again in a second")
        self._waiting.put((job, future))
        return await future

    async def stop(self) -> None:
        """Refuse new jobs, finish the queued ones, end the thread."""
        self._stopping = True
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        last = False
        while not last:
            taken, last = self._take()
            if taken:
                self._finish(taken, self._handle_safely([job for job, _ in taken]))

    def _take(self) -> tuple[list[tuple[Job, asyncio.Future[Any]]], bool]:
        """Wait for a job and take what else is there; whether it was the last."""
        taken = []
        try:
            item = self._waiting.get()
            while item is not None:
                taken.append(item)
                if len(taken) == self._batch:
                    return taken, False
                item = self._waiting.get_nowait()
        except Empty:
            return taken, False
        return taken, True

    def _handle_safely(self, jobs: Sequence[Job]) -> Sequence[Result | BaseException]:
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

    def _finish(
        self, taken: Sequence[tuple[Job, asyncio.Future[Any]]], results: Sequence[Result | BaseException]
    ) -> None:
        assert self._loop is not None  # noqa: S101 - set by start() before the thread exists
        # One wake-up of the event loop for the whole batch.
        self._loop.call_soon_threadsafe(_resolve, [future for _, future in taken], results)


def _resolve(futures: Sequence[asyncio.Future[Any]], results: Sequence[Any]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():  # the client went away
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
