"""A block of customers lived through: history, then days in which the decision core decides for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.decision.core import DecisionCore, Decisions
from orchestrator.eligibility import ContactRules
from orchestrator.profiles import ProfileSchema, apply
from policies.arrays import BoolArray, Float32Array, IntArray
from policies.policy import Policy
from simulator.rollout.contact_ledger import ContactLedger, rules_of
from simulator.rollout.log import LogRecorder, RolloutLog
from simulator.rollout.trajectory import DecisionPoint, Trajectory, advance
from simulator.scenarios import Scenario
from simulator.world import alone
from simulator.world.actions import EMAIL, SITE, STORE, ActionTable
from simulator.world.channels import WORLD_CHANNELS
from simulator.world.day import MORNING, VISITING, moment as time_of
from simulator.world.happenings import Totals
from simulator.world.latent_state import LatentState
from simulator.world.market import draw_market
from simulator.world.population import Population, draw_population
from simulator.world.results import METRICS, BlockResult
from simulator.world.scene import Scene
from simulator.world.streams import Streams

HISTORY_DAYS = 60
_ENTROPIES = 256  # found at once, so that the logarithms stay in the processor's cache


@dataclass(frozen=True)
class Setting:
    """What is the same for every block of a scenario."""

    scenario: Scenario
    schema: ProfileSchema
    core: DecisionCore
    table: ActionTable
    contexts: Float32Array
    asked: BoolArray
    rules: ContactRules | None

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
        outbound = [c.name for c in WORLD_CHANNELS if c.outbound and c.name in placements]
        asked = core.asked([tuple(outbound), (SITE,), (STORE,)])
        rules = rules_of(scenario.retailer) if scenario.file.contact_rules else None
        return cls(scenario, schema, core, ActionTable.of(scenario.retailer), contexts, asked, rules)

    def decide(self, policy: Policy, moment: DecisionPoint, *, life: Trajectory, streams: Streams) -> Decisions:
        """Let the decision core decide at a moment, in its order of customers.

        Args:
            policy: over the core's actions.
            moment: of a life.
            life: of the whole block, at that moment.
            streams: of the block.
        """
        m, slot = len(moment.rows), moment.slot
        return self.core.decide(
            policy,
            states=life.states,
            rows=moment.rows,
            contexts=np.broadcast_to(self.contexts[slot], (m, self.contexts.shape[1])),
            channels=np.broadcast_to(self.asked[slot], (m, self.asked.shape[1])),
            ids=streams.decision_ids(f"decision {slot}", moment.day, moment.rows),
            now=time_of(moment.day, moment.hour),
            contacts=life.check(moment),
        )


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
            moods=LatentState.neutral(opted_in=people.opted_in, goodwill=goodwill.astype(np.float32)),
            market=draw_market(scenario.world.market, days=days, categories=categories, streams=streams),
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
        setting, life = self.setting, self.life()
        recorder = LogRecorder(life.tally) if log else None
        counts = np.zeros(len(setting.core.actions), dtype=np.int64)
        every = setting.scenario.file.outbound_every_days
        moments = life.moments(every=every, turn=np.arange(len(self.scene.people)) % every)
        moment = next(moments, None)
        while moment:
            made = setting.decide(policy, moment, life=life, streams=self.scene.streams)
            counts += np.bincount(made.action, minlength=len(counts))
            _note(made, moment, tally=life.tally, recorder=recorder)
            moment = advance(moments, made.action)
        result = self._result(policy, life.tally, counts)
        return result, recorder.finish(life.undone) if recorder else None

    def life(self) -> Trajectory:
        """A life of these customers through the horizon, to be driven from moment to moment."""
        setting, ledger = self.setting, None
        if setting.rules:
            fields = len(setting.scenario.retailer.profiles.content_fields)
            ledger = ContactLedger(setting.rules, content_fields=fields, customers=len(self.scene.people))
        return Trajectory(
            self.scene, self.states, scenario=setting.scenario, schema=setting.schema, days=self.days, ledger=ledger
        )

    def _live_history(self) -> None:
        """The past: everybody's first purchase, then life without any contact."""
        scene, setting = self.scene, self.setting
        joined = scene.streams.generator("joined").integers(-HISTORY_DAYS, 0, len(scene.people))
        past = range(-HISTORY_DAYS, 0)
        goals = setting.scenario.retailer.goals
        for events in alone.live(scene, past, goals=goals, weekdays=self._weekdays, joined=joined):
            apply(setting.schema, self.states, events)

    def _result(self, policy: Policy, tally: Totals, counts: IntArray) -> BlockResult:
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


def _note(made: Decisions, moment: DecisionPoint, *, tally: Totals, recorder: LogRecorder | None) -> None:
    p = made.distribution
    entropy = np.empty(len(p))
    for start in range(0, len(p), _ENTROPIES):
        some = p[start : start + _ENTROPIES]
        logs = np.maximum(some, 1e-300)
        np.log(logs, out=logs)
        logs *= some
        np.negative(logs.sum(axis=1), out=entropy[start : start + _ENTROPIES])
    tally.add("decisions", moment.rows)
    tally.add("entropy", moment.rows, entropy)
    if recorder:
        recorder.add(made, moment.rows, slot=moment.slot)


def segments(people: Population) -> tuple[tuple[str, ...], IntArray]:
    """Who gains and who loses is told by kind, reachability and sensitivity; names (G,) and int64 (n,)."""
    flags = (people.regular, people.opted_in, people.sensitivity > 1)
    words = (("occasional", "regular"), ("no e-mail", "e-mail"), ("calm", "touchy"))
    names = tuple(f"{a}, {b}, {c}" for a in words[0] for b in words[1] for c in words[2])
    code = sum(flag.astype(np.int64) << (2 - i) for i, flag in enumerate(flags))
    return names, np.asarray(code, dtype=np.int64)
