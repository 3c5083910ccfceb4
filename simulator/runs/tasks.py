"""Units of work on many cores or machines: started anew when a worker is lost, never more of them than memory holds.

A task is a function of what all units share and of one unit, whose randomness is keyed by the unit's seed and index.
So it does not matter where it runs, in which order, or how often.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from orchestrator.errors import OrchestratorError
from policies.errors import PolicyError
from simulator.errors import RunError, SimulatorError
from simulator.rollout.blocks import Unit
from simulator.runs.ray_session import cores, session

# Losing a worker or a node this often is no accident: the block itself brings its worker down.
RETRIES = 10
# Tasks handed out per core: enough that a core never waits for the next, few enough that memory stays bounded.
AHEAD = 2

Work = TypeVar("Work")
Result = TypeVar("Result")


def finished(
    task: Callable[[Work, Unit], Result],
    work: Work,
    units: Sequence[Unit],
    *,
    workers: int | None,
    address: str | None,
) -> Generator[tuple[Unit, Result], None, None]:
    """Units with their results, in the order they are finished.

    Args:
        task: a function of a module, without side effects that a second start would spoil.
        work: what all units have in common; sent to every machine once.
        units: to be worked on.
        workers: cores to use; none for all of this machine. With one, and no address, Ray is not started.
        address: of a Ray cluster to join.

    Raises:
        RunError: a unit loses its worker again and again.
    """
    wanted = min(_workers(workers), len(units))
    if not units or (address is None and wanted == 1):
        return ((unit, _on_one_thread(task, work, unit)) for unit in units)
    return _on_ray(task, work, units, workers=wanted, address=address)


@contextmanager
def shared_session(*, workers: int | None, address: str | None) -> Iterator[None]:
    """One Ray for several calls of `finished`; none where they would all run in this process."""
    if address is None and _workers(workers) == 1:
        yield
        return
    with session(workers=_workers(workers), address=address):
        yield


def _workers(workers: int | None) -> int:
    return workers or os.cpu_count() or 1


def _on_ray(
    task: Callable[[Work, Unit], Result], work: Work, units: Sequence[Unit], *, workers: int, address: str | None
) -> Generator[tuple[Unit, Result], None, None]:
    with session(workers=workers, address=address) as ray:
        remote, shared = ray.remote(num_cpus=1, max_retries=RETRIES)(_on_one_thread), ray.put(work)
        waiting = iter(units)
        running: dict[Any, Unit] = {}
        try:
            while True:
                for unit in islice(waiting, max(0, AHEAD * cores(ray) - len(running))):
                    running[remote.remote(task, shared, unit)] = unit
                if not running:
                    return
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                unit = running.pop(done)
                result: Result = _answer(ray, done, unit)
                yield unit, result
        finally:
            # Whoever stops early must not leave a session that outlives this call busy.
            for left in running:
                ray.cancel(left, force=True)


def _on_one_thread(task: Callable[[Work, Unit], Result], work: Work, unit: Unit) -> Result:
    """The result of one unit; with more threads for linear algebra, sums could be rounded differently."""
    with threadpool_limits(1):
        return task(work, unit)


def _answer(ray: Any, task: Any, unit: Unit) -> Any:
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        # Our own errors say what is wrong; where in Ray they were raised does not help.
        if isinstance(error.cause, (SimulatorError, PolicyError, OrchestratorError)):
            raise error.cause from None
        raise
    except (
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.ObjectLostError,
        ray.exceptions.NodeDiedError,
    ) as error:
        raise RunError(
            f"seed {unit.seed}, block {unit.block}: lost its worker {RETRIES + 1} times; smaller blocks need less "
            f"memory, and a policy that crashes is seen with one worker and without an address ({error})"
        ) from error
