"""What a policy is: scores in, distribution out, both columnar."""

from __future__ import annotations

from typing import Protocol

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from policies.feedback import MONEY


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
