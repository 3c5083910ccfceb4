"""A block of customers as an agent from outside meets it: an observation, an action each, what it earned.

A step is one outbound decision about every customer, all on the same day, `outbound_every_days` apart. What the site
and the store ask for in between is decided by an inner policy, so that all customers stay in step and a step is
columnar whatever their number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from policies.learning.baselines import FixedPolicy
from policies.policy import Policy
from simulator.errors import SimulatorError
from simulator.rollout.rollout import Block, Setting
from simulator.rollout.trajectory import OUTBOUND, DecisionPoint, advance
from simulator.world.day import MORNING


class Step(NamedTuple):
    """What n actions led to.

    Attributes:
        reward: float64 (n,), money kept until the next decision, contact costs subtracted.
        refused: bool (n,), the action was not eligible, and `hold` was taken in its place.
    """

    reward: Float64Array
    refused: BoolArray


class Episode:
    """One horizon of n customers, driven by whoever calls `step`.

    Everything about customers is drawn per block: the same seed with another number of customers is another
    population, and customers of a block share their stores' associates.

    Attributes:
        day: of the decision that is due; the number of days once the horizon is over.
        features: float32 (n, F), as the decision core sees them at that moment.
        eligible: bool (n, A).
        over: the horizon has ended; no decision is due.
    """

    def __init__(
        self, setting: Setting, *, seed: int, customers: int, days: int, inner: Policy | None = None, block: int = 0
    ) -> None:
        core = setting.core
        lived = Block(setting, seed=seed, block=block, customers=customers, days=days)
        self._setting, self._streams = setting, lived.scene.streams
        self._silent = FixedPolicy(core.actions, core.columns, core.actions.ids[0])
        self._inner = inner or self._silent
        self._everybody = np.arange(customers)
        self._life = lived.life()
        every = setting.scenario.file.outbound_every_days
        self._moments = self._life.moments(every=every, turn=np.zeros(customers, dtype=np.int64))
        self.over = False
        self._look(next(self._moments))

    def step(self, action: IntArray) -> Step:
        """Act on every customer and live on to the next decision.

        Args:
            action: int64 (n,), an index into the core's actions each.

        Raises:
            SimulatorError: the horizon is over.
        """
        if self.over:
            raise SimulatorError("the horizon is over; start another episode")
        refused = ~self.eligible[self._everybody, action]
        start = self.day
        moment = advance(self._moments, np.where(refused, 0, action))
        while moment and not (moment.slot == OUTBOUND and len(moment.rows)):
            made = self._setting.decide(self._inner, moment, life=self._life, streams=self._streams)
            moment = advance(self._moments, made.action)
        self.over = moment is None
        self._look(moment or DecisionPoint(OUTBOUND, self._life.days, MORNING, self._everybody))
        return Step(self._life.tally.margin[:, start : self.day].sum(axis=1, dtype=np.float64), refused)

    def _look(self, moment: DecisionPoint) -> None:
        """Ask the core what it would see and allow; the inner policy is not asked, for it does not decide here."""
        seen = self._setting.decide(self._silent, moment, life=self._life, streams=self._streams)
        self.day = moment.day
        self.features: Float32Array = seen.features
        self.eligible: BoolArray = seen.eligible
