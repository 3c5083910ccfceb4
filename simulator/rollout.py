"""A block of customers lived through: history, then days in which the decision core decides for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from orchestrator.decisions import DecisionCore, Decisions
from orchestrator.profiles import ProfileSchema, apply
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from policies.policy import Policy
from simulator.results import METRICS, BlockResult
from simulator.rollout_log import LogRecorder, RolloutLog
from simulator.scenarios import Scenario
from simulator.streams import Streams
from simulator.world import alone
from simulator.world.actions import EMAIL, SITE, STORE, ActionTable
from simulator.world.day import MORNING, VISITING, Day, moment
from simulator.world.happenings import EventList, Tally
from simulator.world.market import draw_market
from simulator.world.moods import Moods
from simulator.world.population import Population, draw_population
from simulator.world.scene import Scene

HISTORY_DAYS = 60
OUTBOUND, ON_SITE, IN_STORE = 0, 1, 2  # the slots of a day in which decisions are made


@dataclass(frozen=True)
class Setting:
    """What is the same for every block of a scenario."""

    scenario: Scenario
    schema: ProfileSchema
    core: DecisionCore
    table: ActionTable
    contexts: Float32Array
    asked: BoolArray

    @classmethod
    def of(cls, scenario: Scenario) -> Setting:
        """Build the decision core and look-ups of a scenario."""
        schema = ProfileSchema.from_retailer(scenario.retailer)
        core = DecisionCore(scenario.retailer, schema)
        placements = {name: channel.placements[0] for name, channel in scenario.retailer.channels.items()}
        contexts = core.context.encode(
            [
                {"placement": placements[EMAIL], "hour": int(MORNING)},
                {"placement": placements[SITE], "device": "mobile", "hour": int(VISITING)},
                {"placement": placements[STORE], "device": "in_store", "hour": int(VISITING)},
            ]
        )
        asked = core.asked([(EMAIL, STORE), (SITE,), (STORE,)])
        return cls(scenario, schema, core, ActionTable.of(scenario.retailer), contexts, asked)


class Block:
    """n customers of one seed with a past, at the beginning of the horizon."""

    def __init__(self, setting: Setting, *, seed: int, block: int, customers: int, days: int) -> None:
        self.setting = setting
        self.seed, self.index, self.days = seed, block, days
        scenario, streams = setting.scenario, Streams(seed, block)
        people = draw_population(scenario.world, customers, streams)
        goodwill = streams.generator("goodwill").standard_normal(customers) * scenario.world.goodwill.spread
        categories = len(scenario.retailer.catalogue.categories)
        self.scene = Scene(
            world=scenario.world,
            table=setting.table,
            people=people,
            moods=Moods.neutral(opted_in=people.opted_in, goodwill=goodwill.astype(np.float32)),
            market=draw_market(scenario.world.market, days=days, categories=categories, seed=seed),
            streams=streams,
            day=-HISTORY_DAYS,
        )
        self.states = setting.schema.empty(customers)
        self._weekdays = np.array(scenario.world.weekday, dtype=np.float32)
        self._live_history()

    def live(self, policy: Policy, *, log: bool = False) -> tuple[BlockResult, RolloutLog | None]:
        """Live through the horizon under one policy; the block itself stays as it is.

        Args:
            policy: over the core's actions.
            log: keep every decision.
        """
        setting, scene = self.setting, replace(self.scene, moods=self.scene.moods.copy())
        states = self.states.copy()
        tally = Tally(len(scene.people), self.days)
        recorder = LogRecorder(tally) if log else None
        counts = np.zeros(len(setting.core.actions), dtype=np.int64)
        every = setting.scenario.file.outbound_every_days
        turn = np.arange(len(scene.people)) % every
        for day in range(self.days):
            scene.day = day
            self._drift(scene)
            today = Day(scene, setting.scenario.retailer.goals, self._weekdays, tally)
            rows = np.flatnonzero(turn == day % every)
            made = self._decide(policy, states, rows, slot=OUTBOUND, scene=scene, hour=MORNING)
            today.contact(rows, made.action)
            self._note(made, rows, OUTBOUND, tally=tally, recorder=recorder, counts=counts)
            visits = today.visits()
            apply(setting.schema, states, today.events.events())
            today.events = EventList()
            made_for = {}
            for slot, visiting in ((ON_SITE, visits.sessions.rows), (IN_STORE, visits.in_store)):
                made = self._decide(policy, states, visiting, slot=slot, scene=scene, hour=VISITING)
                self._note(made, visiting, slot, tally=tally, recorder=recorder, counts=counts)
                made_for[slot] = made.action
            today.end(visits, made_for[ON_SITE], made_for[IN_STORE])
            apply(setting.schema, states, today.events.events())
        result = self._result(policy, tally, counts)
        return result, recorder.finish() if recorder else None

    def _live_history(self) -> None:
        """The past: everybody's first purchase, then life without any contact."""
        scene, setting = self.scene, self.setting
        joined = scene.streams.generator("joined").integers(-HISTORY_DAYS, 0, len(scene.people))
        past = range(-HISTORY_DAYS, 0)
        goals = setting.scenario.retailer.goals
        for events in alone.live(scene, past, goals=goals, weekdays=self._weekdays, joined=joined):
            apply(setting.schema, self.states, events)

    def _drift(self, scene: Scene) -> None:
        drift = self.setting.scenario.file.drift
        if drift and scene.day == drift.from_day:
            fresh = draw_population(scene.world, len(scene.people), Streams(self.seed, -2 - self.index))
            changes = scene.streams.uniforms("drift", scene.day, len(scene.people)) < drift.share
            scene.people = replace(
                scene.people,
                taste=np.where(changes[:, None], fresh.taste, scene.people.taste),
                taste_cumulative=np.where(changes[:, None], fresh.taste_cumulative, scene.people.taste_cumulative),
            )

    def _decide(
        self, policy: Policy, states: Float64Array, rows: IntArray, *, slot: int, scene: Scene, hour: float
    ) -> Decisions:
        setting, m = self.setting, len(rows)
        return setting.core.decide(
            policy,
            states=states[rows],
            contexts=np.broadcast_to(setting.contexts[slot], (m, setting.contexts.shape[1])),
            channels=np.broadcast_to(setting.asked[slot], (m, setting.asked.shape[1])),
            ids=scene.streams.decision_ids(f"decision {slot}", scene.day, rows),
            now=moment(scene.day, hour),
        )

    def _note(
        self,
        made: Decisions,
        rows: IntArray,
        slot: int,
        *,
        tally: Tally,
        recorder: LogRecorder | None,
        counts: IntArray,
    ) -> None:
        counts += np.bincount(made.action, minlength=len(counts))
        p = made.distribution
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
        tally.add("decisions", rows)
        tally.add("entropy", rows, entropy)
        if recorder:
            recorder.add(made, rows, slot=slot)

    def _result(self, policy: Policy, tally: Tally, counts: IntArray) -> BlockResult:
        names, segment = segments(self.scene.people)
        by_segment = np.zeros((len(names), len(METRICS)))
        np.add.at(by_segment, segment, tally.by_customer)
        return BlockResult(
            policy=policy.name,
            seed=self.seed,
            block=self.index,
            customers=len(segment),
            daily=tally.daily,
            segments=names,
            segment_customers=np.bincount(segment, minlength=len(names)),
            by_segment=by_segment,
            actions=counts,
        )


def segments(people: Population) -> tuple[tuple[str, ...], IntArray]:
    """Who gains and who loses is told by kind, reachability and sensitivity; names (G,) and int64 (n,)."""
    flags = (people.regular, people.opted_in, people.sensitivity > 1)
    words = (("occasional", "regular"), ("no e-mail", "e-mail"), ("calm", "touchy"))
    names = tuple(f"{a}, {b}, {c}" for a in words[0] for b in words[1] for c in words[2])
    code = sum(flag.astype(np.int64) << (2 - i) for i, flag in enumerate(flags))
    return names, np.asarray(code, dtype=np.int64)
