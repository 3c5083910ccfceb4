"""Twin lives: the same customers with the same random numbers, differing in one decision each.

The effect of one contact is small against the noise of what people buy anyway. A simulated customer can live twice:
once as the policy decides, once with one decision changed, a contact made instead of held back or held back instead of
made. Everything else being equal, down to the random numbers, the difference in money is that contact's own doing, soon
and later, through goodwill and fatigue that no feature shows (common random numbers; Glasserman & Yao 1992, "Some
guidelines and guarantees for common random numbers").
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields

import numpy as np

from orchestrator.decision.core import Decisions
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from policies.policy import Policy
from simulator.errors import RunError
from simulator.rollout.rollout import Block
from simulator.rollout.trajectory import OUTBOUND, DecisionPoint, Trajectory
from simulator.world.day import NOBODY
from simulator.world.streams import Streams

BRANCH_EVERY = 10  # days from one branching to the next
SOON = 8  # days in which a contact's own answers come
LATER = 70  # days after which no difference is waited for
CHANGED_WITHIN = 10  # days in which each customer's one changed decision comes up
WHOLE = CHANGED_WITHIN + LATER  # days a twin lives
# Of customers, whose change is an e-mail or a call; the others' is their next visit's, or outbound if none comes.
OUTBOUND_SHARE = 0.5
OUTBOUND_AFTER = 7  # days without a visit
BEST_SHARE = 0.5  # of contacts tried that are the policy's own best; the others are drawn uniformly


@dataclass(frozen=True)
class CounterfactualPairs:
    """m pairs of lives, told apart by one contact.

    Attributes:
        features: float32 (m, F), before the contact.
        eligible: bool (m, A).
        action: int64 (m,), the contact; never hold.
        soon: float64 (m,), money it added within `SOON` days, before its own cost.
        later: float64 (m,), money it added from then to `LATER` days after it.
        clicks: float64 (m,), clicks it added soon.
    """

    features: Float32Array
    eligible: BoolArray
    action: IntArray
    soon: Float64Array
    later: Float64Array
    clicks: Float64Array

    def __len__(self) -> int:
        return len(self.action)

    @classmethod
    def concat(cls, parts: list[CounterfactualPairs]) -> CounterfactualPairs:
        """All pairs, in that order."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


def live_pairs(block: Block, policy: Policy) -> CounterfactualPairs:
    """Let a block live under a policy, and branch off twins every `BRANCH_EVERY` days.

    Args:
        block: with a horizon of `WHOLE` days or more.
        policy: decides in both lives, but for the one change.

    Raises:
        RunError: the horizon is too short, or nobody could be contacted.
    """
    if block.days < WHOLE:
        raise RunError(f"days = {block.days}: a twin lives {WHOLE} days; give at least as many")
    main = _Driven(block, policy)
    branches: list[_Driven] = []
    for day in range(block.days):
        if day % BRANCH_EVERY == 0 and day + WHOLE <= block.days:
            branches.append(main.branch())
        main.live_day()
    pairs = []
    for branch in branches:
        branch.change = _Change(block, day=branch.day)
        while branch.day < branch.change.day + WHOLE:
            branch.live_day()
        pairs += branch.change.pairs(main.life, branch.life)
    if not pairs:
        raise RunError(f"block {block.index}: no customer was ever eligible for a contact; nothing can be tried")
    return CounterfactualPairs.concat(pairs)


class _Driven:
    """A life driven day by day by a policy, which can be copied at the end of a day."""

    def __init__(self, block: Block, policy: Policy) -> None:
        self.block, self.policy = block, policy
        self.life = block.life()
        self.day = 0
        self.change: _Change | None = None

    def branch(self) -> _Driven:
        """An independent copy of this life as it is."""
        twin = copy.copy(self)
        twin.life = self.life.copy()
        return twin

    def live_day(self) -> None:
        setting, streams = self.block.setting, self.block.scene.streams
        every = setting.scenario.file.outbound_every_days
        day = self.life.day(self.day, every=every, turn=np.arange(len(self.block.scene.people)) % every)
        moment = next(day, None)
        while moment:
            made = setting.decide(self.policy, moment, life=self.life, streams=streams)
            action = self.change.apply(made, moment) if self.change else made.action
            try:
                moment = day.send(action)
            except StopIteration:
                moment = None
        self.day += 1


