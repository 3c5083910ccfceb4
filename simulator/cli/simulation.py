"""What the commands share that let policies live through simulated customers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import terminal
from orchestrator.cli.progress import progress_bars, stoppable

if TYPE_CHECKING:
    from policies.policy import Policy
    from simulator.scenarios import Scenario
    from simulator.world.results import BlockResult

BLOCKS = "blocks"

ScenarioOption = Annotated[
    str, typer.Option("--scenario", help="Name of a scenario (`journey scenarios` lists them), or a .yaml file.")
]
CustomersOption = Annotated[int, typer.Option(min=1, help="Customers per seed, each under every policy.")]
DaysOption = Annotated[int, typer.Option(min=1, help="Days they live.")]
BlockSizeOption = Annotated[
    int, typer.Option(min=1, help="Customers per block, the unit of work; another size makes other populations.")
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Cores to use, on this machine; default: all. With 1, Ray is not started.")
]
AddressOption = Annotated[str | None, typer.Option(help="Address of a Ray cluster to join, such as 10.0.0.5:6379.")]
LineUpOption = Annotated[
    Path | None,
    typer.Option("--line-up", file_okay=False, help="Folder of trained policies; default: data/policies/SCENARIO."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in --out.")]


def world_and_policies(scenario: str, names: str, folder: Path | None) -> tuple[Scenario, dict[str, Policy]]:
    """The scenario, and the policies named, separated by commas; trained ones from the folder of its line-up."""
    from orchestrator.config import configs_dir
    from simulator.rollout.rollout import Setting
    from simulator.runs.line_up import line_up
    from simulator.scenarios import load_scenario

    world = load_scenario(scenario, configs=configs_dir())
    # A policy of one's own is a module where the command is run, as `python -m` would find it.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return world, line_up(
        [name.strip() for name in names.split(",") if name.strip()],
        core=Setting.of(world).core,
        folder=line_up_folder(world, folder),
        scenario=world.name,
    )


def line_up_folder(world: Scenario, given: Path | None) -> Path:
    """Where trained policies of a scenario are, unless a folder is given."""
    return given or Path("data") / "policies" / world.name


def folder_of_blocks(out: Path, *, resume: bool) -> Path:
    """The folder of finished blocks, which an earlier run may have begun.

    Raises:
        RunError: one has, and it is not to be continued; or none has, and one is to be continued.
    """
    from simulator.errors import RunError

    blocks = out / BLOCKS
    check_resume(blocks, resume=resume, out=out)
    if blocks.exists() and not resume:
        raise RunError(f"{out} holds an earlier run; add --resume to continue it, or choose another folder")
    return blocks


def check_resume(kept: Path, *, resume: bool, out: Path) -> None:
    """That there is something to continue, if something is to be continued.

    Args:
        kept: what an earlier run left in `out`.
        resume: as given on the command line.
        out: as given on the command line.

    Raises:
        RunError: there is nothing.
    """
    from simulator.errors import RunError

    if resume and not kept.exists():
        raise RunError(f"--resume: {out} holds no run to continue; correct --out, or leave --resume out to begin one")


def live(
    world: Scenario,
    policies: dict[str, Policy],
    *,
    seeds: list[int],
    customers: int,
    days: int,
    block_size: int,
    workers: int | None,
    address: str | None,
    folder: Path | None,
    log_folder: Path | None,
) -> list[BlockResult]:
    """`simulator.runs.cluster.run` with progress bars, and ended by Ctrl-C with a line that says how to continue."""
    from simulator.runs.cluster import run

    with stoppable(hint=" (add --resume)" if folder else ""), progress_bars(terminal()) as bars:
        return run(
            world,
            policies,
            seeds=seeds,
            customers=customers,
            days=days,
            block_size=block_size,
            workers=workers,
            address=address,
            folder=folder,
            log_folder=log_folder,
            progress=bars.blocks,
        )
