"""A retailer whose customers are left to themselves, watched by the visits and purchases a real record would show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.config import Retailer
from orchestrator.profiles import EVENT_TYPES
from policies.arrays import BoolArray, Float64Array, IntArray
from simulator.world import alone
from simulator.world.actions import ActionTable
from simulator.world.day import EVENING, moment
from simulator.world.latent_state import LatentState
from simulator.world.market import draw_market
from simulator.world.population import draw_population
from simulator.world.scene import Scene
from simulator.world.settings import WorldSettings
from simulator.world.streams import Streams

POPULATIONS = 5  # independent ones, with a market and archetypes each, that customers are split over
_VISIT, _PURCHASE = EVENT_TYPES.index("visit"), EVENT_TYPES.index("purchase")


@dataclass(frozen=True)
class Happened:
    """n visits to the site or n purchases, by day.

    Attributes:
        customer: int64 (n,), row in the scene.
        day: int64 (n,), of the scene.
        category: int64 (n,), what was bought, -1 for a visit.
        value: float64 (n,), money paid.
        in_store: bool (n,), bought in the store.
    """

    customer: IntArray
    day: IntArray
    category: IntArray
    value: Float64Array
    in_store: BoolArray

    def where(self, chosen: BoolArray) -> Happened:
        """The chosen ones, bool (n,)."""
        return Happened(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Company:
    """A retailer in its world.

    Attributes:
        retailer: whose catalogue and goals hold.
        world: whose numbers hold.
        seed: of the first population; the others have the next ones.
    """

    retailer: Retailer
    world: WorldSettings
    seed: int

    @property
    def categories(self) -> int:
        """How many the catalogue has."""
        return len(self.retailer.catalogue.categories)

    def changed(self, section: str, **values: float) -> Company:
        """The same with some values of a section of the world changed."""
        settings = getattr(self.world, section).model_copy(update=values)
        return replace(self, world=self.world.model_copy(update={section: settings}))

    def scenes(self, customers: int, *, days: int) -> Iterator[Scene]:
        """`POPULATIONS` scenes with as many customers each, and a market for so many days."""
        n = -(-customers // POPULATIONS)
        for seed in range(self.seed, self.seed + POPULATIONS):
            streams = Streams(seed, 0)
            people = draw_population(self.world, n, streams)
            goodwill = streams.generator("goodwill").standard_normal(n, dtype=np.float32)
            yield Scene(
                world=self.world,
                table=ActionTable.of(self.retailer),
                people=people,
                moods=LatentState.neutral(opted_in=people.opted_in, goodwill=goodwill * self.world.goodwill.spread),
                market=draw_market(self.world.market, days=days, categories=self.categories, streams=Streams(seed, -1)),
                streams=streams,
                day=0,
            )

    def live(
        self, scene: Scene, days: range, *, joined: IntArray | None = None, mailed: IntArray | None = None
    ) -> tuple[Happened, Happened]:
        """Live through some days; arguments as `simulator.world.alone.live`.

        Returns:
            Visits to the site, and purchases.
        """
        weekdays = np.array(self.world.weekday, dtype=np.float32)
        goals = self.retailer.goals
        visits, purchases = [], []
        living = alone.live(scene, days, goals=goals, weekdays=weekdays, joined=joined, mailed=mailed)
        for day, events in zip(days, living, strict=True):
            everything = Happened(
                customer=events.customer,
                day=np.full(len(events.customer), day),
                category=events.category,
                value=events.value,
                in_store=events.timestamp == moment(day, EVENING),
            )
            visits.append(everything.where(events.type == _VISIT))
            purchases.append(everything.where(events.type == _PURCHASE))
        return _one_after_another(visits), _one_after_another(purchases)


def _one_after_another(parts: list[Happened]) -> Happened:
    names = Happened.__dataclass_fields__
    return Happened(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
