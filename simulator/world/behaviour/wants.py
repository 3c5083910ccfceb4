"""Wants: something in particular a customer has in mind, which arrives, may be told, is met or passes."""

from __future__ import annotations

import numpy as np

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.latent_state import NOTHING
from simulator.world.market import YEAR
from simulator.world.population import Population
from simulator.world.scene import Scene


def pass_and_arrive(scene: Scene) -> tuple[IntArray, BoolArray]:
    """Let wants pass and new ones arrive.

    A want lasts a geometric time; new ones arrive as a Poisson process, about a category drawn from the customer's own
    taste. A share of them is told: searched for on the site, or said to an associate. Only those become known.

    Returns:
        Rows of the customers with a new want, int64 (m,), and whether it was told, bool (m,).
    """
    settings, people, moods = scene.world.wants, scene.people, scene.moods
    everybody = np.arange(len(people))
    u = scene.uniforms("want", everybody)
    moods.want[u > 1 - 1 / settings.days] = NOTHING
    rows = np.flatnonzero((u < settings.per_year / YEAR) & (moods.want == NOTHING) & moods.alive)
    moods.want[rows] = draw_category(people, rows, scene.uniforms("want category", rows))
    return rows, scene.uniforms("want told", rows) < settings.stated_share


def draw_category(
    people: Population, rows: IntArray, u: Float32Array, *, available: BoolArray | None = None
) -> IntArray:
    """A category from each customer's own taste, of those available (K,) where given; int64 (m,)."""
    cumulative = people.taste_cumulative[rows]
    if available is not None:
        cumulative = np.cumsum(np.diff(cumulative, prepend=0) * available, axis=1)
        # Strictly below the total, so that rounding never ends in a category that is not available.
        u = np.minimum(u * cumulative[:, -1], np.nextafter(cumulative[:, -1], np.float32(0)))
    category: IntArray = np.minimum((u[:, None] >= cumulative).sum(axis=1), cumulative.shape[1] - 1)
    return category
