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

from orchestrator.decisions import Decisions
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from policies.policy import Policy
from simulator.life import OUTBOUND, Life, Moment
from simulator.rollout import Block
from simulator.streams import Streams

BRANCH_EVERY = 10  # days from one branching to the next
SOON = 7  # days in which a contact's own answers come
LATER = 75  # days after which no difference is waited for
CHANGED_WITHIN = 2  # days in which each customer's one changed decision comes up
OUTBOUND_SHARE = 0.6  # of changes; the others are on the site or in the store
BEST_SHARE = 0.5  # of contacts tried that are the policy's own best; the others are drawn uniformly


@dataclass(frozen=True)
class Twins:
    """m pairs of lives, told apart by one contact.

    Attributes:
        features: float32 (m, F), before the contact.
        eligible: bool (m, A).
        action: int64 (m,), the contact; never hold.
        soon: float64 (m,), money it added within `SOON` days, before its own cost.
        later: float64 (m,), money it added from then to `LATER` days.
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
    def concat(cls, parts: list[Twins]) -> Twins:
        """All pairs, in that order."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


def live_twins(block: Block, policy: Policy) -> Twins:
    """Let a block live under a policy, and branch off twins every `BRANCH_EVERY` days.

    Args:
        block: with a horizon longer than `LATER` days.
        policy: decides in both lives, but for the one change.
    """
    main = _Driven(block, policy)
    branches: list[_Driven] = []
    for day in range(block.days):
        if day % BRANCH_EVERY == 0 and day + LATER <= block.days:
            branches.append(main.branch())
        main.live_day()
    pairs = []
    for branch in branches:
        branch.change = _Change(block, day=branch.day)
        while branch.day < branch.change.day + LATER:
            branch.live_day()
        pairs += branch.change.pairs(main.life, branch.life)
    return Twins.concat(pairs)


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
            made = setting.decide(self.policy, moment, states=self.life.states, streams=streams)
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
        self._outbound = self._streams.uniforms("twin slot", day, n) < OUTBOUND_SHARE
        self._changed = np.zeros(n, dtype=bool)
        self._parts: list[tuple[IntArray, IntArray, IntArray, Decisions, IntArray]] = []

    def apply(self, made: Decisions, moment: Moment) -> IntArray:
        """The actions of a moment, changed for customers whose turn it is."""
        action, rows = made.action.copy(), moment.rows
        if moment.day >= self.day + CHANGED_WITHIN:
            return action
        due = ~self._changed[rows] & (self._outbound[rows] == (moment.slot == OUTBOUND))
        contacts = made.eligible.copy()
        contacts[:, 0] = False
        chosen = np.flatnonzero(due & contacts.any(axis=1))
        if not len(chosen):
            return action
        contacts = contacts[chosen]
        random = self._streams.generator(f"twin action {moment.slot}", moment.day)
        drawn = np.argmax(random.random(contacts.shape) * contacts, axis=1)
        best = np.argmax(np.where(contacts, made.scores[chosen], -np.inf), axis=1)
        tried = np.where(random.random(len(chosen)) < BEST_SHARE, best, drawn)
        held = action[chosen] == 0
        contact = np.where(held, tried, action[chosen])
        action[chosen] = np.where(held, tried, 0)
        self._changed[rows[chosen]] = True
        self._parts.append((chosen, rows[chosen], np.where(held, 1, -1), made, contact))
        return action

    def pairs(self, main: Life, twin: Life) -> list[Twins]:
        """What the changes led to, once both lives are lived."""
        days = slice(self.day, self.day + LATER)
        money = twin.tally.margin[:, days].astype(np.float64) - main.tally.margin[:, days]
        clicks = twin.tally.clicks[:, days].astype(np.float64) - main.tally.clicks[:, days]
        found = []
        for chosen, rows, sign, made, contact in self._parts:
            soon = sign * money[rows, : SOON + CHANGED_WITHIN].sum(axis=1) + self._cost[contact]
            found.append(
                Twins(
                    features=made.features[chosen],
                    eligible=made.eligible[chosen],
                    action=contact,
                    soon=soon,
                    later=sign * money[rows, SOON + CHANGED_WITHIN :].sum(axis=1),
                    clicks=sign * clicks[rows, : SOON + CHANGED_WITHIN].sum(axis=1),
                )
            )
        return found
