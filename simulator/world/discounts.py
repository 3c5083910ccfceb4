"""Discounts: they sell today, teach customers to wait for the next one, and pull purchases forward.

Expected discounts adapt exponentially to those received and a price above the expected one counts as a loss
(reference-price adaptation; Mazumdar, Raj & Sinha 2005, "Reference price research", section 3).
"""

from __future__ import annotations

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.moods import Moods
from simulator.world.population import Population
from simulator.world.settings import DiscountSettings


def fade(settings: DiscountSettings, moods: Moods) -> None:
    """A day passes: expectations are forgotten, stocks at home are used up."""
    moods.expected_discount *= np.float32(0.5 ** (1 / settings.forgetting_days))
    moods.satiated *= np.float32(0.5 ** (1 / settings.pull_forward_days))


def attraction(
    settings: DiscountSettings, people: Population, moods: Moods, rows: IntArray, discount: Float32Array
) -> Float32Array:
    """Log-odds of buying added by a discount, relative to the one expected; float32 (m,)."""
    surprise = discount - moods.expected_discount[rows]
    return np.float32(settings.attraction) * people.price_sensitivity[rows] * surprise


def learn(
    settings: DiscountSettings, people: Population, moods: Moods, rows: IntArray, discount: Float32Array
) -> None:
    """After a purchase: expectations move towards the discount received, and a discount pulls purchases forward."""
    received = discount > 0
    moved, given = rows[received], discount[received]
    expected = moods.expected_discount[moved]
    step = np.minimum(settings.habituation * people.price_sensitivity[moved], 1)
    moods.expected_discount[moved] = expected + step * np.maximum(given - expected, 0)
    moods.satiated[moved] = np.minimum(moods.satiated[moved] + settings.pull_forward, 0.9)
