"""What a training may learn from, and what it is judged on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policies.learning.baselines import RandomPolicy
from simulator.errors import RunError
from simulator.rollout.counterfactual_pairs import WHOLE, live_pairs
from simulator.rollout.rollout import Block, Setting
from simulator.runs.run_folder import RunFolder
from simulator.runs.run_spec import RunSpec
from simulator.scenarios import load_scenario
from simulator.training.plan import TrainingPlan, days_for, training_spec
from simulator.training.training import train

CONFIGS = Path(__file__).parents[3] / "configs"


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


@pytest.mark.parametrize("name", ["cold_start", "drift"])
def test_days_that_end_before_a_change_can_be_learned_of_are_refused(
    name: str, setting_of: Callable[..., Setting], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=f"days = 120: scenario {name} changes on day 60.* give at least 150"):
        train(setting_of(name).scenario, TrainingPlan(days=120), folder=tmp_path / "training", workers=1)
    assert not (tmp_path / "training").exists()


def test_by_default_what_is_new_is_learned_of(setting_of: Callable[..., Setting]) -> None:
    setting = setting_of("cold_start")
    new = setting.scenario.file.new_actions
    assert new is not None
    block = Block(setting, seed=0, block=0, customers=150, days=days_for(setting.scenario))
    found = live_pairs(block, RandomPolicy(setting.core.actions, setting.core.columns, hold=0.9))
    tried = {setting.core.actions.ids[a] for a in found.action}
    assert set(new.actions) <= tried


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
