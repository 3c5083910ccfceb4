"""What a policy is: scores in, distribution out, both columnar."""

from __future__ import annotations

from typing import Protocol

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from policies.errors import FeatureError
from policies.feedback import MONEY, LoggedFeedback


class Policy(Protocol):
    """A policy over a fixed action set.

    The decision core asks for `scores`, prices them, and hands them back to `distribution`; so prices
    and levers act on every policy alike.
    """

    @property
    def name(self) -> str:
        """What kind of policy this is, as shown in league tables."""

    @property
    def actions(self) -> ActionSet:
        """The A actions, in the order of every (n, A) array."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The F feature columns expected, in order."""

    @property
    def reward_name(self) -> str:
        """Unit of the scores: `money`, or the outcome the policy was trained on."""

    def scores(self, features: Float32Array) -> Float32Array:
        """Expected reward per action, (n, A), from features (n, F)."""

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        """Probability per action, (n, A): zero where not eligible, rows sum to 1."""


def priced(policy: Policy, scores: Float32Array) -> Float32Array:
    """Scores less what each action costs, where they are money before costs; else as they are. Shape (n, A)."""
    return scores - policy.actions.cost if policy.reward_name == MONEY else scores


def choose_probabilities(policy: Policy, features: Float32Array, eligible: BoolArray) -> Float64Array:
    """The policy's distribution over its actions at their own cost, (n, A): what off-policy evaluation asks for."""
    return policy.distribution(priced(policy, policy.scores(features)), eligible)


def probabilities_on(policy: Policy, log: LoggedFeedback) -> Float64Array:
    """`choose_probabilities` on a log's rows, (n, A), with the policy's columns found by name.

    Raises:
        FeatureError: the log lacks a column of the policy, or is over other actions.
    """
    if policy.actions.ids != log.actions.ids:
        raise FeatureError(
            f"policy {policy.name!r} is over other actions than the log; rebind it with `with_actions(log.actions)`"
        )
    position = {name: i for i, name in enumerate(log.columns)}
    if unknown := [c for c in policy.columns if c not in position]:
        raise FeatureError(
            f"policy {policy.name!r} expects {len(unknown)} columns this log does not have "
            f"({', '.join(unknown[:5])}); judge it on a log imported with the configuration it was trained with"
        )
    same = policy.columns == log.columns
    features = log.features if same else log.features[:, [position[name] for name in policy.columns]]
    return choose_probabilities(policy, features, log.eligible)
