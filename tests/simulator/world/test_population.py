"""How alike customers of a segment are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from simulator.world.population import Population
    from simulator.world.scene import Scene

SceneOf = Callable[..., "Scene"]
SPREAD = 0.3  # small, so that no taste is cut off


def drawn(scene_of: SceneOf, individuality: float, *, seed: int = 0, n: int = 4_000) -> Population:
    changes = {"population.individuality": individuality, "population.taste_spread": SPREAD}
    return scene_of(n, changes, seed=seed).people


def within_segments(people: Population) -> float:
    """Variance of taste around the segment's mean, over customers and categories."""
    squares = 0.0
    for segment in np.unique(people.segment):
        taste = people.taste[people.segment == segment].astype(np.float64)
        squares += ((taste - taste.mean(axis=0)) ** 2).sum()
    return squares / people.taste.size


@pytest.mark.parametrize("individuality", [0.0, 0.2, 0.8, 1.0])
def test_individuality_is_the_share_of_variance_within_segments(scene_of: SceneOf, individuality: float) -> None:
    """Its own times spread squared; tastes are relative to a customer's mean, which takes one category of K."""
    people = drawn(scene_of, individuality)
    categories = people.taste.shape[1]
    expected = individuality * SPREAD**2 * (1 - 1 / categories)
    assert within_segments(people) == pytest.approx(expected, rel=0.05, abs=1e-8)


@pytest.mark.parametrize("individuality", [0.0, 0.5, 1.0])
def test_customers_differ_as_much_however_individual_they_are(scene_of: SceneOf, individuality: float) -> None:
    """What is not one's own is one's segment's: over many worlds the variance of taste is the same."""
    tastes = np.concatenate([drawn(scene_of, individuality, seed=seed, n=300).taste for seed in range(40)])
    expected = SPREAD**2 * (1 - 1 / tastes.shape[1])
    assert (tastes.astype(np.float64) ** 2).mean() == pytest.approx(expected, rel=0.1)


def test_without_individuality_a_segment_wants_one_thing_and_segments_differ(scene_of: SceneOf) -> None:
    people = drawn(scene_of, 0.0)
    kinds = {tuple(taste) for taste in people.taste_cumulative.round(5).tolist()}
    assert len(kinds) == len(np.unique(people.segment)) > 1


def test_with_nothing_but_individuality_segments_are_alike(scene_of: SceneOf) -> None:
    people = drawn(scene_of, 1.0, n=6_000)
    for segment in np.unique(people.segment):
        mine = people.taste[people.segment == segment]
        assert np.abs(mine.mean(axis=0)).max() < 4.5 * SPREAD / np.sqrt(len(mine))
