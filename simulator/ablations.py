"""What each part of the journey policy is worth: trained again without it, on the same customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from simulator import cluster
from simulator.comparison import Comparison, compare_in
from simulator.learning import LearningSettings
from simulator.line_up import line_up, save_line_up
from simulator.paired_intervals import MeanInterval
from simulator.rollout import Setting
from simulator.scenarios import Scenario
from simulator.training import train
from simulator.training_plan import TrainingPlan

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
    tell: Callable[[str], None],
) -> dict[str, Comparison]:
    """Train and compare once per ablation; finished parts in the folder are not done again.

    Args:
        scenario: the world.
        plan: of each training.
        folder: keeps trainings and results.
        seeds: number of populations to compare on.
        customers: per seed.
        days: they live.
        block_size: customers per block.
        workers: cores to use; none for all.
        tell: called with what is being done.

    Returns:
        Comparisons of `COMPARED` with `journey` as reference, by ablation.
    """
    found = {}
    for ablation in ABLATIONS:
        tell(f"without {ablation.name}")
        world = scenario.changed(ablation.world) if ablation.world else scenario
        home = folder / ablation.name.replace(" ", "_")
        trained = train(
            world,
            replace(plan, learning=ablation.learning),
            folder=home / "training",
            resume=(home / "training").exists(),
            workers=workers,
        )
        core = Setting.of(world).core
        save_line_up({"myopic": trained.policies["myopic"], "journey": trained.policies["journey"]}, home / "policies")
        policies = line_up(COMPARED, core=core, folder=home / "policies", scenario=world.name)
        results = cluster.run(
            world,
            policies,
            seeds=list(range(seeds)),
            customers=customers,
            days=days,
            block_size=block_size,
            workers=workers,
            folder=home / "blocks",
        )
        found[ablation.name] = compare_in(world, results, reference="journey")
    return found


def ablation_table(found: Mapping[str, Comparison]) -> str:
    """A Markdown table: what the journey policy earns more than holding and than its myopic twin."""
    lines = [
        "| without | margin per customer | more than hold | more than myopic | unsubscribes per 1,000 |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, comparison in found.items():
        journey = comparison.standing("journey")
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
