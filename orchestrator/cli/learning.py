"""`journey train`, `evaluate`, `replay`, `promote`: from a log to a judged, registered policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    DEFAULT_SPLIT,
    DEFAULT_STORE,
    LogOption,
    ModelOption,
    RewardOption,
    SeedOption,
    StoreOption,
    of_model,
    other_models,
    terminal,
)
from orchestrator.cli.threads import one_thread
from policies.registry.store import CHAMPION, DEFAULT_MODEL

SIMULATED = "In simulation (--scenario)"
ON_LOGS_ONLY = ("config", "reward", "split", "name")
IN_SIMULATION_ONLY = (
    *("iterations", "customers", "days", "block_size", "seed", "evaluate_customers", "evaluate_days", "workers"),
    *("address", "out", "resume", "line_up", "warm_start"),
)
FEWEST_DAYS = 80  # that a simulated customer and its twin live (`simulator.rollout.twins.WHOLE`)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.vw.policy import VWPolicy


def train_command(
    context: typer.Context,
    log: Annotated[
        Path | None, typer.Option("--log", help="Learn from a feedback log, made by `journey import`.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="Or learn in simulation: name of a scenario, or a .yaml file.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="Retailer's configuration, whose training.yaml says how to learn; default: none."
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    model: Annotated[
        str,
        typer.Option("--model", help="Name of the registered policy; default: training.yaml's, or journey-SCENARIO."),
    ] = "",
    reward: RewardOption = "",
    split: Annotated[
        float | None, typer.Option(help="Share of customers to learn from; default: training.yaml's.")
    ] = None,
    name: Annotated[str, typer.Option(help="Run name; default: the log's directory name.")] = "",
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
        _train_on_log(log, config=config, store=store, model=model, reward=reward, split=split, name=name)
        return
    assert scenario is not None  # noqa: S101 - checked above
    one_thread()
    from policies.registry.store import Store
    from simulator.cli.training import train_in_simulation
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
        start=lambda model: _find_policy(warm_start, store=store, model=model) if warm_start else None,
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


def _train_on_log(
    log: Path, *, config: Path | None, store: Path, model: str, reward: str, split: float | None, name: str
) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from orchestrator.cli.settings import training_settings
    from orchestrator.config import load_retailer
    from orchestrator.config.models import Training
    from policies.evaluation.league_text import league_text
    from policies.feedback import LoggedFeedback
    from policies.learning.training import train
    from policies.registry.store import Store
    from policies.review.publish import publish

    registry = Store(store)
    registry.check()
    console = terminal()
    feedback = LoggedFeedback.load(log)
    training = load_retailer(config).training if config else Training()
    settings = training_settings(training, split=split, reward=reward)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        learning = progress.add_task("learning", total=None)
        result = train(
            feedback, settings, progress=lambda done, total: progress.update(learning, completed=done, total=total)
        )
    typer.echo(league_text(result.league))
    with console.status("writing the MLflow run"):
        done = publish(
            result,
            feedback.with_reward(reward or feedback.reward_name),
            settings,
            store=registry,
            model=model or training.model,
            name=name or log.name,
        )
    typer.echo(done.headline)
    look = of_model("journey ui", model=done.policy.model, store=store)
    typer.echo(f"registered {done.policy.label} as {done.alias}; run {done.run_id}; look at it with `{look}`")


def evaluate_command(
    log: LogOption,
    policy: Annotated[
        list[str], typer.Option("--policy", help="An alias, a version number or a policy directory; repeatable.")
    ] = [CHAMPION],  # noqa: B006 - typer copies it
    store: StoreOption = DEFAULT_STORE,
    reward: RewardOption = "",
    split: Annotated[
        float | None,
        typer.Option(
            "--split", help="Share of customers learned from; default: that of the policies, so others judge."
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option(help="Also write league.parquet, league.svg and report.html here.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Judge policies against the baselines on the customers the split holds out.

    Example: journey evaluate --log data/hillstrom --policy champion --policy challenger --out report
    """
    from policies.evaluation.league_plot import league_svg
    from policies.evaluation.league_text import league_text
    from policies.feedback import LoggedFeedback
    from policies.learning.baselines import best_fixed
    from policies.learning.training import baselines, judge_policies
    from policies.policy import Policy
    from policies.review.publish import action_shares
    from policies.review.report import headline, report_html
    from policies.whole_files import write_whole

    feedback = LoggedFeedback.load(log)
    policies = {name: _find_policy(name, store=store, model=model) for name in policy}
    share = _common_split(policies, split)
    learn, judge = feedback.with_reward(reward or feedback.reward_name).split(share)
    found: dict[str, Policy] = {}
    for name, loaded in policies.items():
        found[name] = loaded if loaded.actions == judge.actions else loaded.with_actions(judge.actions)
    league = judge_policies(judge, found | baselines(learn), reference=best_fixed(learn.net()).name, seed=seed)
    typer.echo(league_text(league))
    for name in found:
        typer.echo(headline(league, name))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        league.write_parquet(out / "league.parquet")
        write_whole(out / "league.svg", league_svg(league).encode())
        html = report_html(
            league,
            title=f"Evaluation on {log.name}",
            policy=policy[0],
            facts={"data": judge.source, "judged on": f"{len(judge):,} decisions"},
            shares=action_shares(found[policy[0]], judge),
        )
        write_whole(out / "report.html", html.encode())
        typer.echo(f"wrote {out}/league.parquet, league.svg, report.html")


