"""Who the customers are: fixed, latent traits, drawn once per block.

Nothing here is ever seen by a policy. What a policy knows comes from events, through the production profile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.settings import WorldSettings
from simulator.world.streams import Streams

WEEK_DAYS = 7.0
_STORE_PREFERENCE_STRENGTH = 6.0  # how alike customers of a kind are in preferring store or site (beta a + b)


@dataclass(frozen=True)
class Population:
    """Latent traits of n customers.

    Attributes:
        regular: bool (n,), shops like a household of a grocer's panel rather than now and then.
        segment: int64 (n,), taste archetype.
        taste: float32 (n, K), log share of interest per category relative to equal interest; 0 is average.
        taste_cumulative: float32 (n, K), cumulative interest, for drawing categories.
        purchase_rate: float32 (n,), purchases per day at neutral goodwill.
        dropout: float32 (n,), probability to leave for good after a repeat purchase.
        store_preference: float32 (n,), share of purchases made in the store.
        visit_rate: float32 (n,), spontaneous site visits per day.
        affinity: float32 (n,), own log-odds to answer e-mail.
        sensitivity: float32 (n,), how fast contacts tire, 1 is typical.
        price_sensitivity: float32 (n,), 1 is typical.
        opted_in: bool (n,), to e-mail, at the start.
        store: int64 (n,), home store.
    """

    regular: BoolArray
    segment: IntArray
    taste: Float32Array
    taste_cumulative: Float32Array
    purchase_rate: Float32Array
    dropout: Float32Array
    store_preference: Float32Array
    visit_rate: Float32Array
    affinity: Float32Array
    sensitivity: Float32Array
    price_sensitivity: Float32Array
    opted_in: BoolArray
    store: IntArray

    def __len__(self) -> int:
        return len(self.regular)


def draw_population(world: WorldSettings, n: int, streams: Streams) -> Population:
    """Draw n customers.

    Purchase rates are gamma distributed across customers and dropout probabilities beta distributed (BG/NBD: Fader,
    Hardie & Lee 2005, "Counting your customers the easy way", assumptions ii and iv), with the parameters of a
    grocer's panel for `regular` customers and of a one-time-buyer cohort for the others. Tastes are log-normal around
    a segment's archetype; `individuality` is the share of their variance that is the customer's own.
    """
    people, shopping, site = world.population, world.shopping, world.site
    random = streams.generator("population")
    regular = random.random(n) < people.regular_share
    segments = int(people.segments)
    segment = random.integers(0, segments, n)
    shares = np.array(list(world.category_shares.values()))
    archetypes = _archetypes(segments, len(shares), streams)
    own = random.standard_normal((n, len(shares)))
    mixed = np.sqrt(1 - people.individuality) * archetypes[segment] + np.sqrt(people.individuality) * own
    weights = shares * np.exp(people.taste_spread * mixed)
    interest = weights / weights.sum(axis=1, keepdims=True)
    taste = people.taste_spread * (mixed - mixed.mean(axis=1, keepdims=True))
    rate = np.where(
        regular,
        random.gamma(shopping.regular_shape, shopping.regular_rate / shopping.regular_shape, n),
        random.gamma(shopping.occasional_shape, 1 / shopping.occasional_scale, n),
    )
    dropout = np.where(regular, shopping.regular_dropout, random.beta(shopping.dropout_a, shopping.dropout_b, n))
    preference = np.where(regular, people.store_preference_regular, people.store_preference_occasional)
    stores = stores_of(n, people.customers_per_store)
    return Population(
        regular=regular,
        segment=segment,
        taste=np.clip(taste, -3, 3).astype(np.float32),
        taste_cumulative=np.cumsum(interest, axis=1).astype(np.float32),
        purchase_rate=(rate / WEEK_DAYS).astype(np.float32),
        dropout=dropout.astype(np.float32),
        store_preference=random.beta(
            _STORE_PREFERENCE_STRENGTH * preference, _STORE_PREFERENCE_STRENGTH * (1 - preference)
        ).astype(np.float32),
        visit_rate=random.gamma(site.visits_shape, site.visits_per_week / WEEK_DAYS / site.visits_shape, n).astype(
            np.float32
        ),
        affinity=(people.affinity_spread * random.standard_normal(n)).astype(np.float32),
        sensitivity=_spread(people.sensitivity_spread, random.standard_normal(n)),
        price_sensitivity=_spread(people.sensitivity_spread, random.standard_normal(n)),
        opted_in=random.random(n) < people.email_opt_in,
        store=random.integers(0, stores, n),
    )


def stores_of(customers: int, per_store: float) -> int:
    """How many stores a block of customers has; one at least."""
    return max(1, round(customers / per_store))


def _archetypes(segments: int, categories: int, streams: Streams) -> np.ndarray:
    """Log taste of each segment of a block, which share no luck with other blocks; float64 (segments, K)."""
    return streams.generator("archetypes").standard_normal((segments, categories))


def _spread(sd: float, normal: np.ndarray) -> Float32Array:
    """Log-normal with mean 1."""
    return np.exp(sd * normal - sd**2 / 2).astype(np.float32)
