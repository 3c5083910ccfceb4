"""The decision core: profiles, eligibility, scores, prices, distribution, draw, for n customers at once.

The API, batches and the simulator all decide here; there is no other implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.config import Retailer
from orchestrator.config.catalogue import ANY
from orchestrator.decision.groups import Experiment, GroupArray
from orchestrator.eligibility import ContactCheck, Targeting
from orchestrator.eligibility.eligible_actions import EligibilityRules, Reason, ReasonArray
from orchestrator.errors import ContextError
from orchestrator.profiles import ContextSchema, ProfileSchema, features
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray, UInt64Array
from policies.errors import FeatureError
from policies.exploration.draws import draw, uniforms
from policies.exploration.slots import Slots, draw_slots
from policies.policy import Policy, priced
from policies.vw.policy import VWPolicy

DRAW_STREAM = "action"
# Customers decided for at once, so that what one step writes is still in the processor's cache at the next.
BLOCK = 1920  # whole blocks of matrix products, and no power of two (see profiles.features)


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
        slots: several results, where they were asked for; `action` and `propensity` are those of the first.
    """

    action: IntArray
    propensity: Float64Array
    eligible: BoolArray
    reasons: ReasonArray
    scores: Float32Array
    distribution: Float64Array
    features: Float32Array
    slots: Slots | None = None


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
        self.actions = retailer.catalogue.action_set(schema.columns)
        self._catalogue = retailer.catalogue.actions
        self._rules = EligibilityRules(retailer, schema)
        self._targeting = Targeting(retailer, schema)
        self._seen: tuple[tuple[str, ...], IntArray] = ((), np.empty(0, dtype=np.int64))

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

    def asked(self, channels: Sequence[Sequence[str]]) -> BoolArray:
        """Which channels each request allows, as `decide` takes it; bool (n, channels).

        Args:
            channels: per request, the names of the channels allowed; none for all.

        Raises:
            ContextError: an unknown channel, with the row and the nearest known name.
        """
        return self._rules.asked(channels)

    def targeted(self, *, features: Float32Array, states: Float64Array, now: float) -> BoolArray:
        """Which conditions of the catalogue hold for n customers; bool (n, E), see `Targeting.holds`."""
        return self._targeting.holds(features=features, states=states, now=now)

    def decide(
        self,
        policy: Policy,
        *,
        states: Float64Array,
        contexts: Float32Array,
        channels: BoolArray,
        ids: UInt64Array,
        now: float,
        rows: IntArray | None = None,
        contacts: ContactCheck | None = None,
        experiment: Experiment | None = None,
        groups: GroupArray | None = None,
        slots: IntArray | None = None,
        same_subject: BoolArray | None = None,
        counted: BoolArray | None = None,
    ) -> Decisions:
        """Decide for n customers.

        Args:
            policy: over this core's actions (see `bind`).
            states: customer states, float64 (n, S).
            contexts: what is known at the request, float32 (n, C), as `context.encode` gives it; zeros where
                nothing is.
            channels: the channels allowed, bool (n, channels), as `asked` gives it.
            ids: decision ids as (high, low) words, uint64 (n, 2), as `id_words` gives them; the draw is keyed by them.
            now: seconds since 1970 UTC.
            rows: int64 (n,), whose states; then `states` may hold other customers too. None for all.
            contacts: the contact rules about these n customers; without it, neither they nor targeting count.
            experiment: what decides for other groups than the policy's.
            groups: `Group` codes, uint8 (n,); none for the policy's group alone.
            slots: results wanted, int64 (n,), each at least 1; none for one.
            same_subject: whether two results may be about the same category, bool (n,); none for nobody's.
            counted: actions that contact rules count, bool (A,): of these, one decision has one at most. None for
                none.

        Raises:
            ContextError: `contacts` is about another number of customers.
        """
        n, actions = len(ids), len(self.actions)
        if contacts is not None and len(contacts) != n:
            raise ContextError(f"contacts is about {len(contacts)} customers, ids has {n}; give one row each")
        decided = Decisions(
            action=np.empty(n, dtype=np.int64),
            propensity=np.empty(n),
            eligible=np.empty((n, actions), dtype=bool),
            reasons=np.empty((n, actions), dtype=np.uint8),
            scores=np.empty((n, actions), dtype=np.float32),
            distribution=np.empty((n, actions)),
            features=np.empty((n, len(self.columns)), dtype=np.float32),
        )
        known, seen = len(self.schema.columns), self._columns_of(policy)
        random = uniforms(ids, stream=DRAW_STREAM)
        for start in range(0, n, BLOCK):
            block = slice(start, start + BLOCK)
            columns, eligible = decided.features[block], decided.eligible[block]
            whose = (states[block], None) if rows is None else (states, rows[block])
            features(self.schema, whose[0], now, rows=whose[1], out=columns[:, :known])
            columns[:, known:] = contexts[block]
            said = None
            if contacts is not None:
                targeted = self._targeting.holds(features=columns, states=whose[0], now=now, rows=whose[1])
                said = contacts.reasons(targeted, start=start)
            consented = np.ones(channels[block].shape, dtype=bool)
            consented[:, self.schema.asks_consent] = columns[:, self.schema.consent_columns] > 0
            reasons = decided.reasons[block]
            reasons[:] = self._rules.reasons(consented=consented, channels=channels[block], now=now, contacts=said)
            np.equal(reasons, Reason.ELIGIBLE, out=eligible)
            scores = priced(policy, policy.scores(columns if seen is None else columns.take(seen, axis=1)))
            distribution = policy.distribution(scores, eligible)
            if experiment is not None and groups is not None:
                experiment.redistribute(distribution, group=groups[block], features=columns, eligible=eligible)
            action = draw(distribution, random[block])
            decided.scores[block], decided.distribution[block], decided.action[block] = scores, distribution, action
            decided.propensity[block] = distribution[np.arange(len(action)), action]
        return decided if slots is None else self._with_slots(decided, ids, slots, same_subject, counted)

    def _with_slots(
        self,
        decided: Decisions,
        ids: UInt64Array,
        slots: IntArray,
        same_subject: BoolArray | None,
        counted: BoolArray | None,
    ) -> Decisions:
        if slots.max(initial=1) == 1:
            return decided
        n, actions = decided.eligible.shape
        drawn = draw_results(
            decided.distribution,
            ids,
            slots=slots,
            same_subject=np.zeros(n, dtype=bool) if same_subject is None else same_subject,
            subjects=[action.subject for action in self._catalogue],
            counted=np.zeros(actions, dtype=bool) if counted is None else counted,
        )
        return replace(decided, slots=drawn)

    def _columns_of(self, policy: Policy) -> IntArray | None:
        """Positions of the policy's columns in ours; none where they are the same."""
        if policy.columns == self.columns:
            return None
        # Read and written once each, so that every thread sees its own pair whole.
        seen = self._seen
        if seen[0] != policy.columns:
            position = {name: i for i, name in enumerate(self.columns)}
            seen = policy.columns, np.array([position[name] for name in policy.columns])
            self._seen = seen
        return seen[1]


