"""Many blocks on many cores or machines: the same results for any number of workers, interrupted or not.

Every block is a stateless task whose randomness is keyed by its seed and index. So it does not matter where a block
runs, in which order, or how often it is started anew because a worker or a node was lost. (Sums of floating-point
numbers are bit-identical between machines of one kind; another kind of processor may round otherwise.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from policies.policy import Policy
from simulator.errors import RunError
from simulator.rollout.blocks import Unit, check_names, log_directory, run_block, units_of
from simulator.rollout.log_files import is_log
from simulator.runs.run_folder import RunFolder, check_folder, sign_folder
from simulator.runs.run_spec import RunSpec
from simulator.runs.tasks import finished
from simulator.scenarios import Scenario
from simulator.world.results import BlockResult

BLOCK_SIZE = 10_000


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
    of_training: bool = False,
    progress: Callable[[RunProgress], None] = lambda now: None,  # noqa: ARG005
) -> list[BlockResult]:
    """Let every policy live through the same populations.

    Args:
        scenario: the world.
        policies: by the name they get in the results.
        seeds: of the populations, each below 2^32.
        customers: per seed.
        days: of the horizon.
        block_size: customers per block; another size makes other populations.
        workers: cores to use; none for all of this machine. With one, and no address, Ray is not started.
        address: of a Ray cluster to join. Its machines need this package, and the code of policies of your own.
        folder: keeps finished blocks, and continues where an earlier run of the same spec stopped.
        log_folder: keeps every decision (`simulator.rollout.blocks.log_directory`) of one run; on a cluster, a folder
            all machines share. A finished block whose log is not in it is lived again.
        of_training: seeds are those of customers a training holds out, which nobody else may give.
        progress: called at the beginning and after every block, in this process.

    Returns:
        One result per policy, seed and block, in this order.

    Raises:
        RunError: nothing to run, a policy's name cannot be one of a folder, a folder holds another run, or a block
            cannot be finished.
        KeyboardInterrupt: Ctrl-C; says how to continue.
    """
    if days < 1 or not policies or (workers is not None and workers < 1):
        raise RunError(f"{days} days, {len(policies)} policies, {workers} workers: must each be at least 1")
    check_names(policies)
    units = units_of(seeds, customers=customers, block_size=block_size, of_training=of_training)
    work = _Work(scenario, dict(policies), days, log_folder)
    kept = _folder(work, folder, customers=customers, block_size=block_size)
    found = {unit: results for unit in units if kept and work.logged(unit) and (results := kept.load(unit)) is not None}
    missing = [unit for unit in units if unit not in found]
    lived, all_lived = 0, work.customer_days(missing)
    try:
        progress(RunProgress(len(found), len(units), lived, all_lived))
        with closing(finished(_live, work, missing, workers=workers, address=address)) as done:
            for unit, results in done:
                if kept:
                    kept.save(unit, results)
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

    def logged(self, unit: Unit) -> bool:
        """Whether every log of a unit that is asked for is there."""
        folder = self.log_folder
        return folder is None or all(is_log(log_directory(folder, policy=name, unit=unit)) for name in self.policies)


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
    """The folder of finished blocks, if there is one; that of logs must be of the same run."""
    if folder is None and work.log_folder is None:
        return None
    logs = work.log_folder is not None
    spec = RunSpec.of(
        work.scenario, work.policies, customers=customers, days=work.days, block_size=block_size, logs=logs
    )
    if work.log_folder:
        check_folder(work.log_folder, spec)  # before anything is written, for one may be inside the other
    kept = RunFolder(folder, spec) if folder else None
    if work.log_folder:
        sign_folder(work.log_folder, spec)
    return kept


def _how_to_continue(done: int, total: int, folder: Path | None) -> str:
    if folder is None:
        return f"{done} of {total} blocks were finished and are lost; give a folder to keep them"
    return f"{done} of {total} blocks are finished and kept in {folder}; run the same again with it to continue"
