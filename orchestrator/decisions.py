"""The decision core: profiles, eligibility, scores, prices, distribution, draw, for n customers at once.

The API, batches and the simulator all decide here; there is no other implementation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.config import Retailer
from orchestrator.eligibility import EligibilityRules, Reason, ReasonArray
from orchestrator.profiles import ContextSchema, ProfileSchema, features
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray, UInt64Array
from policies.draws import draw, uniforms
from policies.errors import FeatureError
from policies.policy import Policy, priced
from policies.vw_policy import VWPolicy

DRAW_STREAM = "action"


@dataclass(frozen=True)
class Decisions:
    """n decisions, with everything needed to repeat and explain them.

    Attributes:
        action: int64 (n,), index of the chosen action.
        propensity: float64 (n,), probability with which it was chosen.
        eligible: bool (n, A).
        reasons: uint8 (n, A), `Reason` codes.
        scores: float32 (n, A), expected reward less the action's cost, as explored.
        distribution: float64 (n, A).
        features: float32 (n, F), as the policy saw them and more: every column of the core.
    """

    action: IntArray
    propensity: Float64Array
    eligible: BoolArray
    reasons: ReasonArray
    scores: Float32Array
    distribution: Float64Array
    features: Float32Array


class DecisionCore:
    """Decides for one retailer.

    Attributes:
        columns: names of the F feature columns, customer state first, then context.
        actions: the catalogue as policies see it.
        reasons: name of each reason code; empty for eligible.
    """

    reasons: tuple[str, ...] = ("", *(reason.name.lower() for reason in Reason if reason))

    def __init__(self, retailer: Retailer, schema: ProfileSchema) -> None:
        self.schema = schema
        self.context = ContextSchema.from_retailer(retailer)
        self.columns = schema.columns + self.context.columns
        self.actions = retailer.catalogue.action_set(schema)
        self._rules = EligibilityRules(retailer, schema)

    def bind(self, policy: VWPolicy) -> VWPolicy:
        """The policy over this catalogue: actions it was not trained on borrow from their relatives.

        Raises:
            FeatureError: the policy expects columns this retailer's configuration does not have.
            PolicyFormatError: compiled scores of the bound policy differ from Vowpal Wabbit's.
        """
        self.check(policy)
        if policy.actions == self.actions:
            return policy
        bound = policy.with_actions(self.actions)
        bound.check_parity()
        return bound

    def check(self, policy: Policy) -> None:
        """Check that a policy's columns are known here.

        Raises:
            FeatureError: it expects others.
        """
        if unknown := [c for c in policy.columns if c not in self.columns]:
            raise FeatureError(
                f"policy {policy.name!r} expects {len(unknown)} columns this configuration does not have "
                f"({', '.join(unknown[:5])}); serve it with the configuration it was trained with"
            )

    def decide(
        self,
        policy: Policy,
        *,
        states: Float64Array,
        contexts: Sequence[Mapping[str, Any]],
        channels: Sequence[Sequence[str]],
        decision_ids: Sequence[str],
        now: float,
    ) -> Decisions:
        """Decide for n customers.

        Args:
            policy: over this core's actions (see `bind`).
            states: customer states, float64 (n, S).
            contexts: per request, as `ContextSchema.encode` takes it.
            channels: per request, the channels allowed; none for all.
            decision_ids: 32 hexadecimal digits each, hyphens allowed; the draw is keyed by them.
            now: seconds since 1970 UTC.

        Raises:
            ContextError: an unknown context value or channel.
        """
        columns = np.hstack([features(self.schema, states, now), self.context.encode(contexts)])
        reasons = self._rules.reasons(states, channels=channels, now=now)
        eligible = reasons == Reason.ELIGIBLE
        scores = priced(policy, policy.scores(self._select(policy, columns)))
        distribution = policy.distribution(scores, eligible)
        action = draw(distribution, uniforms(id_words(decision_ids), stream=DRAW_STREAM))
        return Decisions(
            action=action,
            propensity=distribution[np.arange(len(action)), action],
            eligible=eligible,
            reasons=reasons,
            scores=scores,
            distribution=distribution,
            features=columns,
        )

    def _select(self, policy: Policy, columns: Float32Array) -> Float32Array:
        if policy.columns == self.columns:
            return columns
        position = {name: i for i, name in enumerate(self.columns)}
        return columns[:, [position[name] for name in policy.columns]]


def id_words(decision_ids: Sequence[str]) -> UInt64Array:
    """128-bit ids as (high, low) words; uint64 (n, 2)."""
    digits = "".join(decision_ids).replace("-", "")
    return np.frombuffer(bytes.fromhex(digits), dtype=">u8").reshape(-1, 2).astype(np.uint64)
