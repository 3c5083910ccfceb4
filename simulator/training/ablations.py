"""What each part of the journey policy is worth: trained again without it, on the same customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from policies.policy import Policy
from simulator.comparison.comparison import ActionInfo, Comparison, actions_of, compare_results
from simulator.comparison.paired_intervals import MeanInterval
from simulator.rollout.rollout import Setting
from simulator.runs import cluster
from simulator.runs.cluster import RunProgress
from simulator.runs.line_up import TRAINED, line_up, save_line_up
from simulator.runs.run_folder import RunFolder
from simulator.runs.run_spec import RunSpec
from simulator.runs.tasks import shared_session
from simulator.scenarios import Scenario
from simulator.training.learning import LearningSettings
from simulator.training.plan import TrainingPlan, training_spec
from simulator.training.training import REFERENCE, PhaseProgress, train
from simulator.world.results import BlockResult

COMPARED = ("hold", "myopic", "journey")
FULL = "full policy"


@dataclass(frozen=True)
class Ablation:
    """One part taken away.

    Attributes:
        name: of the part; names its folder.
        label: what tables call the policy without it.
        learning: how to learn without it.
        world: changed values of the world. Customers of another world are other people, so nothing that is earned
            there can be compared with what is earned here.
    """

    name: str
    label: str
    learning: LearningSettings
    world: Mapping[str, float]


ABLATIONS = (
    Ablation("full", FULL, LearningSettings(), {}),
    Ablation("critic", "without critic", LearningSettings(critic=False), {}),
    Ablation("pair features", "without pair features", LearningSettings(pairs=False), {}),
    Ablation("exploration", "without exploration", LearningSettings(explore=False), {}),
    Ablation(
        "individuality",
        "full policy, world without individual tastes",
        LearningSettings(),
        {"population.individuality": 0.0},
    ),
)


@dataclass(frozen=True)
class Ablated:
    """What became of one ablation.

    Attributes:
        ablation: what was taken away.
        comparison: of `COMPARED`, with `journey`, the policy without the part, as the reference.
        worth: margin per customer of the full policy minus that of this one, paired: the same customers with the same
            random numbers. None for the full policy, and in another world.
    """

    ablation: Ablation
    comparison: Comparison
    worth: MeanInterval | None


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
    on_ablation: Callable[[Ablated], None] = lambda found: None,  # noqa: ARG005
) -> tuple[Ablated, ...]:
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
        training: called with its label while the training of an ablation goes on.
        comparing: called with its label while its comparison goes on.
        on_ablation: called after every ablation.

    Returns:
        One per ablation, the full policy first.

    Raises:
        RunError: the folder holds something else, or other ablations; or a block cannot be finished.
        KeyboardInterrupt: Ctrl-C; says how to continue.
    """
    RunFolder(folder, ablation_spec(scenario, plan, customers=customers, days=days, block_size=block_size))
    found: list[Ablated] = []
    full: list[BlockResult] = []
    label = ABLATIONS[0].label
    try:
        with shared_session(workers=workers, address=None):
            for ablation in ABLATIONS:
                label = ablation.label
                world = scenario.changed(ablation.world) if ablation.world else scenario
                home = folder / ablation.name.replace(" ", "_")
                results = cluster.run(
                    world,
                    _trained(
                        world,
                        replace(plan, learning=ablation.learning),
                        home=home,
                        workers=workers,
                        progress=partial(training, label),
                    ),
                    seeds=list(range(seeds)),
                    customers=customers,
                    days=days,
                    block_size=block_size,
                    workers=workers,
                    folder=home / "blocks",
                    progress=partial(comparing, label),
                )
                full = full or results
                found.append(ablated(ablation, results=results, full=full, actions=actions_of(world)))
                on_ablation(found[-1])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(found)} of {len(ABLATIONS)} ablations are finished, and what '{label}' got to is kept in {folder}; "
            "run the same again to continue"
        ) from None
    return tuple(found)


def ablated(
    ablation: Ablation, *, results: Sequence[BlockResult], full: Sequence[BlockResult], actions: Sequence[ActionInfo]
) -> Ablated:
    """What an ablation is worth.

    Args:
        ablation: what was taken away.
        results: of `COMPARED` without it.
        full: of `COMPARED` with everything.
        actions: of the decisions, in the order of `BlockResult.actions`.

    Raises:
        ComparisonError: results are missing, or of other populations.
    """
    comparison = compare_results(results, reference=REFERENCE, actions=actions)
    if ablation.world or ablation == ABLATIONS[0]:
        return Ablated(ablation, comparison, None)
    named = ((FULL, full), (ablation.label, results))
    pair = [replace(r, policy=name) for name, of in named for r in of if r.policy == REFERENCE]
    against_full = compare_results(pair, reference=FULL, actions=actions)
    return Ablated(ablation, comparison, against_full.standing(ablation.label).difference)


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


def ablation_spec(scenario: Scenario, plan: TrainingPlan, *, customers: int, days: int, block_size: int) -> RunSpec:
    """Everything the comparisons depend on, but for the seeds: more of them may be added later."""
    content = {
        "kind": "ablations",
        **training_spec(scenario, plan, start=None).content,
        "iterations": plan.iterations,
        "compared": {"customers": customers, "days": days, "block_size": block_size},
    }
    return RunSpec(content)
