"""Wants: something in particular a customer has in mind, which arrives, may be told, is met or passes."""

from __future__ import annotations

import numpy as np

from policies.arrays import BoolArray, IntArray
from simulator.streams import Streams
from simulator.world.market import YEAR
from simulator.world.moods import NOTHING, Moods
from simulator.world.population import Population
from simulator.world.settings import WantSettings


def pass_and_arrive(
    settings: WantSettings, people: Population, moods: Moods, streams: Streams, *, day: int
) -> tuple[IntArray, BoolArray]:
    """Let wants pass and new ones arrive.

    A want lasts an exponential time; new ones arrive as a Poisson process, about a category drawn from the
    customer's own taste. A share of them is told: searched for, put on a wish list or said to an associate. Only those
    ever become known.

    Returns:
        Rows of the customers with a new want, int64 (m,), and whether it was told, bool (m,).
    """
    n = len(people)
    passes = streams.uniforms("want passes", day, n) < 1 / settings.days
    moods.want[passes] = NOTHING
    arrives = streams.uniforms("want arrives", day, n) < settings.per_year / YEAR
    rows = np.flatnonzero(arrives & (moods.want == NOTHING) & moods.alive)
    u = streams.uniforms("want details", day, n)[rows]
    moods.want[rows] = draw_category(people, rows, u)
    told = streams.uniforms("want told", day, n)[rows] < settings.stated_share
    return rows, told


def draw_category(people: Population, rows: IntArray, u: np.ndarray) -> IntArray:
    """A category from each customer's own taste; int64 (m,)."""
    cumulative = people.taste_cumulative[rows]
    return np.minimum((u[:, None] >= cumulative).sum(axis=1), cumulative.shape[1] - 1)
