"""`journey train --scenario`: a policy trained in simulation, evaluated and registered after every iteration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.options import terminal
from orchestrator.cli.progress import progress_bars, stoppable
from orchestrator.cli.simulation import check_resume

if TYPE_CHECKING:
    from policies.registry.store import Store
    from policies.vw_policy import VWPolicy
    from simulator.scenarios import Scenario
    from simulator.training import Iteration
    from simulator.training_plan import TrainingPlan


def train_in_simulation(
    scenario: str,
    plan_for: Callable[[Scenario], TrainingPlan],
    *,
    out: Path | None,
    resume: bool,
    start: Callable[[str], VWPolicy | None],
    workers: int | None,
    address: str | None,
    line_up: Path | None,
    store: Store,
    model: str,
) -> None:
    """Train, publish every iteration, and save the line-up.

    Args:
        scenario: name or file.
        plan_for: the plan of the training, given the scenario.
        out: folder of the training; none for `data/training/SCENARIO`.
        resume: continue there.
        start: the policy to start from, given the name of the model.
        workers: cores to use.
        address: of a Ray cluster.
        line_up: folder of the line-up; none for `data/policies/SCENARIO`.
        store: MLflow store.
        model: name of the registered model; empty for `journey-SCENARIO`.
    """
    from orchestrator.config import configs_dir
    from simulator.line_up import TRAINED, check_replaceable, save_line_up
    from simulator.scenarios import load_scenario
    from simulator.training import train
    from simulator.training_publish import TrainingPublisher

    store.check()
    world = load_scenario(scenario, configs=configs_dir())
    plan = plan_for(world)
    folder = out or Path("data") / "training" / world.name
    policies = line_up or Path("data") / "policies" / world.name
    check_resume(folder, resume=resume, out=folder)
    check_replaceable(policies)  # now, and not after hours of training
    name = model or f"journey-{world.name}"
    first = start(name)
    publisher = TrainingPublisher(world, plan, store=store, model=name, folder=folder)

    def tell(found: Iteration) -> None:
        registered = publisher.publish(found)
        typer.echo(f"{summary(found)}; {registered.label if registered else 'published before'}")

    with stoppable(), progress_bars(terminal()) as bars, publisher.open():
        last = train(
            world,
            plan,
            folder=folder,
            resume=resume,
            start=first,
            workers=workers,
            address=address,
            progress=bars.phase,
            on_start=publisher.begin,
            on_iteration=tell,
        )
    save_line_up({policy: last.policies[policy] for policy in TRAINED}, policies)
    typer.echo(last.comparison.verdict)
    typer.echo(f"wrote {policies}; compare with `journey compare --scenario {scenario}`")
    typer.echo(f"logged MLflow run {publisher.run_id}; look at it with `journey ui --model {name}`")


def summary(found: Iteration) -> str:
    """One line on what an iteration came to."""
    from simulator.training import PHASES, REFERENCE

    standings = {standing.policy: standing for standing in found.comparison.standings}
    said = [f"{name} {standings[name].margin.value:.3f}" for name in (REFERENCE, "myopic", "hold")]
    seconds = ", ".join(f"{phase} {found.seconds[phase]:.1f} s" for phase in PHASES)
    return (
        f"iteration {found.index}: margin per customer {', '.join(said)}; {found.twins:,} twins; {seconds}, "
        f"rest {found.seconds['rest']:.1f} s ({found.rest_share:.1%})"
    )
