"""What is learned from pairs of lives whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies.policy import Policy
from policies.vw.policy import VWPolicy
from simulator.errors import RunError
from simulator.rollout.counterfactual_pairs import CounterfactualPairs
from simulator.rollout.rollout import Setting
from simulator.training.learning import GATHERING, GREEDY, SERVED, Learner, LearningSettings

SETTINGS = LearningSettings(rates=(0.1,))
NAMES = {"fixed", "business_rules", "click_greedy", "myopic", "journey"}


def made_up(setting: Setting, *, n: int = 500, seed: int = 0) -> CounterfactualPairs:
    """E-mails earn soon and cost later, associates the other way round; e-mails are never clicked."""
    core = setting.core
    random = np.random.default_rng(seed)
    action = random.integers(1, len(core.actions), n)
    by_email = np.array([name.startswith("email") for name in core.actions.ids])[action]
    return CounterfactualPairs(
        features=random.uniform(0, 2, (n, len(core.columns))).astype(np.float32),
        eligible=np.ones((n, len(core.actions)), dtype=bool),
        action=action,
        soon=np.where(by_email, 1.0, -1.0) + 0.1 * random.normal(size=n),
        later=np.where(by_email, -3.0, 3.0) + 0.1 * random.normal(size=n),
        clicks=np.where(by_email, 0.0, 1.0),
    )


def learned(setting: Setting, *batches: CounterfactualPairs, **changes: bool | float) -> Learner:
    learner = Learner(setting.core.actions, setting.core.columns, replace(SETTINGS, **changes))  # type: ignore[arg-type]
    for batch in batches:
        learner.learn(batch)
    return learner


def scores(policy: Policy) -> np.ndarray:
    features = np.random.default_rng(7).uniform(0, 2, (40, len(policy.columns)))
    return policy.scores(features.astype(np.float32))


@pytest.fixture(scope="module")
def whole(baseline: Setting) -> Learner:
    return learned(baseline, made_up(baseline))


def test_all_policies_are_there_and_silence_is_worth_nothing(whole: Learner) -> None:
    policies = whole.policies()
    assert set(policies) == NAMES
    assert set(whole.loss) == {"journey", "myopic", "click_greedy"}
    for name in whole.loss:
        assert (scores(policies[name])[:, 0] == 0).all()


def test_the_future_and_clicks_are_told_apart_from_money_soon(baseline: Setting, whole: Learner) -> None:
    by_email, by_store = (
        np.array([name.startswith(channel) for name in baseline.core.actions.ids]) for channel in ("email", "store")
    )
    gap = {
        name: scores(policy)[:, by_email].mean() - scores(policy)[:, by_store].mean()
        for name, policy in whole.policies().items()
    }
    assert gap["myopic"] > 0 > gap["journey"]
    assert gap["click_greedy"] < 0
    assert whole.policies()["click_greedy"].reward_name != whole.policies()["journey"].reward_name


def test_without_the_critic_journey_is_myopic(baseline: Setting) -> None:
    blind = learned(baseline, made_up(baseline), critic=False)
    policies = blind.policies()
    np.testing.assert_array_equal(scores(policies["journey"]), scores(policies["myopic"]))
    assert (scores(policies["click_greedy"]) != scores(policies["myopic"])).any()
    assert not blind.critic.base.any()
    assert not blind.critic.slopes.any()


def test_caution_keeps_from_contacting_for_luck(baseline: Setting) -> None:
    """Contacts that do nothing but noise: few pairs find some that seem to pay."""
    random, n = np.random.default_rng(3), 2_000
    luck = replace(made_up(baseline, n=n), soon=random.normal(size=n), later=random.normal(size=n))
    paying = {
        caution: (scores(learned(baseline, luck, caution=caution).policies()["journey"]) > 0).mean()
        for caution in (0.0, 2.0)
    }
    assert paying[0.0] > 0.4
    assert paying[2.0] < 0.1


def test_caution_also_doubts_what_contacts_do_later(baseline: Setting) -> None:
    """Contacts that do nothing soon and nothing but noise later: the future is no more certain than the present."""
    random, n = np.random.default_rng(4), 2_000
    luck = replace(made_up(baseline, n=n), soon=np.zeros(n), later=10 * random.normal(size=n))
    journeys = {caution: learned(baseline, luck, caution=caution).policies()["journey"] for caution in (0.0, 3.0)}
    paying = {caution: (scores(journey)[:, 1:] > 0).mean() for caution, journey in journeys.items()}
    assert paying[0.0] > 0.3
    assert paying[3.0] < 0.05


def test_negative_caution_is_refused() -> None:
    with pytest.raises(RunError, match=r"caution = -1\.0: must be 0 or more"):
        LearningSettings(caution=-1.0)


def test_a_second_batch_is_learned_on_top_of_the_first(baseline: Setting, whole: Learner) -> None:
    both = learned(baseline, made_up(baseline), made_up(baseline, n=100, seed=1))
    second = learned(baseline, made_up(baseline, n=100, seed=1))
    for learner in (whole, second):
        assert (scores(both.policies()["journey"]) != scores(learner.policies()["journey"])).any()
    # The fixed baselines are fitted once.
    for name in ("fixed", "business_rules"):
        np.testing.assert_array_equal(scores(both.policies()[name]), scores(whole.policies()[name]))


def test_without_pairs_nothing_is_looked_up(baseline: Setting, whole: Learner) -> None:
    without = learned(baseline, made_up(baseline), pairs=False)
    assert any(whole.actions.pairs)
    for policy in without.policies().values():
        assert not any(policy.actions.pairs)
        assert policy.actions.ids == baseline.core.actions.ids


def explorers(policies: list[Policy]) -> list[object]:
    return [policy.settings.explorer for policy in policies if isinstance(policy, VWPolicy)]


def test_only_journey_explores_as_served_and_all_do_while_gathering(whole: Learner) -> None:
    policies = whole.policies()
    assert explorers([policies[name] for name in ("journey", "myopic", "click_greedy")]) == [SERVED, GREEDY, GREEDY]
    assert explorers(list(whole.gathering())) == [GATHERING] * 3


def test_without_exploration_everything_is_greedy(baseline: Setting) -> None:
    without = learned(baseline, made_up(baseline, n=100), explore=False)
    policies = without.policies()
    assert explorers([policies[name] for name in ("journey", "myopic", "click_greedy")]) == [GREEDY] * 3
    assert explorers(list(without.gathering())) == [GREEDY] * 3
    found = scores(policies["journey"])
    served = policies["journey"].distribution(found, np.ones(found.shape, dtype=bool))
    assert set(np.unique(served)) == {0.0, 1.0}
