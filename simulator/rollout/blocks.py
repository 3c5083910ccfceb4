"""The unit of work: one block of customers of one seed, lived through under each policy in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from policies.policy import Policy
from simulator.errors import RunError
from simulator.rollout.log_files import save_log
from simulator.rollout.rollout import Block, Setting
from simulator.scenarios import Scenario
from simulator.world.results import BlockResult

SEEDS = 1 << 32  # those below are for everybody to give; trainings draw theirs from there on
_NO_FILE_NAMES = ("", ".", "..", "spec.json")  # the last one says whose logs they are
_LONGEST_FILE_NAME = 200


@dataclass(frozen=True, order=True)
class Unit:
    """A block of customers of one seed, independent of all others.

    Attributes:
        seed: of the population.
        block: index of the block.
        customers: number of customers in it.
    """

    seed: int
    block: int
    customers: int

    @property
    def name(self) -> str:
        """`seed-0-block-3`, as files are named."""
        return f"seed-{self.seed}-block-{self.block}"


def units_of(seeds: Sequence[int], *, customers: int, block_size: int, of_training: bool = False) -> list[Unit]:
    """The units of a run, by seed and block; the last block of a seed may be smaller.

    Args:
        seeds: of the populations, each with all the customers.
        customers: per seed.
        block_size: customers per block.
        of_training: seeds are those a training takes from `SEEDS` on (`simulator.training.plan`).

    Raises:
        RunError: nothing to run, a seed is given twice, or it is not one that may be given.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise RunError(f"seeds: {list(seeds)}; give at least one, and each once")
    for seed in seeds:
        if not of_training and not 0 <= seed < SEEDS:
            raise RunError(
                f"seed = {seed}: must be at least 0 and below 2^32 = {SEEDS}; populations from there on are kept for "
                "trainings, to learn from and to be judged on"
            )
    for name, value in (("customers", customers), ("block_size", block_size)):
        if value < 1:
            raise RunError(f"{name} = {value}: must be at least 1")
    starts = range(0, customers, block_size)
    return [Unit(seed, i, min(block_size, customers - start)) for seed in seeds for i, start in enumerate(starts)]


def run_block(
    scenario: Scenario,
    policies: Mapping[str, Policy],
    *,
    seed: int,
    block: int,
    customers: int,
    days: int,
    log_folder: Path | None,
) -> list[BlockResult]:
    """Let one block live through the horizon under each policy; its history is lived once and shared.

    Args:
        scenario: the world.
        policies: by the name they get in the results.
        seed: of the population.
        block: index of the block.
        customers: in the block.
        days: of the horizon.
        log_folder: where every decision is kept (see `log_directory`); none for nowhere.

    Returns:
        One result per policy, in their order.

    Raises:
        RunError: a policy is over other actions than the scenario's catalogue.
    """
    setting = Setting.of(scenario)  # a millisecond: not worth keeping
    for name, policy in policies.items():
        _check_actions(name, policy, setting)
    lived = Block(setting, seed=seed, block=block, customers=customers, days=days)
    results = []
    for name, policy in policies.items():
        result, log = lived.live(policy, log=log_folder is not None)
        if log_folder is not None and log is not None:
            directory = log_directory(log_folder, policy=name, unit=Unit(seed, block, customers))
            save_log(log, directory, actions=setting.core.actions.ids, columns=setting.core.columns)
        results.append(replace(result, policy=name))
    return results


def log_directory(folder: Path, *, policy: str, unit: Unit) -> Path:
    """Where the log of a unit under a policy is kept; characters a file name cannot hold are written as %XX."""
    return folder / quote(policy, safe=" ") / unit.name


def check_names(policies: Iterable[str]) -> None:
    """Check that a log of each policy has a place of its own inside the folder of logs.

    Raises:
        RunError: one has not.
    """
    for name in policies:
        file_name = quote(name, safe=" ")
        if file_name in _NO_FILE_NAMES or len(file_name) > _LONGEST_FILE_NAME:
            raise RunError(
                f"policy {name!r}: cannot be the name of a folder of logs; give it a plain one of at most "
                f"{_LONGEST_FILE_NAME} characters"
            )


def _check_actions(name: str, policy: Policy, setting: Setting) -> None:
    setting.core.check(policy)
    if policy.actions.ids != setting.core.actions.ids:
        raise RunError(
            f"policy {name!r} is over {len(policy.actions)} actions that are not the {len(setting.core.actions)} of "
            f"scenario {setting.scenario.name!r}; bind it with `DecisionCore.bind`, or train it for this scenario"
        )
