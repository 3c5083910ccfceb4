"""`journey scenarios`, `simulate`: simulated customers live under one policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.threads import one_thread
from simulator.cli.simulation import (
    AddressOption,
    BlockSizeOption,
    CustomersOption,
    DaysOption,
    LineUpOption,
    ResumeOption,
    ScenarioOption,
    WorkersOption,
    folder_of_blocks,
    live,
    world_and_policies,
)

LOGS = "logs"


def scenarios_command() -> None:
    """List the scenarios there are: a retailer, its world, and what is different this time.

    Example: journey scenarios
    """
    from orchestrator.config import configs_dir
    from orchestrator.errors import ConfigError
    from simulator.errors import ScenarioError
    from simulator.scenarios import load_scenario, scenario_names

    configs = configs_dir()
    names = scenario_names(configs)
    width, wrong = max(map(len, names), default=0), []
    for name in names:
        try:
            description = load_scenario(name, configs=configs).file.description
        except (ScenarioError, ConfigError) as error:
            wrong.append(str(error))
            description = "cannot be used, see below"
        typer.echo(f"{name:{width}}  {description}")
    if wrong:
        raise ScenarioError("\n".join(wrong))


def simulate_command(
    policy: Annotated[
        str, typer.Option(help="One policy: hold, random, a trained one by name, or module:Class of your own.")
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for logs (Parquet) and finished blocks.")],
    scenario: ScenarioOption = "baseline",
    customers: CustomersOption = 1_000,
    days: DaysOption = 30,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the population.")] = 0,
    block_size: BlockSizeOption = 10_000,
    workers: WorkersOption = None,
    address: AddressOption = None,
    line_up: LineUpOption = None,
    resume: ResumeOption = False,
) -> None:
    """Let simulated customers live under one policy and keep every decision as Parquet; prints means with units.

    Example: journey simulate --policy random --customers 1000 --days 30 --out data/random
    """
    one_thread()
    from simulator.errors import LineUpError
    from simulator.world.results import AT_THE_END, METRICS, UNITS

    world, policies = world_and_policies(scenario, policy, line_up)
    if len(policies) > 1:
        raise LineUpError(f"--policy {policy}: give one policy; `journey compare` takes several")
    blocks = folder_of_blocks(out, resume=resume)
    results = live(
        world,
        policies,
        seeds=[seed],
        customers=customers,
        days=days,
        block_size=block_size,
        workers=workers,
        address=address,
        folder=blocks,
        log_folder=out / LOGS,
    )
    totals = sum(result.daily.sum(axis=0) for result in results)
    last = sum(result.daily[-1] for result in results)
    currency = world.retailer.goals.currency
    typer.echo(
        f"{customers:,} customers, {days} days, policy {results[0].policy}; per customer over all days, money in "
        f"{currency}:"
    )
    for i, metric in enumerate(METRICS):
        value = float((last if metric in AT_THE_END else totals)[i]) / customers
        typer.echo(f"  {metric:13} {value:10.3f}  {UNITS[metric]}")
    typer.echo(f"wrote {out / LOGS}: one folder per policy and block, decisions.parquet and money.parquet")
