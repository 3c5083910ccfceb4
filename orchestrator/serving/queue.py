"""Gathering: concurrent requests become one batch, handled by one thread.

The event loop collects jobs while the batch before is being committed, and while more arrive: until none has come for
a moment, which is the longer the more came last time, and for ten milliseconds at most. So batches grow with load and a
lone request does not wait for company. Handing over early would cost throughput: the two threads share one interpreter
lock, and small batches repeat the fixed work of a transaction.

What waits is bounded, in number and in bytes, and in time: a job that was not begun in time is refused,
and is not done later either. The handler says when it begins by claiming its jobs.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import structlog

from orchestrator.serving.errors import OverloadedError, ServiceError, StoppingError, WaitedTooLongError

Job = TypeVar("Job")
Result = TypeVar("Result")
# Which of the jobs are still wanted; those are begun by asking, and are not given up any more.
Claim = Callable[[], Sequence[bool]]

# A request is read in one turn of the event loop and submitted in the next.
_QUIET_TURNS = 2
_LONGEST_GATHERING = 0.01
# Seconds without a new job after which a batch is complete: so many per job of the batch before, and at most.
_QUIET_PER_JOB = 1e-5
_LONGEST_QUIET = 3e-4
_LONGEST_RETRY = 60
# Weight of the last batch in the running estimate of seconds per job.
_NEWS = 0.2

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class QueueState:
    """Jobs that wait, bytes of all not yet done, what there may be; `seconds` is how long the oldest has waited."""

    jobs: int
    most_jobs: int
    bytes: int
    most_bytes: int
    seconds: float


@dataclass(slots=True, eq=False)
class _Waiting:
    job: Any
    future: asyncio.Future[Any]
    bytes: int
    since: float
    context: Context = field(default_factory=copy_context)
    claimed: bool = False
    given_up: bool = False


class MemoryReservation:
    """Memory that something takes up which is no job yet; see `GroupCommitQueue.holding`."""

    __slots__ = ("_of", "size")

    def __init__(self, of: GroupCommitQueue[Any, Any]) -> None:
        self._of = of
        self.size = 0

    def grow_to(self, size: int) -> None:
        """Take up so many bytes in all.

        Raises:
            OverloadedError: there is no room for them; it says when there should be.
        """
        self._of.refuse_if_full(size, held=self.size)
        self._of._held_bytes += size - self.size
        self.size = size


class GroupCommitQueue(Generic[Job, Result]):
    """Hands queued jobs, many at a time, to one handler on one thread. Its methods belong to one event loop.

    Args:
        handle: given jobs and how to claim them, returns one result or refusal per job, in order. It makes a batch
            durable before it returns; if it raises, none of the batch may have been kept. What it answers to a job it
            could not claim is heard by nobody.
        capacity: jobs that may wait; more are refused with `OverloadedError`.
        capacity_bytes: memory that jobs may take until they are done.
        bytes_of: memory of a job.
        patience: seconds until a job that was not begun is refused with `WaitedTooLongError`.
        batch: most jobs handed over at once, by weight; one of any weight may be there alone.
        weight_of: how many a job counts for.
        observe: told on the handler's thread how many seconds each job of a batch had waited.
        around: entered on the handler's thread around a batch, given the context of each job.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Job], Claim], Sequence[Result | ServiceError]],
        *,
        capacity: int = 4096,
        capacity_bytes: int = 2**26,
        bytes_of: Callable[[Job], int] = lambda _: 0,
        patience: float = 10.0,
        batch: int = 256,
        weight_of: Callable[[Job], int] = lambda _: 1,
        observe: Callable[[Sequence[float]], None] = lambda _: None,
        around: Callable[[Sequence[Context]], AbstractContextManager[object]] = lambda _: nullcontext(),
    ) -> None:
        self._handle = handle
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._bytes_of = bytes_of
        self._patience = patience
        self._batch = batch
        self._weight_of = weight_of
        self._observe = observe
        self._around = around
        self._waiting: list[_Waiting] = []
        self._held_bytes = 0  # of what is being received, of what waits, and of the batch being handled
        self._taken: Sequence[_Waiting] = ()
        self._busy_since = 0.0
        self._seconds_per_job = 0.0
        self._busy = False
        self._gathering = False
        self._began = self._arrived = 0.0  # of what is being gathered: since when, and the last job
        self._quiet = 0.0
        self._stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._claiming = threading.Lock()
        self._idle = asyncio.Event()
        self._batches: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
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

    def state(self) -> QueueState:
        """What waits now."""
        oldest = self._oldest()
        return QueueState(
            jobs=len(self._waiting),
            most_jobs=self._capacity,
            bytes=self._held_bytes,
            most_bytes=self._capacity_bytes,
            seconds=time.perf_counter() - oldest.since if oldest else 0.0,
        )

    def refuse_if_full(self, size: int = 0, *, held: int = 0) -> None:
        """Check that there is room for one more job of so many bytes, of which some are held already.

        Raises:
            OverloadedError: there is none; it says when there should be.
        """
        many = len(self._waiting) >= self._capacity
        others = self._held_bytes - held
        # One job of any size may be there alone: otherwise it could never be done.
        if not (many or (others and others + size > self._capacity_bytes)):
            return
        what = f"{len(self._waiting)} requests" if many else f"{self._held_bytes} bytes of requests"
        seconds = self._seconds_to_drain()
        raise OverloadedError(f"{what} are waiting; send the request again in {seconds} s", retry_after=seconds)

    @contextmanager
    def holding(self, size: int = 0) -> Iterator[MemoryReservation]:
        """Take up room for so many bytes of what is no job yet, and maybe for more as it grows.

        Raises:
            OverloadedError: there is none; it says when there should be.
        """
        room = MemoryReservation(self)
        room.grow_to(size)
        try:
            yield room
        finally:
            self._held_bytes -= room.size

    async def submit(self, job: Job, *, room: MemoryReservation | None = None) -> Result:
        """Queue a job and wait until it is handled and durable.

        Args:
            job: to be handled.
            room: held until this returns, and counts the job's bytes already.

        Raises:
            ServiceError: the handler refused the job, the queue is full, the job was not begun in time, or the service
                is stopping.
        """
        if self._stopping:
            raise StoppingError("the service is stopping; send the request again")
        if room is None:
            size = self._bytes_of(job)
            self.refuse_if_full(size)
        else:
            size = 0
            self.refuse_if_full(room.size, held=room.size)
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.append(_Waiting(job, future, size, time.perf_counter()))
        self._held_bytes += size
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._expire)
        self._gather()
        return await future

    async def stop(self) -> None:
        """Refuse new jobs, finish the queued ones, end the thread."""
        self._stopping = True
        if self._busy or self._waiting:
            self._idle.clear()
            await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _gather(self) -> None:
        """Begin to gather a batch, unless one is being gathered or handled."""
        if self._waiting and not (self._gathering or self._busy):
            self._gathering = True
            self._began = self._arrived = time.perf_counter()
            self._loop.call_soon(self._look, len(self._waiting), 0)

    def _fitting(self) -> int:
        """How many of those that wait make up a batch."""
        weight = 0
        for count, waiting in enumerate(self._waiting):
            weight += self._weight_of(waiting.job)
            if count and weight > self._batch:
                return count
        return len(self._waiting)

    def _look(self, seen: int, turns: int) -> None:
        """Hand over once nothing new comes, or enough has come."""
        found, now = len(self._waiting), time.perf_counter()
        if found != seen:
            self._arrived, turns = now, 0
        quiet = turns >= _QUIET_TURNS and now - self._arrived >= self._quiet
        if not quiet and found < self._batch and now - self._began < _LONGEST_GATHERING:
            self._loop.call_soon(self._look, found, turns + 1)
            return
        count = self._fitting()
        self._quiet = min(_QUIET_PER_JOB * count, _LONGEST_QUIET)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._gathering, self._busy = False, True
        self._taken, self._busy_since = taken, time.perf_counter()
        self._batches.put(taken)

    def _finish(self, taken: Sequence[_Waiting], results: Sequence[Any]) -> None:
        self._busy, self._taken = False, ()
        self._held_bytes -= sum(waiting.bytes for waiting in taken)
        if taken:
            took = (time.perf_counter() - self._busy_since) / len(taken)
            self._seconds_per_job += _NEWS * (took - self._seconds_per_job)
        for waiting, result in zip(taken, results, strict=True):
            future = waiting.future
            if future.done():  # the client went away, or was told that it waited too long
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._gather()
        if not self._waiting:
            self._idle.set()

    def _oldest(self) -> _Waiting | None:
        return next((w for w in (*self._taken[:1], *self._waiting[:1]) if not w.future.done()), None)

    def _seconds_to_drain(self) -> int:
        """When what waits now should be done, at the speed of late; while a batch hangs, the longer the later."""
        hanging = time.perf_counter() - self._busy_since if self._busy else 0.0
        return min(max(math.ceil(len(self._waiting) * self._seconds_per_job + hanging), 1), _LONGEST_RETRY)

    def _expire(self) -> None:
        """Give up what was not begun in time, and look again when the next would be due."""
        latest = time.perf_counter() - self._patience
        old = [waiting for waiting in self._taken if waiting.since <= latest]
        with self._claiming:
            late = [waiting for waiting in old if not waiting.claimed]
            for waiting in late:
                waiting.given_up = True
        count = next((i for i, waiting in enumerate(self._waiting) if waiting.since > latest), len(self._waiting))
        late += self._waiting[:count]
        self._held_bytes -= sum(waiting.bytes for waiting in self._waiting[:count])
        self._waiting = self._waiting[count:]
        seconds = self._seconds_to_drain()
        for waiting in late:
            if not waiting.future.done():
                refusal = f"not begun within {self._patience:g} s, and not done; send the request again in {seconds} s"
                waiting.future.set_exception(WaitedTooLongError(refusal, retry_after=seconds))
        following = next((w.since for w in (*self._taken, *self._waiting) if w.since > latest), None)
        self._timer = None
        if following is not None:
            self._timer = self._loop.call_later(max(following - latest, 0.001), self._expire)
        if not (self._waiting or self._busy):
            self._idle.set()

    def _claim(self, taken: Sequence[_Waiting]) -> list[bool]:
        with self._claiming:
            for waiting in taken:
                waiting.claimed = waiting.claimed or not (waiting.given_up or waiting.future.cancelled())
        return [waiting.claimed for waiting in taken]

    def _run(self) -> None:
        while (taken := self._batches.get()) is not None:
            results: Sequence[Any] = ()
            if taken:
                now = time.perf_counter()
                self._observe([now - waiting.since for waiting in taken])
                with self._around([waiting.context for waiting in taken]):
                    results = self._handle_safely(taken)
            # One wake-up of the event loop for the whole batch.
            self._loop.call_soon_threadsafe(self._finish, taken, results)

    def _handle_safely(self, taken: Sequence[_Waiting]) -> Sequence[Result | Exception]:
        if len(taken) == 1:  # what is logged is about one request
            return taken[0].context.run(self._handle_all, taken)
        with structlog.contextvars.bound_contextvars(requests=len(taken)):
            return self._handle_all(taken)

    def _handle_all(self, taken: Sequence[_Waiting]) -> Sequence[Result | Exception]:
        try:
            return self._handle([waiting.job for waiting in taken], lambda: self._claim(taken))
        except ServiceError as refusal:
            return [refusal] * len(taken)
        except Exception as error:
            if len(taken) == 1:
                log.exception("job failed", error_type=type(error).__name__)
                return [error]
            # One job that cannot be handled must not take its neighbours down with it.
            log.warning("batch failed, handling its jobs one by one", error_type=type(error).__name__)
            return [self._handle_safely([waiting])[0] for waiting in taken]
