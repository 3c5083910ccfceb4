"""Scenes of the world: customers on a day, as each behaviour sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from simulator.rollout.rollout import Setting
    from simulator.world.scene import Scene


@pytest.fixture(scope="session")
def scene_of(setting_of: Callable[..., Setting]) -> Callable[..., Scene]:
    """`scene_of(n, changes)`: n customers on day 0, in neutral moods, everything in stock and at its price."""
    from simulator.world.latent_state import LatentState
    from simulator.world.market import Market
    from simulator.world.population import draw_population
    from simulator.world.scene import Scene
    from simulator.world.streams import Streams

    def make(n: int = 2_000, changes: dict[str, float] | None = None, *, seed: int = 0, **people: object) -> Scene:
        setting = setting_of("baseline", changes)
        world, streams = setting.scenario.world, Streams(seed, 0)
        drawn = replace(draw_population(world, n, streams), **people)
        normal = (400, len(world.category_shares))
        return Scene(
            world=world,
            table=setting.table,
            people=drawn,
            moods=LatentState.neutral(opted_in=np.ones(n, dtype=bool), goodwill=np.zeros(n)),
            market=Market(
                in_stock=np.ones(normal, dtype=bool),
                back=np.zeros(normal, dtype=bool),
                price_cut=np.zeros(normal, dtype=np.float32),
            ),
            streams=streams,
            day=0,
        )

    return make


@pytest.fixture(scope="session")
def action(setting_of: Callable[..., Setting]) -> Callable[[str], int]:
    """`action(id)` is its index."""
    ids = setting_of().core.actions.ids
    return ids.index
