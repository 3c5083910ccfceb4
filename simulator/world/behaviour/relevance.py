"""How well a contact fits a customer: taste for its subject, an open want it answers, a cart it recalls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.latent_state import NOTHING
from simulator.world.scene import Scene

_WITHOUT_REASON = np.float32(-1.0)  # log-odds lost by a message whose reason does not exist: no cart, nothing back


@dataclass(frozen=True)
class Fit:
    """How m contacts fit.

    Attributes:
        taste: float32 (m,), log interest in the subject relative to average, 0 for no subject.
        answers_want: bool (m,), the subject is what the customer wants, and it is in stock.
        recalls_cart: bool (m,), a cart is recalled that exists.
        misplaced: float32 (m,), log-odds lost because the reason given does not exist.
    """

    taste: Float32Array
    answers_want: BoolArray
    recalls_cart: BoolArray
    misplaced: Float32Array


def fit_of(scene: Scene, rows: IntArray, action: IntArray) -> Fit:
    """How actions (m,) fit customers `rows` (m,) today."""
    table, moods, in_stock, back_in_stock = scene.table, scene.moods, *scene.market.on(scene.day)
    subject = table.subject[action]
    known = subject >= 0
    category = np.maximum(subject, 0)
    taste = np.where(known, scene.people.taste[rows, category], np.float32(0))
    wanted = known & (moods.want[rows] == subject) & in_stock[category]
    # A recall without a subject is about the cart; one with a subject is about what was asked for.
    recall = table.of_intent("recall", action)
    recalls_cart = recall & ~known & (moods.cart[rows] != NOTHING)
    without_reason = recall & ~recalls_cart & ~wanted
    without_reason |= table.of_intent("back_in_stock", action) & ~(wanted & back_in_stock[category])
    return Fit(taste, wanted, recalls_cart, np.where(without_reason, _WITHOUT_REASON, np.float32(0)))
