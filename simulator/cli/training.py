"""`journey train --scenario`: a policy trained in simulation, evaluated and registered after every iteration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.options import of_model, terminal
from orchestrator.cli.progress import progress_bars, stoppable
from policies.registry.store import CHAMPION
from simulator.cli.simulation import check_resume

if TYPE_CHECKING:
    from policies.registry.store import Store
    from policies.vw.policy import VWPolicy
    from simulator.reports.training_publish import PublishedIteration
    from simulator.scenarios import Scenario
    from simulator.training.plan import TrainingPlan
    from simulator.training.training import Iteration


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
    from simulator.reports.training_publish import TrainingPublisher
    from simulator.runs.line_up import TRAINED, check_replaceable, save_line_up
    from simulator.scenarios import load_scenario
    from simulator.training.training import train

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
        typer.echo(told(found, publisher.publish(found), store=store))

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
    typer.echo(f"wrote {policies}; compare with `journey compare --scenario {scenario}`")
    look = of_model("journey ui", model=name, store=store.directory)
    typer.echo(f"logged MLflow run {publisher.run_id} with report.html; look at it with `{look}`")


def told(found: Iteration, published: PublishedIteration | None, *, store: Store) -> str:
    """Lines on what an iteration came to, and on what its version became; indented but for the first.

    Args:
        found: the iteration.
        published: where it went; none if it was published before.
        store: it was published to.
    """
    from simulator.comparison.numbers import number
    from simulator.training.verdict import training_verdict

    lines = [f"iteration {found.index}: {published.verdict if published else training_verdict(found.comparison)}"]
    said = [
        f"{name} {number(found.comparison.standing(name).unsubscribes.value, decimals=1)}"
        for name in ("journey", "myopic")
    ]
    lines.append(f"unsubscribes per 1,000: {', '.join(said)}; {_seconds(found)}")
    lines.append(_became(published, store=store) if published else "published before")
    return "\n  ".join(lines)


def _seconds(found: Iteration) -> str:
    from simulator.training.training import PHASES

    phases = ", ".join(f"{phase} {found.seconds[phase]:.1f}" for phase in PHASES)
    rest = f"rest {found.seconds['rest']:.1f}, {found.rest_share:.1%}"
    return f"{found.twins:,} twins; {sum(found.seconds.values()):.1f} s ({phases}, {rest})"


def _became(published: PublishedIteration, *, store: Store) -> str:
    model, version = published.policy.model, published.policy.version
    if published.alias == CHAMPION:
        return (
            f"registered {published.policy.label} as champion, being the first version of {model}: "
            f"`{of_model('journey serve', model=model, store=store.directory)}` serves it"
        )
    stays = f"; {published.champion.label} stays champion" if published.champion else ""
    return (
        f"registered {published.policy.label} as challenger{stays}; promote it with "
        f"`{of_model(f'journey promote {version}', model=model, store=store.directory)}`"
    )
