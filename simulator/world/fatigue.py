"""Fatigue: recent contacts, felt more by some than by others."""

from __future__ import annotations

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.moods import Moods
from simulator.world.population import Population
from simulator.world.settings import FatigueSettings

BY_EMAIL, BY_STORE = 0, 1


def fade(settings: FatigueSettings, moods: Moods) -> None:
    """A day passes: fatigue halves in its half-life (exponential decay, as advertising stock; Broadbent 1979)."""
    moods.fatigue *= np.float32(0.5 ** (1 / settings.half_life_days))


def tire(moods: Moods, rows: IntArray, *, by: int) -> None:
    """One more contact for each of these customers."""
    moods.fatigue[rows, by] += 1


def felt(settings: FatigueSettings, people: Population, moods: Moods, rows: IntArray, *, by: int) -> Float32Array:
    """Recent contacts as these customers feel them, in contacts; float32 (m,)."""
    return np.float32(settings.sensitivity) * people.sensitivity[rows] * moods.fatigue[rows, by]
