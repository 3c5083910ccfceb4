"""A block of customers who live day by day and wait wherever something is to be decided about them.

Whoever decides drives it: a rollout with a policy (`simulator.rollout.rollout`), or an agent from outside
(`simulator.envs`). There is no other way through a day.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.eligibility import ContactCheck
from orchestrator.profiles import ProfileSchema, apply
from policies.arrays import Float64Array, IntArray
from simulator.rollout.contact_ledger import ContactLedger
from simulator.scenarios import Scenario
from simulator.world.day import EVENING, MORNING, VISITING, Day, moment as time_of
from simulator.world.happenings import EventList, Totals
from simulator.world.population import draw_population
from simulator.world.scene import Scene
from simulator.world.streams import Streams

OUTBOUND, ON_SITE, IN_STORE = 0, 1, 2  # the slots of a day in which decisions are made


@dataclass(frozen=True)
class DecisionPoint:
    """Customers about whom something is to be decided.

    Attributes:
        slot: `OUTBOUND`, `ON_SITE` or `IN_STORE`.
        day: since the start.
        hour: of the day.
        rows: int64 (m,), customers.
    """

    slot: int
    day: int
    hour: float
    rows: IntArray


class Trajectory:
    """One life of a block through the horizon.

    Attributes:
        scene: the customers with their moods, changed day by day.
        states: float64 (n, S), what is known about them, up to date at each moment.
        tally: what has happened so far.
        ledger: what contact rules look at; none where there are none.
        undone: by day and slot, int64 (k,), customers of alerts for which no associate had the minutes.
    """

    def __init__(
        self,
        scene: Scene,
        states: Float64Array,
        *,
        scenario: Scenario,
        schema: ProfileSchema,
        days: int,
        ledger: ContactLedger | None = None,
    ) -> None:
        self.scene = replace(scene, moods=scene.moods.copy())
        self.states = states.copy()
        self.tally = Totals(len(scene.people), days)
        self.days = days
        self.undone: dict[tuple[int, int], IntArray] = {}
        self.ledger = ledger
        self._scenario, self._schema = scenario, schema
        self._weekdays = np.array(scenario.world.weekday, dtype=np.float32)

    def moments(self, *, every: int, turn: IntArray) -> Generator[DecisionPoint, IntArray, None]:
        """Every moment of the horizon at which something is to be decided; send the actions, int64 (m,), to go on.

        Args:
            every: days from one outbound decision about a customer to the next.
            turn: int64 (n,), the first day of each customer's, below `every`.
        """
        for day in range(self.days):
            yield from self.day(day, every=every, turn=turn)

    def day(self, day: int, *, every: int, turn: IntArray) -> Generator[DecisionPoint, IntArray, None]:
        """The moments of one day, which must be the day after the last one lived."""
        scene = self.scene
        scene.day = day
        self._drift()
        today = Day(scene, self._scenario.retailer.goals, self._weekdays, self.tally)
        rows = np.flatnonzero(turn == day % every)
        action = yield DecisionPoint(OUTBOUND, day, MORNING, rows)
        reached = today.contact(rows, action)
        self.undone[day, OUTBOUND] = rows[(action > 0) & ~reached]
        visits = today.visits()
        self._know(today, now=time_of(day, VISITING))
        if self.ledger:
            self.ledger.decided(rows, action, reached, at=time_of(day, MORNING))
        banner = yield DecisionPoint(ON_SITE, day, VISITING, visits.sessions.rows)
        if self.ledger:
            shown = np.ones(len(banner), dtype=bool)
            self.ledger.decided(visits.sessions.rows, banner, shown, at=time_of(day, VISITING))
        alert = yield DecisionPoint(IN_STORE, day, VISITING, visits.in_store)
        done = today.end(visits, banner, alert)
        self.undone[day, IN_STORE] = visits.in_store[(alert > 0) & ~done]
        if self.ledger:
            self.ledger.decided(visits.in_store, alert, done, at=time_of(day, VISITING))
        self._know(today, now=time_of(day, EVENING))

    def copy(self) -> Trajectory:
        """An independent copy, between two days."""
        twin = copy.copy(self)
        twin.scene = replace(self.scene, moods=self.scene.moods.copy())
        twin.states = self.states.copy()
        twin.tally = copy.deepcopy(self.tally)
        twin.undone = dict(self.undone)
        twin.ledger = self.ledger and self.ledger.copy()
        return twin

    def check(self, moment: DecisionPoint) -> ContactCheck | None:
        """What contact rules say about the customers of a moment; none where there are no rules."""
        if not self.ledger:
            return None
        in_stock, _ = self.scene.market.on(moment.day)
        return self.ledger.check(moment.rows, now=time_of(moment.day, moment.hour), in_stock=in_stock)

    def _know(self, today: Day, *, now: float) -> None:
        """Let profiles and ledger know what has happened since they last did."""
        events = today.events.events()
        apply(self._schema, self.states, events)
        if self.ledger:
            self.ledger.happened(events, now=now)
        today.events = EventList()

    def _drift(self) -> None:
        scene, drift = self.scene, self._scenario.file.drift
        if drift and scene.day == drift.from_day:
            streams, n = scene.streams, len(scene.people)
            fresh = draw_population(scene.world, n, Streams(streams.seed, -2 - streams.block))
            changes = streams.uniforms("drift", scene.day, n) < drift.share
            scene.people = replace(
                scene.people,
                taste=np.where(changes[:, None], fresh.taste, scene.people.taste),
                taste_cumulative=np.where(changes[:, None], fresh.taste_cumulative, scene.people.taste_cumulative),
            )


def advance(moments: Generator[DecisionPoint, IntArray, None], action: IntArray) -> DecisionPoint | None:
    """Go on with the actions of the last moment, int64 (m,), to the next one; none at the end of the horizon."""
    try:
        return moments.send(action)
    except StopIteration:
        return None
