"""What a training may learn from, and what it is judged on."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import RunError
from simulator.training_plan import TrainingPlan
from simulator.twins import WHOLE


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


def test_customers_learned_from_are_always_new_and_never_those_held_out() -> None:
    plans = [TrainingPlan(seed=seed) for seed in range(20)]
    learned = [plan.units(iteration)[0].seed for plan in plans for iteration in range(20)]
    held_out = [plan.evaluation_seed for plan in plans]
    given_by_users = range(2**32)
    assert len(set(learned)) == len(learned)
    assert not set(learned) & set(held_out)
    assert not any(seed in given_by_users for seed in [*learned, *held_out])
