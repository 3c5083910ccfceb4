"""What a version's card says of how it explores."""

from __future__ import annotations

import pytest

from policies.actions import ActionSet
from policies.exploration.explorers import Explorer
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings
from simulator.reports.training_card import learning_facts
from simulator.training.plan import TrainingPlan


@pytest.mark.parametrize(
    ("explorer", "said"),
    [
        (Explorer(kind="epsilon_greedy", epsilon=0.02, hold=0.5), "epsilon_greedy, epsilon 0.02, of which 50% hold"),
        (Explorer(kind="softmax", temperature=0.2, hold=0.5), "softmax, temperature 0.2, of which 50% hold"),
        (
            Explorer(kind="softmax", temperature=0.2, epsilon=0.1),
            "softmax, temperature 0.2, epsilon 0.1, of which 0% hold",
        ),
        (Explorer(kind="squarecb", gamma_scale=7, hold=0.25), "squarecb, gamma 7 * t^0.5, of which 25% hold"),
        (Explorer(kind="greedy"), "greedy"),
        (Explorer(kind="greedy", epsilon=0.1), "greedy, epsilon 0.1, of which 0% hold"),
    ],
)
def test_an_explorer_is_told_by_its_kind_and_the_numbers_that_count_for_it(explorer: Explorer, said: str) -> None:
    settings = VWSettings(space=FeatureSpace.of_customer(("x",)), explorer=explorer)
    policy = VWPolicy(settings, ActionSet.of("hold", "a"))
    assert learning_facts(policy, TrainingPlan())["exploration"] == said
