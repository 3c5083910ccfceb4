"""The shipped retailer's world, small enough for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from policies.arrays import IntArray
    from simulator.rollout.rollout import Setting
    from simulator.rollout.trajectory import DecisionPoint, Trajectory

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="session")
def configs() -> Path:
    return CONFIGS


@pytest.fixture(scope="session")
def setting_of() -> Callable[..., Setting]:
    """`setting_of(name, changes)` is a scenario, ready to run, with further values of the world changed."""
    from simulator.rollout.rollout import Setting
    from simulator.scenarios import load_scenario

    known: dict[str, Setting] = {}

    def make(name: str = "baseline", changes: dict[str, float] | None = None) -> Setting:
        key = f"{name} {sorted((changes or {}).items())}"
        if key not in known:
            known[key] = Setting.of(load_scenario(name, configs=CONFIGS).changed(changes or {}))
        return known[key]

    return make


@pytest.fixture(scope="session")
def baseline(setting_of: Callable[..., Setting]) -> Setting:
    return setting_of()


@pytest.fixture(scope="session")
def no_minutes(baseline: Setting) -> Setting:
    """A retailer whose associates never have time."""
    world = baseline.scenario.world
    associates = world.associates.model_copy(update={"minutes_per_store": 0.0})
    changed = world.model_copy(update={"associates": associates})
    return replace(baseline, scenario=replace(baseline.scenario, world=changed))


@pytest.fixture(scope="session")
def drive() -> Callable[[Trajectory, Callable[[DecisionPoint], IntArray]], Trajectory]:
    """`drive(life, choose)` lives to the end, everybody considered every day; `choose(moment)` gives the actions."""
    from simulator.rollout.trajectory import advance

    def live(life: Trajectory, choose: Callable[[DecisionPoint], IntArray]) -> Trajectory:
        moments = life.moments(every=1, turn=np.zeros(len(life.scene.people), dtype=np.int64))
        moment = next(moments, None)
        while moment:
            moment = advance(moments, choose(moment))
        return life

    return live
