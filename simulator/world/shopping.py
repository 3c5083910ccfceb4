"""When customers buy of their own accord, and when they leave for good."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.streams import Streams
from simulator.world.moods import Moods
from simulator.world.population import Population
from simulator.world.settings import DiscountSettings, ShoppingSettings


def occasions(
    settings: ShoppingSettings,
    discounts: DiscountSettings,
    people: Population,
    moods: Moods,
    streams: Streams,
    *,
    day: int,
    weekday: float,
) -> BoolArray:
    """Who buys today; bool (n,).

    Purchases of a living customer are Poisson with a gamma distributed rate (BG/NBD, assumptions i and ii), moved by
    the day of the week, by goodwill, by discounts expected and not given, and by what earlier discounts pulled forward.
    At neutral moods this is the fitted process itself.
    """
    log_factor = settings.goodwill_on_rate * moods.goodwill - discounts.loss * moods.expected_discount
    rate = people.purchase_rate * np.float32(weekday) * np.exp(log_factor) * (1 - moods.satiated)
    return (streams.uniforms("occasion", day, len(people)) < -np.expm1(-rate)) & moods.alive


def leave(
    settings: ShoppingSettings, people: Population, moods: Moods, streams: Streams, *, day: int, bought: IntArray
) -> None:
    """After each purchase a customer may leave for good (BG/NBD, assumption iii), less likely with goodwill."""
    chance: Float32Array = expit(
        logit(np.clip(people.dropout[bought], 1e-6, 1 - 1e-6)) - settings.goodwill_on_dropout * moods.goodwill[bought]
    )
    leaves = streams.uniforms("dropout", day, len(people))[bought] < chance
    moods.alive[bought[leaves]] = False
