"""Who decides while the data of a training is gathered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from policies.learning.baselines import RandomPolicy
from policies.vw.policy import VWPolicy
from simulator.rollout.counterfactual_pairs import CounterfactualPairs
from simulator.training.learning import GATHERING, LearningSettings
from simulator.training.plan import TrainingPlan
from simulator.training.training import Iteration, train

if TYPE_CHECKING:
    from policies.policy import Policy
    from simulator.rollout.rollout import Block, Setting

PLAN = TrainingPlan(
    iterations=2, customers=40, days=80, block_size=10, evaluation_customers=2, evaluation_days=1,
    learning=LearningSettings(rates=(0.1,)),
)  # fmt: skip


@pytest.fixture(scope="module")
def gathered(
    baseline: Setting, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[int, Policy]], list[Iteration]]:
    """Who lived in which block, per iteration, of a training whose pairs of lives are made up; and its iterations."""
    core, deciding, iterations = baseline.core, {}, []

    def made_up(block: Block, policy: Policy) -> CounterfactualPairs:
        deciding[block.seed, block.index] = policy
        random, n = np.random.default_rng([block.seed, block.index]), 100
        return CounterfactualPairs(
            features=random.uniform(0, 2, (n, len(core.columns))).astype(np.float32),
            eligible=np.ones((n, len(core.actions)), dtype=bool),
            action=random.integers(1, len(core.actions), n),
            soon=random.normal(size=n) + 1,
            later=-5 * random.uniform(size=n),
            clicks=random.uniform(size=n),
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simulator.training.training.live_pairs", made_up)
        folder = tmp_path_factory.mktemp("gathering")
        train(baseline.scenario, PLAN, folder=folder, workers=1, on_iteration=iterations.append)
    units = [PLAN.units(index) for index in range(PLAN.iterations)]
    assert sum(len(blocks) for blocks in units) == len(deciding)
    return [{unit.block: deciding[unit.seed, unit.block] for unit in blocks} for blocks in units], iterations


def test_the_first_data_is_gathered_at_random_and_mostly_in_silence(
    gathered: tuple[list[dict[int, Policy]], list[Iteration]],
) -> None:
    (first, later), _ = gathered
    assert len(first) == 4
    assert all(isinstance(policy, RandomPolicy) for policy in first.values())
    eligible = np.ones((1, len(first[0].actions)), dtype=bool)

    def silence(policy: Policy) -> float:
        return float(policy.distribution(np.zeros(eligible.shape), eligible)[0, 0])

    assert all(silence(policy) > 0.85 for policy in first.values())
    assert silence(later[0]) < 0.5


def test_later_data_is_gathered_by_what_was_learned_beside_one_block_in_four_at_random(
    gathered: tuple[list[dict[int, Policy]], list[Iteration]], scores_of: Callable[[Policy], np.ndarray]
) -> None:
    """Journey twice and myopic once, as they were after the iteration before, exploring more than as served."""
    (_, later), iterations = gathered
    assert sorted(later) == [0, 1, 2, 3]
    assert [isinstance(later[block], RandomPolicy) for block in range(4)] == [True, False, False, False]
    names = {}
    for block in (1, 2, 3):
        policy = later[block]
        assert isinstance(policy, VWPolicy)
        assert policy.settings.explorer == GATHERING
        learned = iterations[0].policies
        names[block] = [name for name in learned if np.array_equal(scores_of(policy), scores_of(learned[name]))]
    assert names == {1: ["journey"], 2: ["journey"], 3: ["myopic"]}


@pytest.fixture(scope="module")
def scores_of() -> Callable[[Policy], np.ndarray]:
    """Of customers nobody has seen."""

    def scores(policy: Policy) -> np.ndarray:
        features = np.random.default_rng(7).uniform(0, 2, (40, len(policy.columns)))
        return policy.scores(features.astype(np.float32))

    return scores