class _Change:
    """One changed decision per customer, soon after a day."""

    def __init__(self, block: Block, *, day: int) -> None:
        n = len(block.scene.people)
        self.day = day
        self._cost = block.setting.core.actions.cost.astype(np.float64)
        # Numbers of their own: a twin's life must not depend on what is tried.
        self._streams = Streams(block.seed, -1_000_000 - block.index)
        random = self._streams.generator("twin turn", day)
        self._outbound = random.random(n) < OUTBOUND_SHARE
        # Spread over the days, so that tried calls do not take each other's minutes.
        self._outbound_from = day + np.where(self._outbound, random.integers(0, CHANGED_WITHIN, n), OUTBOUND_AFTER)
        self._changed = np.zeros(n, dtype=bool)
        self._parts: list[_Tried] = []

    def apply(self, made: Decisions, moment: DecisionPoint) -> IntArray:
        """The actions of a moment, changed for customers whose turn it is."""
        action, rows = made.action.copy(), moment.rows
        if moment.day >= self.day + CHANGED_WITHIN:
            return action
        outbound = moment.slot == OUTBOUND
        due = ~self._changed[rows] & ((moment.day >= self._outbound_from[rows]) if outbound else ~self._outbound[rows])
        contacts = made.eligible.copy()
        contacts[:, 0] = False
        chosen = np.flatnonzero(due & contacts.any(axis=1))
        if not len(chosen):
            return action
        contacts = contacts[chosen]
        random = self._streams.generator(f"twin action {moment.slot}", moment.day)
        order = random.random(contacts.shape)
        drawn = np.argmax(order * contacts, axis=1)
        scores = np.where(contacts, made.scores[chosen], -np.inf)
        # Of equals any one: a policy without an opinion must not favour the head of the catalogue.
        best = np.argmax(order * (scores == scores.max(axis=1, keepdims=True)), axis=1)
        tried = np.where(random.random(len(chosen)) < BEST_SHARE, best, drawn)
        held = action[chosen] == 0
        contact = np.where(held, tried, action[chosen])
        action[chosen] = np.where(held, tried, 0)
        self._changed[rows[chosen]] = True
        self._parts.append(_Tried(moment, rows[chosen], made.features[chosen], made.eligible[chosen], contact, held))
        return action

    def pairs(self, main: Trajectory, twin: Trajectory) -> list[CounterfactualPairs]:
        """What the changes led to, once both lives are lived."""
        money = twin.tally.margin.astype(np.float64) - main.tally.margin
        clicks = twin.tally.clicks.astype(np.float64) - main.tally.clicks
        found = []
        for tried in self._parts:
            kept, slot = tried.rows, (tried.moment.day, tried.moment.slot)
            # Without an associate's minutes there was no contact, and nothing can be learned of one.
            undone = [life.undone.get(slot, NOBODY) for life in (main, twin)]
            done = ~np.where(tried.added, np.isin(kept, undone[1]), np.isin(kept, undone[0]))
            kept, contact, sign = kept[done], tried.contact[done], np.where(tried.added[done], 1, -1)
            at = tried.moment.day
            soon, later = slice(at, at + SOON), slice(at + SOON, at + LATER)
            found.append(
                CounterfactualPairs(
                    features=tried.features[done],
                    eligible=tried.eligible[done],
                    action=contact,
                    soon=sign * money[kept, soon].sum(axis=1) + self._cost[contact],
                    later=sign * money[kept, later].sum(axis=1),
                    clicks=sign * clicks[kept, soon].sum(axis=1),
                )
            )
        return found


@dataclass(frozen=True)
class _Tried:
    """Changed decisions of one moment: customers `rows` (k,), the contact, and whether it was added or held back."""

    moment: DecisionPoint
    rows: IntArray
    features: Float32Array
    eligible: BoolArray
    contact: IntArray
    added: BoolArray