def draw_results(
    distribution: Float64Array,
    ids: UInt64Array,
    *,
    slots: IntArray,
    same_subject: BoolArray,
    subjects: Sequence[str],
    counted: BoolArray,
) -> Slots:
    """Draw several results per decision, as `decide` does.

    Args:
        distribution: float64 (n, A).
        ids: uint64 (n, 2).
        slots: results wanted, int64 (n,).
        same_subject: bool (n,), whether two may be about the same category.
        subjects: category of each action, or `any`, of which there may be several.
        counted: bool (A,); of these, one decision has one at most.
    """
    subject = np.array(subjects)
    alone = np.eye(len(subject), dtype=bool) | np.outer(counted, counted)
    different = alone | ((subject[:, None] == subject) & (subject != ANY))
    kinds = np.stack([different, alone])
    which = same_subject.astype(np.int64)
    return draw_slots(distribution, ids, count=slots, excludes=kinds, which=which, stream=DRAW_STREAM)


def id_words(decision_ids: Sequence[str]) -> UInt64Array:
    """128-bit ids as (high, low) words; uint64 (n, 2).

    Args:
        decision_ids: 32 hexadecimal digits each, hyphens allowed.
    """
    digits = "".join(decision_ids).replace("-", "")
    return np.frombuffer(bytes.fromhex(digits), dtype=">u8").reshape(-1, 2).astype(np.uint64)
