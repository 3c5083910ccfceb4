"""What a training may learn from, and what it is judged on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.errors import RunError
from simulator.run_folder import RunFolder
from simulator.run_spec import RunSpec
from simulator.scenarios import load_scenario
from simulator.training_plan import TrainingPlan, training_spec
from simulator.twins import WHOLE

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "iterations = 0: must be at least 1"),
        ({"days": WHOLE - 1}, f"days = {WHOLE - 1}: a twin lives {WHOLE} days"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        TrainingPlan(**changes)


def test_a_training_that_other_code_began_is_not_continued(tmp_path: Path) -> None:
    spec = training_spec(load_scenario("baseline", configs=CONFIGS), TrainingPlan(), start=None)
    RunFolder(tmp_path, spec)
    RunFolder(tmp_path, spec)  # the same code may
    other = RunSpec({**spec.content, "code": "0123456789abcdef"})
    with pytest.raises(RunError, match=r"code: \w{12}… there, 0123456789ab… here.*go back to that version"):
        RunFolder(tmp_path, other)


def test_customers_learned_from_are_always_new_and_never_those_held_out() -> None:
    plans = [TrainingPlan(seed=seed) for seed in range(20)]
    learned = [plan.units(iteration)[0].seed for plan in plans for iteration in range(20)]
    held_out = [plan.evaluation_seed for plan in plans]
    given_by_users = range(2**32)
    assert len(set(learned)) == len(learned)
    assert not set(learned) & set(held_out)
    assert not any(seed in given_by_users for seed in [*learned, *held_out])
