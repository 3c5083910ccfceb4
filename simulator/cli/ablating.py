"""`journey ablate`: what each part of the journey policy is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import terminal
from orchestrator.cli.progress import progress_bars, stoppable
from orchestrator.cli.threads import one_thread
from simulator.cli.simulation import BlockSizeOption, CustomersOption, DaysOption, ScenarioOption, WorkersOption

TABLE, NUMBERS = "ablations.md", "ablations.json"


def ablate_command(
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Folder for trainings, results, ablations.md and ablations.json; new, or of the same ablations.",
        ),
    ],
    scenario: ScenarioOption = "baseline",
    iterations: Annotated[int, typer.Option(min=1, help="Of each training: times to gather, learn and evaluate.")] = 2,
    train_customers: Annotated[int, typer.Option(min=1, help="New customers to learn from, per iteration.")] = 20_000,
    seeds: Annotated[int, typer.Option(min=2, help="Number of populations to compare on: seeds 0, 1, ...")] = 3,
    customers: CustomersOption = 4_000,
    days: DaysOption = 180,
    block_size: BlockSizeOption = 2_000,
    workers: WorkersOption = None,
) -> None:
    """Train again without the critic, the pair features, the exploration, and with tastes of segments only.

    Prints what each is worth (money per customer over all days, paired with the full policy) as it is known, and as a
    table in the end. With tastes of segments only the world is another one, so that row stands for itself. A run that
    was interrupted goes on where it stopped when run again.

    Example: journey ablate --out data/ablations
    """
    one_thread()
    from orchestrator.config import configs_dir
    from policies.whole_files import write_whole
    from simulator.reports.ablation_table import AblationReport, ablation_line, ablation_table
    from simulator.scenarios import load_scenario
    from simulator.training.ablations import ablate, ablation_spec
    from simulator.training.plan import TrainingPlan, days_for

    world = load_scenario(scenario, configs=configs_dir())
    plan = TrainingPlan(
        iterations=iterations,
        customers=train_customers,
        days=days_for(world),
        evaluation_customers=1_000,
        evaluation_days=30,
    )
    with stoppable(), progress_bars(terminal()) as bars:
        found = ablate(
            world,
            plan,
            folder=out,
            seeds=seeds,
            customers=customers,
            days=days,
            block_size=block_size,
            workers=workers,
            training=lambda name, now: bars.phase(now, about=f"{name}: "),
            comparing=lambda name, now: bars.blocks(now, about=f"{name}: "),
            on_ablation=lambda one: typer.echo(ablation_line(one)),
        )
    report = AblationReport(
        found,
        world,
        plan,
        ablation_spec(world, plan, customers=customers, days=days, block_size=block_size),
        f"journey ablate --scenario {scenario} --iterations {iterations} --train-customers {train_customers} --seeds "
        f"{seeds} --customers {customers} --days {days} --block-size {block_size} --out {out}",
    )
    write_whole(out / TABLE, report.markdown().encode())
    write_whole(out / NUMBERS, report.json().encode())
    typer.echo(ablation_table(found))
    typer.echo(f"wrote {out / TABLE} and {NUMBERS}, with how to repeat it")
