"""What is learned from twin lives: the journey policy, and the baselines that learn or are fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from policies.actions import ActionSet
from policies.arrays import Float64Array
from policies.exploration.explorers import Explorer
from policies.feedback import MONEY, LoggedFeedback
from policies.learning.baselines import BusinessRules, FixedPolicy, best_fixed
from policies.learning.critic import Critic, inverse_variance
from policies.learning.learning_rate_search import LearningRateSearch
from policies.learning.uplift import UpliftModel
from policies.policy import Policy
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings
from simulator.errors import RunError
from simulator.rollout.counterfactual_pairs import CounterfactualPairs

GREEDY = Explorer(kind="greedy")
# While gathering data: mostly silence, since exploration that contacts everybody wears the population out.
GATHERING = Explorer(kind="epsilon_greedy", epsilon=0.15, hold=0.7)
# As served: one decision in a hundred explores, and nearly always by holding, so that data never stops coming in.
SERVED = Explorer(kind="epsilon_greedy", epsilon=0.01, hold=0.95)
CRITIC_MEMORY = 3  # iterations of twins the critic is fitted to; older ones lived under other policies


@dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """How to learn from twins.

    Attributes:
        rates: VW learning rates that compete.
        interactions: VW interactions.
        explorer: exploration of the journey policy as served.
        critic: whether the future counts; without it the journey policy is the myopic one.
        pairs: whether policies see what this customer did with an action's own category and channel.
        explore: whether policies gather data and are served with exploration.
        caution: standard errors taken off an effect before it is learned, so that contacts are made for what is
            known of them and not for the luck of few pairs (pessimism; Jin, Yang & Wang 2021, "Is pessimism provably
            efficient for offline RL?").

    Raises:
        RunError: `caution` is negative.
    """

    rates: tuple[float, ...] = (0.005, 0.02, 0.1, 0.5)
    interactions: tuple[str, ...] = ("PA",)
    explorer: Explorer = SERVED
    critic: bool = True
    pairs: bool = True
    explore: bool = True
    caution: float = 1.0

    def __post_init__(self) -> None:
        if not self.caution >= 0:
            raise RunError(f"caution = {self.caution}: must be 0 or more standard errors")


class Learner:
    """Learns from one batch of twins after the other, each of one pair or more.

    `start` is a policy the journey policy begins with.

    Attributes:
        critic: fitted to the latest batches.
        loss: progressive mean squared loss on the last batch, in squared money (clicks), of each learner's best rate.
    """

    def __init__(
        self,
        actions: ActionSet,
        columns: tuple[str, ...],
        settings: LearningSettings,
        *,
        start: VWPolicy | None = None,
    ) -> None:
        if not settings.pairs:
            actions = replace(actions, pairs=tuple(() for _ in actions.ids))
        self.actions, self.columns, self.settings = actions, columns, settings
        self.critic = Critic.none(actions, columns)
        self.loss: dict[str, float] = {}
        self._recent: list[CounterfactualPairs] = []
        self._soon = UpliftModel(actions, columns)
        self._clicks = UpliftModel(actions, columns)
        self._fitted: dict[str, Policy] = {}
        self._ladders = {
            "journey": self._ladder(MONEY, start=start),
            "myopic": self._ladder(MONEY),
            "click_greedy": self._ladder("click"),
        }

    def learn(self, twins: CounterfactualPairs) -> None:
        """Learn from a batch; the first one also fits the baselines that do not learn."""
        if not self._recent:
            self._fitted = self._fit(twins)
        self._recent = [*self._recent, twins][-CRITIC_MEMORY:]
        self._soon.add(
            twins.features, twins.action, twins.soon, inverse_variance(self.columns, twins.features, twins.soon)
        )
        self._clicks.add(twins.features, twins.action, twins.clicks, np.ones(len(twins)))
        if self.settings.critic:
            self._refit_critic()
        pairs, caution = (twins.features, twins.action), self.settings.caution
        soon, unsure = self._soon.effect(*pairs), self._soon.deviation(*pairs)
        both = np.hypot(unsure, self.critic.deviation(*pairs))
        targets = {
            "journey": soon + self.critic.later(*pairs) - caution * both,
            "myopic": soon - caution * unsure,
            "click_greedy": self._clicks.effect(twins.features, twins.action),
        }
        for name, ladder in self._ladders.items():
            before = ladder.loss.copy()
            ladder.learn_rows(
                twins.features,
                eligible=twins.eligible.sum(axis=1),
                action=twins.action,
                propensity=np.ones(len(twins)),
                reward=targets[name],
            )
            self.loss[name] = float((ladder.loss - before).min()) / len(twins)

    def policies(self) -> dict[str, Policy]:
        """Every policy learned or fitted, as it would be served."""
        learned = {name: ladder.best.with_explorer(GREEDY) for name, ladder in self._ladders.items()}
        if self.settings.explore:
            learned["journey"] = learned["journey"].with_explorer(self.settings.explorer)
        return {**self._fitted, "click_greedy": learned["click_greedy"], "myopic": learned["myopic"],
                "journey": learned["journey"]}  # fmt: skip

    def gathering(self) -> list[VWPolicy]:
        """The policies to gather the next data with: journey twice, and myopic, which tires more."""
        explorer = GATHERING if self.settings.explore else GREEDY
        journey, myopic = (self._ladders[name].best.with_explorer(explorer) for name in ("journey", "myopic"))
        return [journey, journey, myopic]

    def _refit_critic(self) -> None:
        recent = CounterfactualPairs.concat(self._recent)
        self.critic = Critic.fit(
            self.actions,
            self.columns,
            features=recent.features,
            action=recent.action,
            later=recent.later,
            weight=inverse_variance(self.columns, recent.features, recent.later),
        )

    def _ladder(self, reward_name: str, *, start: VWPolicy | None = None) -> LearningRateSearch:
        # Without the constant, hold scores exactly zero: every other score is what a contact adds.
        space = FeatureSpace.of_customer(self.columns, interactions=self.settings.interactions, constant=False)
        settings = VWSettings(space=space, explorer=GREEDY, reward_name=reward_name, importance="none")
        return LearningRateSearch(settings, self.actions, rates=self.settings.rates, start=start)

    def _fit(self, twins: CounterfactualPairs) -> dict[str, Policy]:
        """The best fixed action and the rules per RFM segment, fitted to what contacts of the first data added soon."""
        log = _feedback(twins, self.actions, self.columns).net()
        rules: BusinessRules = BusinessRules.fit(log)
        fixed: FixedPolicy = best_fixed(log)
        return {"fixed": fixed, "business_rules": rules}


def _feedback(twins: CounterfactualPairs, actions: ActionSet, columns: tuple[str, ...]) -> LoggedFeedback:
    """Pairs as feedback: each is a contact and a silence; the first data tries every eligible contact alike."""
    n = len(twins)
    silent: Float64Array = np.zeros(n)
    propensity = 0.5 / np.maximum(twins.eligible.sum(axis=1) - 1, 1)
    contact = LoggedFeedback(
        columns=columns,
        features=twins.features,
        actions=actions,
        eligible=twins.eligible,
        action=twins.action,
        propensity=propensity,
        reward=twins.soon,
        customer=np.array([f"twin-{i}" for i in range(n)], dtype=object),
        reward_name=MONEY,
        source="twin lives",
    )
    hold = replace(contact, action=np.zeros(n, dtype=np.int64), propensity=np.full(n, 0.5), reward=silent)
    return LoggedFeedback.concat([contact, hold])
