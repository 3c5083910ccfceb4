"""What each part of the journey policy is worth: trained again without it, on the same customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from policies.policy import Policy
from simulator import cluster
from simulator.cluster import RunProgress
from simulator.comparison import Comparison, compare_in
from simulator.learning import LearningSettings
from simulator.line_up import TRAINED, line_up, save_line_up
from simulator.paired_intervals import MeanInterval
from simulator.rollout import Setting
from simulator.run_folder import RunFolder
from simulator.run_spec import RunSpec
from simulator.scenarios import Scenario
from simulator.tasks import shared_session
from simulator.training import REFERENCE, PhaseProgress, train
from simulator.training_plan import TrainingPlan, training_spec

COMPARED = ("hold", "myopic", "journey")


@dataclass(frozen=True)
class Ablation:
    """One part taken away.

    Attributes:
        name: of the part.
        learning: how to learn without it.
        world: changed values of the world.
    """

    name: str
    learning: LearningSettings
    world: Mapping[str, float]


ABLATIONS = (
    Ablation("nothing", LearningSettings(), {}),
    Ablation("critic", LearningSettings(critic=False), {}),
    Ablation("pair features", LearningSettings(pairs=False), {}),
    Ablation("exploration", LearningSettings(explore=False), {}),
    Ablation("individuality of tastes", LearningSettings(), {"population.individuality": 0.0}),
)


def ablate(
    scenario: Scenario,
    plan: TrainingPlan,
    *,
    folder: Path,
    seeds: int,
    customers: int,
    days: int,
    block_size: int,
    workers: int | None,
    training: Callable[[str, PhaseProgress], None] = lambda name, now: None,  # noqa: ARG005
    comparing: Callable[[str, RunProgress], None] = lambda name, now: None,  # noqa: ARG005
    on_ablation: Callable[[str, Comparison], None] = lambda name, found: None,  # noqa: ARG005
) -> dict[str, Comparison]:
    """Train and compare once per ablation; finished parts in the folder are not done again.

    Args:
        scenario: the world.
        plan: of each training.
        folder: keeps trainings and results, and continues where the same ablations were stopped.
        seeds: number of populations to compare on; may be more than in an earlier run.
        customers: per seed.
        days: they live.
        block_size: customers per block.
        workers: cores to use; none for all.
        training: called while the training of an ablation goes on.
        comparing: called while its comparison goes on.
        on_ablation: called after every ablation.

    Returns:
        Comparisons of `COMPARED` with `journey` as reference, by ablation.

    Raises:
        RunError: the folder holds something else, or other ablations; or a block cannot be finished.
        KeyboardInterrupt: Ctrl-C; says how to continue.
    """
    RunFolder(folder, _spec(scenario, plan, customers=customers, days=days, block_size=block_size))
    found: dict[str, Comparison] = {}
    name = ABLATIONS[0].name
    try:
        with shared_session(workers=workers, address=None):
            for ablation in ABLATIONS:
                name = ablation.name
                world = scenario.changed(ablation.world) if ablation.world else scenario
                home = folder / name.replace(" ", "_")
                results = cluster.run(
                    world,
                    _trained(
                        world,
                        replace(plan, learning=ablation.learning),
                        home=home,
                        workers=workers,
                        progress=partial(training, name),
                    ),
                    seeds=list(range(seeds)),
                    customers=customers,
                    days=days,
                    block_size=block_size,
                    workers=workers,
                    folder=home / "blocks",
                    progress=partial(comparing, name),
                )
                found[name] = compare_in(world, results, reference=REFERENCE)
                on_ablation(name, found[name])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(found)} of {len(ABLATIONS)} ablations are finished, and what the one without {name} got to is kept "
            f"in {folder}; run the same again to continue"
        ) from None
    return found


def _trained(
    world: Scenario,
    plan: TrainingPlan,
    *,
    home: Path,
    workers: int | None,
    progress: Callable[[PhaseProgress], None],
) -> dict[str, Policy]:
    """The policies of `COMPARED`; those of a finished training are read, for learning again would take its time."""
    policies = home / "policies"
    if not policies.exists():  # written whole, when a training is finished
        folder = home / "training"
        last = train(world, plan, folder=folder, resume=folder.exists(), workers=workers, progress=progress)
        save_line_up({name: last.policies[name] for name in COMPARED if name in TRAINED}, policies)
    return line_up(COMPARED, core=Setting.of(world).core, folder=policies, scenario=world.name)


def _spec(scenario: Scenario, plan: TrainingPlan, *, customers: int, days: int, block_size: int) -> RunSpec:
    """Everything the comparisons depend on, but for the seeds: more of them may be added later."""
    content = {
        "kind": "ablations",
        **training_spec(scenario, plan, start=None).content,
        "iterations": plan.iterations,
        "compared": {"customers": customers, "days": days, "block_size": block_size},
    }
    return RunSpec(content)


def ablation_line(name: str, comparison: Comparison) -> str:
    """One line on what the journey policy earns without a part, and how much more than holding."""
    margin, hold = comparison.standing(REFERENCE).margin, comparison.standing("hold").difference
    return f"without {name}: margin per customer {margin.value:.2f}, more than hold {_interval(hold)}"


def ablation_table(found: Mapping[str, Comparison]) -> str:
    """A Markdown table: what the journey policy earns more than holding and than its myopic twin."""
    lines = [
        "| without | margin per customer | more than hold | more than myopic | unsubscribes per 1,000 |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, comparison in found.items():
        journey = comparison.standing(REFERENCE)
        hold, myopic = (comparison.standing(other).difference for other in ("hold", "myopic"))
        lines.append(
            f"| {name} | {journey.margin.value:.2f} | {_interval(hold)} | {_interval(myopic)} "
            f"| {journey.unsubscribes.value:.0f} |"
        )
    return "\n".join(lines)


def _interval(difference: MeanInterval | None) -> str:
    if difference is None:
        return ""
    return f"{difference.value:+.2f} [{difference.lower:+.2f}, {difference.upper:+.2f}]"
