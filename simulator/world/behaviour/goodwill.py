"""Goodwill: what a relationship is worth beyond the next purchase. An assumption throughout; no data here shows it."""

from __future__ import annotations

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.latent_state import LatentState
from simulator.world.scene import Scene

LIMIT = 2.0
THANKS_EVERY_DAYS = 45


def fade(scene: Scene) -> None:
    """A day passes: goodwill returns to neutral with its half-life (mean reversion)."""
    scene.moods.goodwill *= np.float32(0.5 ** (1 / scene.world.goodwill.half_life_days))


def change(moods: LatentState, rows: IntArray, amount: Float32Array | float) -> None:
    """Add to the goodwill of some customers, each row at most once; kept within two units of neutral."""
    moods.goodwill[rows] = np.clip(moods.goodwill[rows] + amount, -LIMIT, LIMIT)


def thank(scene: Scene, rows: IntArray, *, strength: float) -> None:
    """Thanks please after a purchase, and only once in a while."""
    moods, day = scene.moods, scene.day
    due = (day - moods.last_thanks[rows] > THANKS_EVERY_DAYS) & (day - moods.last_purchase[rows] <= THANKS_EVERY_DAYS)
    change(moods, rows[due], scene.world.goodwill.thank * strength)
    moods.last_thanks[rows[due]] = day
