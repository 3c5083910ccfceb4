"""When customers buy of their own accord, and when they leave for good."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.scene import Scene


def occasions(scene: Scene, *, weekday: float) -> BoolArray:
    """Who buys today; bool (n,).

    Purchases of a living customer are Poisson with a gamma distributed rate (BG/NBD, assumptions i and ii), moved by
    the day of the week, by goodwill, by discounts expected and not given, and by what earlier discounts pulled
    forward. At neutral moods this is the fitted process itself.
    """
    people, moods = scene.people, scene.moods
    log_factor = (
        np.float32(scene.world.shopping.goodwill_on_rate) * moods.goodwill
        - np.float32(scene.world.discounts.loss) * moods.expected_discount
    )
    rate = people.purchase_rate * np.float32(weekday) * np.exp(log_factor) * (1 - moods.satiated)
    u = scene.streams.uniforms("occasion", scene.day, len(people))
    buys: BoolArray = (u < -np.expm1(-rate)) & moods.alive
    return buys


def leave(scene: Scene, bought: IntArray, *, place: str) -> None:
    """After each repeat purchase a customer may leave for good (BG/NBD, assumption iii), less likely with goodwill.

    Nobody leaves after the first one: the fitted process counts from it.
    """
    settings, people, moods = scene.world.shopping, scene.people, scene.moods
    never = logit(np.clip(people.dropout[bought], 1e-6, 1 - 1e-6))
    chance: Float32Array = expit(never - settings.goodwill_on_dropout * moods.goodwill[bought])
    leaves = scene.uniforms(f"{place} dropout", bought) < chance
    moods.alive[bought[leaves]] = False
