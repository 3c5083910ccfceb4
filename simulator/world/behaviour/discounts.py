"""Discounts: they sell today, teach customers to wait for the next one, and pull purchases forward.

Expected discounts adapt exponentially to those received, and a price without the expected one counts as a loss
(reference-price adaptation; Mazumdar, Raj & Sinha 2005, "Reference price research", Journal of Marketing 69).
"""

from __future__ import annotations

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.scene import Scene

_MOST_SATIATED = 0.9


def fade(scene: Scene) -> None:
    """A day passes: expectations are forgotten, stocks at home are used up."""
    settings = scene.world.discounts
    scene.moods.expected_discount *= np.float32(0.5 ** (1 / settings.forgetting_days))
    scene.moods.satiated *= np.float32(0.5 ** (1 / settings.pull_forward_days))


def attraction(scene: Scene, rows: IntArray, discount: Float32Array) -> Float32Array:
    """Log-odds of buying added by a discount, relative to the one expected; float32 (m,)."""
    surprise = discount - scene.moods.expected_discount[rows]
    pull: Float32Array = np.float32(scene.world.discounts.attraction) * scene.people.price_sensitivity[rows] * surprise
    return pull


def learn(scene: Scene, rows: IntArray, discount: Float32Array) -> None:
    """After purchases at a discount: more is expected, and some later purchase was pulled forward."""
    settings, moods = scene.world.discounts, scene.moods
    received = discount > 0
    moved, given = rows[received], discount[received]
    expected = moods.expected_discount[moved]
    step = np.minimum(settings.habituation * scene.people.price_sensitivity[moved], 1)
    moods.expected_discount[moved] = expected + step * np.maximum(given - expected, 0)
    # A satiation of one costs all purchases of a mean life of it, that is rate / fading of them: as much of it as costs
    # the share pulled forward.
    fading = np.log(2) / settings.pull_forward_days
    used_up = settings.pull_forward * fading / np.maximum(scene.people.purchase_rate[moved], 1e-6)
    moods.satiated[moved] = np.minimum(moods.satiated[moved] + used_up, _MOST_SATIATED)
