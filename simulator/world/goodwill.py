"""Goodwill: what a relationship is worth beyond the next purchase. An assumption throughout; no data here shows it."""

from __future__ import annotations

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.moods import Moods
from simulator.world.settings import GoodwillSettings

LIMIT = 2.0


def fade(settings: GoodwillSettings, moods: Moods) -> None:
    """A day passes: goodwill returns to neutral with its half-life (mean reversion)."""
    moods.goodwill *= np.float32(0.5 ** (1 / settings.half_life_days))


def change(moods: Moods, rows: IntArray, amount: Float32Array | float) -> None:
    """Add to the goodwill of some customers, each row once; kept within two units of neutral."""
    moods.goodwill[rows] = np.clip(moods.goodwill[rows] + amount, -LIMIT, LIMIT)
