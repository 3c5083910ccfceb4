"""The contract checker accepts every policy of ours and names what is wrong with another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.errors import ContractError
from policies.exploration.explorers import Explorer
from policies.learning.baselines import BusinessRules, FixedPolicy, RandomPolicy
from policies.policy_check import check_policy
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

ACTIONS = ActionSet.of("hold", "mail", "call")
COLUMNS = ("recency", "spend")
WEIGHTS = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)


@dataclass
class Mine:
    """A policy that keeps the contract; tests break one promise each."""

    name: Any = "mine"
    actions: Any = ACTIONS
    columns: Any = COLUMNS
    reward_name: Any = "reward"

    def scores(self, features: np.ndarray) -> Any:
        return features @ WEIGHTS

    def distribution(self, scores: np.ndarray, eligible: np.ndarray) -> Any:
        p = np.exp(scores - scores.max(axis=1, keepdims=True)) * eligible
        return p.astype(np.float64) / p.astype(np.float64).sum(axis=1, keepdims=True)


def vw(kind: Any) -> VWPolicy:
    return VWPolicy(VWSettings(space=FeatureSpace.of_customer(COLUMNS), explorer=Explorer(kind=kind)), ACTIONS)


RULES = BusinessRules(
    ACTIONS, ("a", "b", "c"), (0, 1, 2), np.zeros((3, 2), np.float32), np.arange(81, dtype=np.float32).reshape(27, 3)
)


@pytest.mark.parametrize(
    "policy",
    [
        Mine(), RandomPolicy(ACTIONS, COLUMNS, hold=0.4), FixedPolicy(ACTIONS, COLUMNS, "call"), RULES,
        vw("squarecb"), vw("epsilon_greedy"), vw("softmax"), vw("greedy"),
    ],
    ids=lambda policy: policy.name,
)  # fmt: skip
def test_policies_that_keep_the_contract_are_accepted(policy: Any) -> None:
    check_policy(policy)


@dataclass
class RootsOrHold(Mine):
    """Relies on what the decision core promises: features are not negative, and `hold` is always eligible."""

    def scores(self, features: np.ndarray) -> Any:
        return np.sqrt(features) @ WEIGHTS + np.sqrt(3 - features) @ WEIGHTS

    def distribution(self, scores: np.ndarray, eligible: np.ndarray) -> Any:
        best = np.where(eligible[:, 1] & (scores[:, 1] > scores[:, 0]), 1, 0)
        return np.eye(3)[best]


def test_what_the_decision_core_promises_may_be_relied_upon() -> None:
    check_policy(RootsOrHold())


def test_without_hold_no_action_may_be_relied_upon() -> None:
    with pytest.raises(ContractError, match="not eligible; it must be exactly 0"):
        check_policy(RootsOrHold(actions=ActionSet.of("call", "mail", "letter")))


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("name", "", "`name` is empty"),
        ("name", 3, "`name` is int 3; expected a short text"),
        ("actions", ("hold",), "`actions` is tuple"),
        ("columns", ["recency"], r"`columns` is list \['recency'\]"),
        ("columns", ("recency", 2), "must hold texts only"),
        ("reward_name", None, "`reward_name` is NoneType"),
    ],
)
def test_names_are_checked(attribute: str, value: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_policy(Mine(**{attribute: value}))


def broken_scores(how: str) -> Mine:
    class Broken(Mine):
        calls = 0

        def scores(self, features: np.ndarray) -> Any:
            right = super().scores(features)
            Broken.calls += 1
            if how == "no attribute":
                return self.weights
            if how == "changed input":
                features[:] = 0
            return {
                "list": right.tolist(),
                "transposed": right.T,
                "double": right.astype(np.float64),
                "endless": right / np.zeros((), np.float32),
                "random": right + np.float32(Broken.calls),
                "batch": right - right.mean(axis=0),
                "position": right + np.arange(len(right), dtype=np.float32)[:, None],
            }.get(how, right)

    return Broken()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("list", "returned list .* expected a NumPy array"),
        ("transposed", r"returned shape \(3, 64\); expected \(64, 3\)"),
        ("double", "returned dtype float64; expected float32: add"),
        ("endless", "a value is not finite"),
        ("random", "asked twice gives different answers"),
        ("batch", "must not depend on the other rows"),
        ("position", "in another order"),
        ("changed input", "changed what was passed in"),
        ("no attribute", "raised AttributeError"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_scores_are_checked(how: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_policy(broken_scores(how))


def broken_distribution(how: str) -> Mine:
    class Broken(Mine):
        def distribution(self, scores: np.ndarray, eligible: np.ndarray) -> Any:
            right = super().distribution(scores, eligible)
            last = np.eye(3)[np.full(len(right), 2)]
            return {
                "single": right.astype(np.float32),
                "half": right / 2,
                "negative": np.where(eligible.all(axis=1, keepdims=True), [[1.5, -0.5, 0.0]], right),
                "not eligible": last,
                "batch": (right + right.mean(axis=0) * eligible)
                / (right + right.mean(axis=0) * eligible).sum(axis=1, keepdims=True),
            }[how]

    return Broken()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("single", "returned dtype float32; expected float64"),
        ("half", "a row must sum to 1, not to"),
        ("negative", "a probability is below 0"),
        ("not eligible", "not eligible; it must be exactly 0"),
        ("batch", "must not depend on the other rows"),
    ],
)
def test_distributions_are_checked(how: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_policy(broken_distribution(how))
