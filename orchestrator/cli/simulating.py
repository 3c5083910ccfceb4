"""`journey scenarios`, `simulate`, `compare`: policies lived through by simulated customers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORE, StoreOption, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from policies.policy import Policy
    from simulator.cluster import RunProgress
    from simulator.results import BlockResult
    from simulator.scenarios import Scenario

DEFAULT_POLICIES = "hold,random,fixed,business_rules,click_greedy,myopic,journey"
REFERENCE = "journey"
BLOCKS, LOGS, SPEC = "blocks", "logs", "spec.json"

ScenarioOption = Annotated[
    str, typer.Option("--scenario", help="Name of a scenario (`journey scenarios` lists them), or a .yaml file.")
]
CustomersOption = Annotated[int, typer.Option(min=1, help="Customers per seed.")]
DaysOption = Annotated[int, typer.Option(min=1, help="Days of the horizon.")]
BlockSizeOption = Annotated[
    int, typer.Option(min=1, help="Customers per block, the unit of work; another size makes other populations.")
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Cores to use, on this machine; default: all. With 1, Ray is not started.")
]
AddressOption = Annotated[str | None, typer.Option(help="Address of a Ray cluster to join, such as 10.0.0.5:6379.")]
LineUpOption = Annotated[
    Path | None, typer.Option("--line-up", help="Trained policies; default: data/policies/SCENARIO.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in --out.")]


def scenarios_command() -> None:
    """List the scenarios there are: a retailer, its world, and what is different this time.

    Example: journey scenarios
    """
    from orchestrator.config import configs_dir
    from simulator.scenarios import load_scenario, scenario_names

    configs = configs_dir()
    names = scenario_names(configs)
    width = max(map(len, names), default=0)
    for name in names:
        typer.echo(f"{name:{width}}  {load_scenario(name, configs=configs).file.description}")


def simulate_command(
    policy: Annotated[str, typer.Option(help="hold, random, a trained policy by name, or module:Class.")],
    out: Annotated[Path, typer.Option(help="Folder for logs and results.")],
    scenario: ScenarioOption = "baseline",
    customers: CustomersOption = 1_000,
    days: DaysOption = 30,
    seed: Annotated[int, typer.Option(help="Seed of the population.")] = 0,
    block_size: BlockSizeOption = 10_000,
    workers: WorkersOption = None,
    address: AddressOption = None,
    line_up: LineUpOption = None,
    resume: ResumeOption = False,
) -> None:
    """Let simulated customers live under one policy and keep every decision as Parquet.

    Example: journey simulate --policy random --customers 1000 --days 30 --out data/random
    """
    one_thread()
    from simulator.results import METRICS

    world, policies = _world_and_policies(scenario, policy, line_up)
    blocks = _own_folder(out, resume)
    results = _run(
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
    typer.echo(f"{customers:,} customers, {days} days, policy {results[0].policy}; per customer over all days:")
    for i, metric in enumerate(METRICS):
        at_end = metric in {"reachable", "alive"}
        value = float((last if at_end else totals)[i]) / customers
        typer.echo(f"  {metric:13} {value:10.3f}{' (share, last day)' if at_end else ''}")
    typer.echo(f"wrote {out / LOGS}: one folder per policy and block, decisions.parquet and money.parquet")


def compare_command(
    scenario: ScenarioOption = "baseline",
    policies: Annotated[
        str, typer.Option(help="Names, separated by commas: hold, random, trained ones, or module:Class of your own.")
    ] = DEFAULT_POLICIES,
    seeds: Annotated[int, typer.Option(min=1, help="Number of populations: seeds 0, 1, ...")] = 5,
    customers: CustomersOption = 20_000,
    days: DaysOption = 180,
    block_size: BlockSizeOption = 10_000,
    workers: WorkersOption = None,
    address: AddressOption = None,
    line_up: LineUpOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, comparison.parquet, spec.json and finished blocks.")
    ] = None,
    resume: ResumeOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Let the same simulated customers live under each policy, and report who earns more, how surely.

    The reference is `journey` if it takes part, else the first policy. One MLflow run is logged.

    Example: journey compare --policies hold,random,mine:Policy --seeds 5 --days 60 --out report
    """
    one_thread()
    from policies.registry.store import Store
    from simulator.comparison import ActionInfo, compare_results
    from simulator.comparison_publish import publish_comparison
    from simulator.comparison_report import comparison_html
    from simulator.comparison_text import comparison_text
    from simulator.errors import LineUpError
    from simulator.run_folder import write_whole
    from simulator.run_spec import RunSpec, scenario_digest

    registry = Store(store)
    registry.check()
    world, found = _world_and_policies(scenario, policies, line_up)
    if len(found) < 2:
        raise LineUpError(f"policies: only {', '.join(found)}; a comparison needs two or more, such as hold")
    blocks = _own_folder(out, resume) if out else None
    results = _run(
        world,
        found,
        seeds=list(range(seeds)),
        customers=customers,
        days=days,
        block_size=block_size,
        workers=workers,
        address=address,
        folder=blocks,
        log_folder=None,
    )
    reference = REFERENCE if REFERENCE in found else next(iter(found))
    actions = [ActionInfo(a.id, a.channel, a.intent) for a in world.retailer.catalogue.actions]
    comparison = compare_results(results, reference=reference, actions=actions)
    typer.echo(comparison_text(comparison))
    spec = RunSpec.of(world, found, customers=customers, days=days, block_size=block_size, logs=False)
    content = {**spec.content, "seeds": list(range(seeds)), "reference": reference}
    html = comparison_html(
        comparison,
        title=f"Comparison: {world.name}",
        facts={
            "scenario": f"{world.name}: {world.file.description}",
            "scenario SHA-256": scenario_digest(world)[:16],
            "version": str(spec.content["version"]),
        },
    )
    if out:
        comparison.write_parquet(out / "comparison.parquet")
        write_whole(out / SPEC, (json.dumps(content, indent=1) + "\n").encode())
        write_whole(out / "report.html", html.encode())
        typer.echo(f"wrote {out}/report.html, comparison.parquet, {SPEC}")
    with terminal().status("writing the MLflow run"):
        run_id = publish_comparison(
            comparison, html=html, spec=content, scenario=world.name, digest=scenario_digest(world), store=registry
        )
    typer.echo(f"logged MLflow run {run_id}; look at it with `journey ui`")


