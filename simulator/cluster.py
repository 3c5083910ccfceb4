"""Many blocks on many cores or machines: the same results for any number of workers, interrupted or not.

Every block is a stateless task whose randomness is keyed by its seed and index. So it does not matter where a block
runs, in which order, or how often it is started anew because a worker or a node was lost. (Sums of floating-point
numbers are bit-identical between machines of one kind; another kind of processor may round otherwise.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError
from policies.errors import PolicyError
from policies.policy import Policy
from simulator.blocks import Unit, run_block, units_of
from simulator.errors import RunError, SimulatorError
from simulator.ray_session import cores, session
from simulator.results import BlockResult
from simulator.run_folder import RunFolder
from simulator.run_spec import RunSpec
from simulator.scenarios import Scenario

BLOCK_SIZE = 10_000
# Losing a worker or a node this often is no accident: the block itself brings its worker down.
RETRIES = 10
# Tasks handed out per core: enough that a core never waits for the next, few enough that memory stays bounded.
AHEAD = 2

Finished = Generator[tuple[Unit, list[BlockResult]], None, None]


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        blocks: finished, those of an earlier run in the folder included.
        all_blocks: there are.
        customer_days: lived in this run, each policy counted.
        all_customer_days: to be lived in this run.
    """

    blocks: int
    all_blocks: int
    customer_days: int
    all_customer_days: int


def run(
    scenario: Scenario,
    policies: Mapping[str, Policy],
    *,
    seeds: Sequence[int],
    customers: int,
    days: int,
    block_size: int = BLOCK_SIZE,
    workers: int | None = None,
    address: str | None = None,
    folder: Path | None = None,
    log_folder: Path | None = None,
    progress: Callable[[RunProgress], None] = lambda now: None,  # noqa: ARG005
) -> list[BlockResult]:
    """Let every policy live through the same populations.

    Args:
        scenario: the world.
        policies: by the name they get in the results.
        seeds: of the populations.
        customers: per seed.
        days: of the horizon.
        block_size: customers per block; another size makes other populations.
        workers: cores to use; none for all of this machine. With one, and no address, Ray is not started.
        address: of a Ray cluster to join. Its machines need this package, and the code of policies of your own.
        folder: keeps finished blocks, and continues where an earlier run of the same spec stopped.
        log_folder: keeps every decision (`simulator.blocks.log_directory`); on a cluster, a folder all machines share.
        progress: called at the beginning and after every block, in this process.

    Returns:
        One result per policy, seed and block, in this order.

    Raises:
        RunError: nothing to run, the folder holds another run, or a block cannot be finished.
        KeyboardInterrupt: Ctrl-C; says how to continue.
    """
    if days < 1 or not policies or (workers is not None and workers < 1):
        raise RunError(f"{days} days, {len(policies)} policies, {workers} workers: must each be at least 1")
    units = units_of(seeds, customers=customers, block_size=block_size)
    work = _Work(scenario, dict(policies), days, log_folder)
    folder_of_run = _folder(work, folder, customers=customers, block_size=block_size)
    found = {unit: kept for unit in units if folder_of_run and (kept := folder_of_run.load(unit)) is not None}
    missing = [unit for unit in units if unit not in found]
    lived, all_lived = 0, work.customer_days(missing)
    try:
        progress(RunProgress(len(found), len(units), lived, all_lived))
        with closing(_finished(missing, work, workers=workers, address=address)) as finished:
            for unit, results in finished:
                if folder_of_run:
                    folder_of_run.save(unit, results)
                found[unit] = results
                lived += work.customer_days([unit])
                progress(RunProgress(len(found), len(units), lived, all_lived))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_continue(len(found), len(units), folder)) from None
    by_policy = {unit: {result.policy: result for result in results} for unit, results in found.items()}
    return [by_policy[unit][name] for name in policies for unit in units]


@dataclass(frozen=True)
class _Work:
    """What all blocks of a run have in common."""

    scenario: Scenario
    policies: Mapping[str, Policy]
    days: int
    log_folder: Path | None

    def customer_days(self, units: Sequence[Unit]) -> int:
        return self.days * len(self.policies) * sum(unit.customers for unit in units)


def _live(work: _Work, unit: Unit) -> list[BlockResult]:
    return run_block(
        work.scenario,
        work.policies,
        seed=unit.seed,
        block=unit.block,
        customers=unit.customers,
        days=work.days,
        log_folder=work.log_folder,
    )


def _folder(work: _Work, folder: Path | None, *, customers: int, block_size: int) -> RunFolder | None:
    if folder is None:
        return None
    logs = work.log_folder is not None
    spec = RunSpec.of(
        work.scenario, work.policies, customers=customers, days=work.days, block_size=block_size, logs=logs
    )
    return RunFolder(folder, spec)


def _finished(units: Sequence[Unit], work: _Work, *, workers: int | None, address: str | None) -> Finished:
    """Units with their results, in the order they are finished."""
    wanted = min(workers or os.cpu_count() or 1, len(units))
    if not units or (address is None and wanted == 1):
        return ((unit, _live(work, unit)) for unit in units)
    return _finished_on_ray(units, work, workers=wanted, address=address)


def _finished_on_ray(units: Sequence[Unit], work: _Work, *, workers: int, address: str | None) -> Finished:
    with session(workers=workers, address=address) as ray:
        task, shared = ray.remote(num_cpus=1, max_retries=RETRIES)(_live), ray.put(work)
        waiting = iter(units)
        running: dict[Any, Unit] = {}
        while True:
            for unit in islice(waiting, max(0, AHEAD * cores(ray) - len(running))):
                running[task.remote(shared, unit)] = unit
            if not running:
                return
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            unit = running.pop(done)
            yield unit, _answer(ray, done, unit)


def _answer(ray: Any, task: Any, unit: Unit) -> list[BlockResult]:
    try:
        results: list[BlockResult] = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        # Our own errors say what is wrong; where in Ray they were raised does not help.
        if isinstance(error.cause, (SimulatorError, PolicyError, OrchestratorError)):
            raise error.cause from None
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError) as error:
        raise RunError(
            f"seed {unit.seed}, block {unit.block}: lost its worker {RETRIES + 1} times; smaller blocks need less "
            f"memory, and a policy that crashes is seen with one worker and without an address ({error})"
        ) from error
    return results


def _how_to_continue(done: int, total: int, folder: Path | None) -> str:
    if folder is None:
        return f"{done} of {total} blocks were finished and are lost; give a folder to keep them"
    return f"{done} of {total} blocks are finished and kept in {folder}; run the same again with it to continue"