def replay_command(
    log: LogOption,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs, each with another order of customers.")] = 5,
    reward: RewardOption = "",
    gamma_scale: Annotated[float, typer.Option(help="SquareCB's exploitation strength.")] = 10.0,
) -> None:
    """Learn online over a uniformly logged experiment and report what was earned while learning.

    Example: journey replay --log data/hillstrom --reward visit --seeds 5
    """
    import numpy as np

    from policies.exploration.explorers import Explorer
    from policies.feedback import LoggedFeedback
    from policies.learning.replay import online_ladder, replay

    feedback = LoggedFeedback.load(log)
    feedback = feedback.with_reward(reward or feedback.reward_name)
    means = []
    for seed in range(seeds):
        run = replay(feedback, online_ladder(feedback, explorer=Explorer(gamma_scale=gamma_scale)), seed=seed)
        means.append(run.mean)
        shares = np.bincount(run.action, minlength=len(feedback.actions)) / len(run.action)
        main = np.argsort(-shares)[:5]
        taken = ", ".join(f"{feedback.actions.ids[a]} {shares[a]:.0%}" for a in main)
        typer.echo(f"seed {seed}: {feedback.reward_name} {run.mean:.4f} over {len(run.reward):,} decisions ({taken})")
    typer.echo(f"mean {np.mean(means):.4f}, lowest {min(means):.4f}")


def promote_command(
    version: Annotated[int, typer.Argument(help="Version number, as shown in the MLflow UI.")],
    store: StoreOption = DEFAULT_STORE,
    model: ModelOption = DEFAULT_MODEL,
) -> None:
    """Make a registered version the champion; a running server follows within seconds.

    Example: journey promote 3
    """
    from policies.errors import RegistryError
    from policies.registry.store import Store
    from policies.registry.tracking import Tracker

    registry = Store(store)
    if registry.version(model, version) is None:
        look, other = of_model("journey ui", model=model, store=store), other_models(registry, model=model)
        told = f"{model} in {store} has no version {version}; see `{look}`"
        raise RegistryError(f"{told}; {other}" if other else told)
    Tracker(registry).promote(version, model=model)
    typer.echo(f"{model}/{version} is now {CHAMPION}")


def _common_split(policies: Mapping[str, VWPolicy], split: float | None) -> float:
    """The split that leaves to the judges only customers no policy learned from."""
    from policies.errors import PolicyError

    known = {name: policy.progress.split for name, policy in policies.items() if policy.progress.split}
    wanted = {*known.values()} | ({split} if split is not None else set())
    if len(wanted) > 1:
        told = ", ".join(f"{name} learned from {share:g}" for name, share in known.items())
        raise PolicyError(
            f"policies are judged on customers they did not learn from, and the splits differ ({told}"
            f"{f', --split {split:g}' if split is not None else ''}); judge policies of one split at that split"
        )
    return wanted.pop() if wanted else DEFAULT_SPLIT


def _find_policy(name: str, *, store: Path, model: str) -> VWPolicy:
    from policies.errors import RegistryError
    from policies.registry.store import Store
    from policies.vw.files import load_policy

    if Path(name).is_dir():
        return load_policy(Path(name))
    registry = Store(store)
    found = registry.version(model, int(name)) if name.isdigit() else registry.alias(model, name)
    if found is None:
        raise RegistryError(
            f"no policy {name!r} of {model!r} in {store}: give an alias such as champion, a version number or a "
            "policy directory; make one with `journey train`"
        )
    return load_policy(found.directory)