def ablate_command(
    out: Annotated[Path, typer.Option(help="Folder for trainings, results and ablations.md; finished parts are kept.")],
    scenario: ScenarioOption = "baseline",
    iterations: Annotated[int, typer.Option(min=1, help="Of each training.")] = 2,
    train_customers: Annotated[int, typer.Option(min=1, help="New customers per iteration.")] = 20_000,
    seeds: Annotated[int, typer.Option(min=2, help="Number of populations to compare on.")] = 3,
    customers: CustomersOption = 4_000,
    days: DaysOption = 180,
    block_size: BlockSizeOption = 2_000,
    workers: WorkersOption = None,
) -> None:
    """Train again without the critic, the pair features, the exploration, and with tastes of segments only.

    Prints what each is worth as a table. A run that was interrupted goes on where it stopped.

    Example: journey ablate --out data/ablations
    """
    one_thread()
    from orchestrator.config import configs_dir
    from simulator.ablations import ablate, ablation_table
    from simulator.run_folder import write_whole
    from simulator.scenarios import load_scenario
    from simulator.training_plan import TrainingPlan

    plan = TrainingPlan(
        iterations=iterations, customers=train_customers, evaluation_customers=1_000, evaluation_days=30
    )
    found = ablate(
        load_scenario(scenario, configs=configs_dir()),
        plan,
        folder=out,
        seeds=seeds,
        customers=customers,
        days=days,
        block_size=block_size,
        workers=workers,
        tell=typer.echo,
    )
    table = ablation_table(found)
    write_whole(out / "ablations.md", (table + "\n").encode())
    typer.echo(table)


def one_thread() -> None:
    """Linear algebra on one thread, as in workers, so that sums are rounded alike; call before NumPy is loaded."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _world_and_policies(scenario: str, names: str, folder: Path | None) -> tuple[Scenario, dict[str, Policy]]:
    from orchestrator.config import configs_dir
    from simulator.line_up import line_up
    from simulator.rollout import Setting
    from simulator.scenarios import load_scenario

    world = load_scenario(scenario, configs=configs_dir())
    # A policy of one's own is a module where the command is run, as `python -m` would find it.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return world, line_up(
        [name.strip() for name in names.split(",") if name.strip()],
        core=Setting.of(world).core,
        folder=folder or Path("data") / "policies" / world.name,
        scenario=world.name,
    )


def _own_folder(out: Path, resume: bool) -> Path:
    """The folder of finished blocks, which an earlier run may have begun."""
    from simulator.errors import RunError

    blocks = out / BLOCKS
    if blocks.exists() and not resume:
        raise RunError(f"{out} holds an earlier run; add --resume to continue it, or choose another folder")
    return blocks


def _run(
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
    from simulator.cluster import run

    try:
        with _progress_bar(terminal()) as progress:
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
                progress=progress,
            )
    except KeyboardInterrupt as stopped:
        again = " (add --resume)" if folder else ""
        typer.secho(f"stopped: {stopped}{again}", fg="yellow", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _progress_bar(console: Console) -> Iterator[Callable[[RunProgress], None]]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None, speed="")

        def show(now: RunProgress) -> None:
            seconds = bar.tasks[0].elapsed or 0.0
            speed = f"{now.customer_days / seconds:,.0f} customer-days/s" if now.customer_days and seconds else ""
            bar.update(
                task,
                description=f"block {now.blocks} of {now.all_blocks}",
                completed=now.customer_days,
                total=now.all_customer_days,
                speed=speed,
            )

        yield show
