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
from policies.registry.store import CHAMPION, DEFAULT_MODEL

FeedbackOption = Annotated[
    Path | None, typer.Option("--log", help="Learn from a feedback log, made by `journey import`.")
]
TrainingConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Retailer's configuration, whose training.yaml says how to learn; default: none."),
]
TrainedModelOption = Annotated[
    str, typer.Option("--model", help="Name of the registered policy; default: training.yaml's, or journey-SCENARIO.")
]
SplitOption = Annotated[float | None, typer.Option(help="Share of customers to learn from; default: training.yaml's.")]
RunNameOption = Annotated[str, typer.Option(help="Run name; default: the log's directory name.")]

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.vw.policy import VWPolicy


def train_command(
    log: LogOption,
    config: TrainingConfigOption = None,
    store: StoreOption = DEFAULT_STORE,
    model: TrainedModelOption = "",
    reward: RewardOption = "",
    split: SplitOption = None,
    name: RunNameOption = "",
) -> None:
    """Learn a policy from a log, judge it on customers it did not learn from, log an MLflow run and register it.

    Training in simulation needs the simulator: pip install 'journey-orchestrator[simulate]'.

    Example: journey train --log data/hillstrom --reward visit
    """
    train_on_log(log, config=config, store=store, model=model, reward=reward, split=split, name=name)


def train_on_log(
    log: Path, *, config: Path | None, store: Path, model: str, reward: str, split: float | None, name: str
) -> None:
    """Learn from a feedback log; arguments as the options of `journey train`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from orchestrator.cli.settings import training_settings
    from orchestrator.config.models import Training
    from orchestrator.load import load_retailer
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
    policies = {name: find_policy(name, store=store, model=model) for name in policy}
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
    from policies.learning.replay import online_search, replay

    feedback = LoggedFeedback.load(log)
    feedback = feedback.with_reward(reward or feedback.reward_name)
    means = []
    for seed in range(seeds):
        run = replay(feedback, online_search(feedback, explorer=Explorer(gamma_scale=gamma_scale)), seed=seed)
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


def find_policy(name: str, *, store: Path, model: str) -> VWPolicy:
    """The policy of an alias, a version number or a directory.

    Raises:
        RegistryError: there is none.
    """
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
