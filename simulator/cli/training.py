"""`journey train`: from a log, or in simulation, where every iteration is evaluated and registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.learning import (
    FeedbackOption,
    RunNameOption,
    SplitOption,
    TrainedModelOption,
    TrainingConfigOption,
    find_policy,
    train_on_log,
)
from orchestrator.cli.options import DEFAULT_STORE, RewardOption, StoreOption, of_model, terminal
from orchestrator.cli.progress import progress_bars, stoppable
from orchestrator.cli.threads import one_thread
from policies.registry.store import CHAMPION
from simulator.cli.simulation import check_resume

if TYPE_CHECKING:
    from policies.registry.store import Store
    from policies.vw.policy import VWPolicy
    from simulator.reports.training_publish import PublishedIteration
    from simulator.scenarios import Scenario
    from simulator.training.plan import TrainingPlan
    from simulator.training.training import Iteration


SIMULATED = "In simulation (--scenario)"
ON_LOGS_ONLY = ("config", "reward", "split", "name")
IN_SIMULATION_ONLY = (
    *("iterations", "customers", "days", "block_size", "seed", "evaluate_customers", "evaluate_days", "workers"),
    *("address", "out", "resume", "line_up", "warm_start"),
)
FEWEST_DAYS = 80  # that a simulated customer and its twin live (`simulator.rollout.counterfactual_pairs.WHOLE`)


def train_command(
    context: typer.Context,
    log: FeedbackOption = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="Or learn in simulation: name of a scenario, or a .yaml file.")
    ] = None,
    config: TrainingConfigOption = None,
    store: StoreOption = DEFAULT_STORE,
    model: TrainedModelOption = "",
    reward: RewardOption = "",
    split: SplitOption = None,
    name: RunNameOption = "",
    iterations: Annotated[
        int, typer.Option(min=1, help="Times to gather, learn and evaluate.", rich_help_panel=SIMULATED)
    ] = 6,
    customers: Annotated[
        int, typer.Option(min=1, help="New customers to learn from, per iteration.", rich_help_panel=SIMULATED)
    ] = 20_000,
    days: Annotated[
        int | None,
        typer.Option(
            min=1,  # the plan says why 80, and how many a scenario that changes needs
            help=f"Days they live, {FEWEST_DAYS} or more; default: 120 after the last change of the scenario.",
            rich_help_panel=SIMULATED,
        ),
    ] = None,
    block_size: Annotated[
        int, typer.Option(min=1, help="Customers per block, the unit of work.", rich_help_panel=SIMULATED)
    ] = 5_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every population.", rich_help_panel=SIMULATED)] = 0,
    evaluate_customers: Annotated[
        int, typer.Option(min=1, help="Customers held out to evaluate on.", rich_help_panel=SIMULATED)
    ] = 10_000,
    evaluate_days: Annotated[int, typer.Option(min=1, help="Days those live.", rich_help_panel=SIMULATED)] = 90,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Cores; default: all. With 1, Ray is not started.", rich_help_panel=SIMULATED),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster to join.", rich_help_panel=SIMULATED)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder that keeps iterations; default: data/training/SCENARIO.",
            rich_help_panel=SIMULATED,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the training in --out.", rich_help_panel=SIMULATED)
    ] = False,
    line_up: Annotated[
        Path | None,
        typer.Option(
            "--line-up",
            file_okay=False,
            help="Where the trained policies are put in the end; default: data/policies/SCENARIO.",
            rich_help_panel=SIMULATED,
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            "--warm-start",
            help="Begin with the weights of a policy directory, a version or an alias.",
            rich_help_panel=SIMULATED,
        ),
    ] = None,
) -> None:
    """Learn a policy from a log or in simulation, judge it, log MLflow runs and register it.

    From a log, it is judged on customers it did not learn from. In simulation, every iteration gathers, learns,
    evaluates on customers held out and registers a version, with its verdict on the card and report.html in its run.

    The champion of a model is the version that `journey serve --model NAME` serves. The first version of a model
    becomes champion whatever its verdict; each later one becomes challenger, and serves nobody until a reviewer
    promotes it with `journey promote VERSION --model NAME`. Promoting an older version rolls back.

    Example: journey train --log data/hillstrom --reward visit

    journey train --scenario baseline --iterations 6
    """
    _check_mode(context, log=log, scenario=scenario)
    if log is not None:
        train_on_log(log, config=config, store=store, model=model, reward=reward, split=split, name=name)
        return
    assert scenario is not None  # noqa: S101 - checked above
    one_thread()
    from policies.registry.store import Store
    from simulator.training.plan import TrainingPlan, days_for

    train_in_simulation(
        scenario,
        lambda world: TrainingPlan(
            iterations=iterations,
            customers=customers,
            days=days_for(world) if days is None else days,
            block_size=block_size,
            seed=seed,
            evaluation_customers=evaluate_customers,
            evaluation_days=evaluate_days,
        ),
        out=out,
        resume=resume,
        start=lambda model: find_policy(warm_start, store=store, model=model) if warm_start else None,
        workers=workers,
        address=address,
        line_up=line_up,
        store=Store(store),
        model=model,
    )


def _check_mode(context: typer.Context, *, log: Path | None, scenario: str | None) -> None:
    """One of the two ways to train, and only its own options.

    Raises:
        PolicyError: both or none, or an option of the other way.
    """
    from policies.errors import PolicyError

    if (log is None) == (scenario is None):
        raise PolicyError(
            "train needs exactly one of --log (a feedback log, made by `journey import`) and --scenario (in "
            "simulation; `journey scenarios` lists them)"
        )
    mode, foreign = ("--log", IN_SIMULATION_ONLY) if log is not None else ("--scenario", ON_LOGS_ONLY)
    sources = {name: context.get_parameter_source(name) for name in foreign}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        other = "--scenario" if log is not None else "--log"
        option = given[0].replace("_", "-")
        raise PolicyError(f"--{option} belongs to {other} and does nothing with {mode}; leave it out")


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
