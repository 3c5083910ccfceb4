"""What a training in simulation is asked to do, and which customers it may learn from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

import numpy as np

from policies.fingerprint import fingerprint
from policies.vw.policy import VWPolicy
from simulator.errors import RunError
from simulator.rollout.blocks import SEEDS, Unit, units_of
from simulator.rollout.counterfactual_pairs import BRANCH_EVERY, WHOLE
from simulator.runs.code_version import code_digest
from simulator.runs.run_spec import CODE, FORMAT, RunSpec, scenario_content
from simulator.scenarios import Scenario
from simulator.training.learning import LearningSettings

DAYS = 120  # after which enough twins have lived to their end
# Seeds of populations learned from, held out, and given by users (below `SEEDS`) are three ranges that never meet.
_LEARNED_FROM, _HELD_OUT = 2 * SEEDS, SEEDS
_EVALUATION_BLOCKS = 8  # at least: intervals rest on independent blocks


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How much to simulate, and how to learn from it.

    Attributes:
        iterations: of gathering, learning and evaluating.
        customers: new ones per iteration, to learn from.
        days: they live; at least as many as a twin does.
        block_size: customers per block.
        seed: of everything.
        evaluation_customers: held out; the same in every iteration.
        evaluation_days: they live.
        learning: how to learn.

    Raises:
        RunError: a number is too small.
    """

    iterations: int = 6
    customers: int = 20_000
    days: int = DAYS
    block_size: int = 5_000
    seed: int = 0
    evaluation_customers: int = 10_000
    evaluation_days: int = 90
    learning: LearningSettings = field(default_factory=LearningSettings)

    def __post_init__(self) -> None:
        for name in ("iterations", "customers", "block_size", "evaluation_customers", "evaluation_days"):
            if getattr(self, name) < 1:
                raise RunError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.seed < 0:
            raise RunError(f"seed = {self.seed}: must not be negative")
        if self.days < WHOLE:
            raise RunError(f"days = {self.days}: a twin lives {WHOLE} days; give at least as many")

    def units(self, iteration: int) -> list[Unit]:
        """The blocks of new customers of an iteration, in the order they are learned from."""
        seed = _LEARNED_FROM + _drawn(self.seed, iteration)
        return units_of([seed], customers=self.customers, block_size=self.block_size, of_training=True)

    @property
    def evaluation_seed(self) -> int:
        """Of the customers held out."""
        return _HELD_OUT + _drawn(self.seed)

    @property
    def evaluation_block_size(self) -> int:
        """Customers per block of those held out."""
        return min(self.block_size, -(-self.evaluation_customers // _EVALUATION_BLOCKS))


def days_for(scenario: Scenario) -> int:
    """Days to learn from a scenario by default: as many after its last change as in one that never changes."""
    return scenario.settled_from + DAYS


def check_days(scenario: Scenario, plan: TrainingPlan) -> None:
    """Check that twins live after everything a scenario brings.

    Raises:
        RunError: nothing could be learned of it.
    """
    least = scenario.settled_from + WHOLE + BRANCH_EVERY
    if scenario.settled_from and plan.days < least:
        raise RunError(
            f"days = {plan.days}: scenario {scenario.name} changes on day {scenario.settled_from}, and what is learned "
            f"of it takes twins that live {WHOLE} days from then on; give at least {least}"
        )


def training_spec(scenario: Scenario, plan: TrainingPlan, *, start: VWPolicy | None) -> RunSpec:
    """Everything the results of an iteration depend on; there may be more iterations later."""
    content = {
        "format": FORMAT,
        "version": version("journey-orchestrator"),
        CODE: code_digest(),
        "scenario": {"name": scenario.name, **scenario_content(scenario)},
        **{name: value for name, value in asdict(plan).items() if name != "iterations"},
        "start": fingerprint(start) if start else None,
    }
    return RunSpec(json.loads(json.dumps(content, default=str)))


def _drawn(*key: int) -> int:
    """A number below 2^32 that looks random, for a key."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])
