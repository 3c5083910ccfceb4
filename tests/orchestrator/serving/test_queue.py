"""Gathering concurrent jobs into batches."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orchestrator.serving.errors import NoPolicyError, OverloadedError, StoppingError, WaitedTooLongError
from orchestrator.serving.queue import GroupCommitQueue


def run(handle, test, **options):
    async def inside():
        gatherer = GroupCommitQueue(handle, **options)
        gatherer.start()
        try:
            return await test(gatherer)
        finally:
            await gatherer.stop()

    return asyncio.run(inside())


class Gate:
    """A handler that waits, before each batch, until the test lets it pass."""

    def __init__(self):
        self.batches = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, jobs, claim):
        self.entered.set()
        assert self.open.wait(10)
        claim()
        self.batches.append(list(jobs))
        return [job * 10 for job in jobs]


async def gather_behind_one(gatherer, gate, jobs):
    """Results of `jobs` queued while an earlier one is being handled."""
    first = asyncio.create_task(gatherer.submit(0))
    await asyncio.to_thread(gate.entered.wait)
    rest = [asyncio.create_task(gatherer.submit(job)) for job in jobs]
    await asyncio.sleep(0)
    gate.open.set()
    return await asyncio.gather(first, *rest, return_exceptions=True)


def test_what_waits_becomes_one_batch_and_each_gets_its_own_answer():
    gate = Gate()
    assert run(gate, lambda g: gather_behind_one(g, gate, [1, 2, 3])) == [0, 10, 20, 30]
    assert gate.batches == [[0], [1, 2, 3]]


def test_a_batch_has_at_most_the_size_allowed():
    gate = Gate()
    run(gate, lambda g: gather_behind_one(g, gate, [1, 2, 3, 4, 5]), batch=2)
    assert gate.batches == [[0], [1, 2], [3, 4], [5]]


def test_a_full_queue_refuses_at_once():
    gate = Gate()
    results = run(gate, lambda g: gather_behind_one(g, gate, [1, 2, 3]), capacity=2)
    assert results[:3] == [0, 10, 20]
    assert isinstance(results[3], OverloadedError)


def test_one_bad_job_does_not_take_its_neighbours_down():
    gate = Gate()

    def handle(jobs, claim):
        gate.entered.set()
        assert gate.open.wait(10)
        claim()
        if 2 in jobs:
            raise ZeroDivisionError
        return [job * 10 for job in jobs]

    results = run(handle, lambda g: gather_behind_one(g, gate, [1, 2, 3]))
    assert [results[i] for i in (0, 1, 3)] == [0, 10, 30]
    assert isinstance(results[2], ZeroDivisionError)


def test_a_refusal_for_one_job_is_raised_to_that_one():
    async def test(gatherer):
        return await asyncio.gather(*(gatherer.submit(i) for i in range(3)), return_exceptions=True)

    results = run(lambda jobs, _: [NoPolicyError("none") if job == 1 else job for job in jobs], test)
    assert (results[0], results[2]) == (0, 2)
    assert isinstance(results[1], NoPolicyError)


def test_stopping_finishes_what_is_queued_and_refuses_the_rest():
    gate = Gate()

    async def test(gatherer):
        first = asyncio.create_task(gatherer.submit(1))
        await asyncio.to_thread(gate.entered.wait)
        second = asyncio.create_task(gatherer.submit(2))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(gatherer.stop())
        await asyncio.sleep(0)
        with pytest.raises(StoppingError):
            await gatherer.submit(3)
        gate.open.set()
        await stopping
        return await asyncio.gather(first, second)

    assert run(gate, test) == [10, 20]


def test_a_client_that_went_away_harms_nobody():
    gate = Gate()

    async def test(gatherer):
        gone, stays = asyncio.create_task(gatherer.submit(1)), asyncio.create_task(gatherer.submit(2))
        await asyncio.to_thread(gate.entered.wait)
        gone.cancel()
        gate.open.set()
        return await stays

    assert run(gate, test) == 20


def test_what_was_not_begun_in_time_is_refused_and_cannot_be_begun_later():
    entered, open_, claims = threading.Event(), threading.Event(), []

    def handle(jobs, claim):
        entered.set()
        assert open_.wait(10)
        claims.append((list(jobs), list(claim())))
        return [job * 10 for job in jobs]

    async def test(gatherer):
        first = asyncio.create_task(gatherer.submit(1))
        await asyncio.to_thread(entered.wait)
        second = asyncio.create_task(gatherer.submit(2))
        refused = await asyncio.gather(first, second, return_exceptions=True)
        open_.set()
        return refused, await gatherer.submit(3)

    refused, third = run(handle, test, patience=0.05)
    assert [type(refusal) for refusal in refused] == [WaitedTooLongError] * 2
    assert third == 30
    # The first was with the handler already, the second was taken from the queue.
    assert claims == [([1], [False]), ([3], [True])]


def test_what_was_begun_in_time_is_answered_however_long_it_takes():
    claimed, open_ = threading.Event(), threading.Event()

    def handle(jobs, claim):
        wanted = claim()
        claimed.set()
        assert open_.wait(10)
        return [(job, good) for job, good in zip(jobs, wanted, strict=True)]

    async def test(gatherer):
        task = asyncio.create_task(gatherer.submit(1))
        await asyncio.to_thread(claimed.wait)
        await asyncio.sleep(0.1)  # the patience below, several times over
        open_.set()
        return await task

    assert run(handle, test, patience=0.02) == (1, True)


def test_bytes_are_bounded_too_but_one_job_of_any_size_may_wait():
    gate = Gate()
    results = run(gate, lambda g: gather_behind_one(g, gate, [9, 10, 2]), capacity_bytes=20, bytes_of=lambda job: job)
    assert results[:3] == [0, 90, 100]
    assert isinstance(results[3], OverloadedError)
    assert run(gate, lambda g: g.submit(50), capacity_bytes=20, bytes_of=lambda job: job) == 500


def test_a_full_queue_says_when_there_should_be_room():
    gate = Gate()

    async def test(gatherer):
        gate.open.set()
        await gatherer.submit(0)
        slow = [asyncio.create_task(gatherer.submit(i)) for i in range(2)]
        await asyncio.gather(*slow)
        gate.open.clear()
        gate.entered.clear()
        first = asyncio.create_task(gatherer.submit(0))
        await asyncio.to_thread(gate.entered.wait)
        waiting = [asyncio.create_task(gatherer.submit(i)) for i in range(2)]
        await asyncio.sleep(1.2)  # a batch that hangs for so long will not be done the next moment
        with pytest.raises(OverloadedError) as refusal:
            await gatherer.submit(3)
        gate.open.set()
        await asyncio.gather(first, *waiting)
        return refusal.value.retry_after

    assert run(gate, test, capacity=2) >= 2


def test_heavy_jobs_share_no_batch_but_one_of_any_weight_is_handled():
    gate = Gate()

    async def test(gatherer):
        await gather_behind_one(gatherer, gate, [3, 3, 5, 20, 1])

    run(gate, test, batch=8, weight_of=lambda job: job if isinstance(job, int) else 1)
    assert gate.batches[1:] == [[3, 3], [5], [20], [1]]
