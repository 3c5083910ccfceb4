"""Fatigue: recent contacts, felt more by some than by others."""

from __future__ import annotations

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.latent_state import LatentState
from simulator.world.scene import Scene

BY_EMAIL, BY_ASSOCIATE = 0, 1


def fade(scene: Scene) -> None:
    """A day passes: fatigue halves in its half-life (exponential decay, as advertising stock; Broadbent 1979)."""
    scene.moods.fatigue *= np.float32(0.5 ** (1 / scene.world.fatigue.half_life_days))


def tire(moods: LatentState, rows: IntArray, *, by: int) -> None:
    """One more contact for each of these customers."""
    moods.fatigue[rows, by] += 1


def felt(scene: Scene, rows: IntArray, *, by: int) -> Float32Array:
    """Recent contacts as these customers feel them, in contacts; float32 (m,)."""
    strength = np.float32(scene.world.fatigue.sensitivity) * scene.people.sensitivity[rows]
    result: Float32Array = strength * scene.moods.fatigue[rows, by]
    return result
