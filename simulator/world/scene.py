"""What every behaviour looks at: settings, catalogue, people, moods, the market, the day and its random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.actions import ActionTable
from simulator.world.latent_state import LatentState
from simulator.world.market import Market
from simulator.world.population import Population
from simulator.world.settings import WorldSettings
from simulator.world.streams import Streams


@dataclass
class Scene:
    """One block of customers on one day; `moods` changes in place and `day` moves on.

    Attributes:
        day: days since the start of the horizon, an index into the market; negative in the history before it.
    """

    world: WorldSettings
    table: ActionTable
    people: Population
    moods: LatentState
    market: Market
    streams: Streams
    day: int

    def uniforms(self, name: str, rows: IntArray) -> Float32Array:
        """The numbers of these customers in today's stream `name`, whoever else needs one; float32 (m,)."""
        if not len(rows):
            return np.empty(0, dtype=np.float32)
        return self.streams.uniforms(name, self.day, len(self.people)).take(rows)
