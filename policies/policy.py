"""What a policy is: scores in, distribution out, both columnar."""

from __future__ import annotations

from typing import Protocol

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray


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


def choose_probabilities(policy: Policy, features: Float32Array, eligible: BoolArray) -> Float64Array:
    """The policy's own distribution, (n, A), with no price in between: what off-policy evaluation asks for."""
    return policy.distribution(policy.scores(features), eligible)
