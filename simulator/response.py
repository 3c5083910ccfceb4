"""A small built-in response model: how customers answer one contact. Synthetic, for trying the whole path.

Nothing here is fitted to data. Every number below is an assumption, chosen so that relevance matters,
attention is scarce and silence often wins: a contact about what a customer buys is clicked and sells a
little; a contact about anything else mostly tires; too many contacts lose the customer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray

# Log-odds of a click: base per channel, then per unit of each trace the customer shows.
CLICK_BASE = {"email": -3.2, "site": -3.6, "store": -1.5}
CLICK_AFFINITY = 2.5  # purchases of the action's own category, above what is typical
CLICK_WANT = 2.0  # an open want in it
CLICK_FATIGUE = -1.2  # recent contacts in the channel
CLICK_DISCOUNT = 4.0  # per unit of discount share
# A click becomes a purchase; the order is log-normal around what customers of this kind spend.
BUY_GIVEN_CLICK = {"email": 0.25, "site": 0.3, "store": 0.5}
ORDER_LOG_MEAN, ORDER_LOG_SD = 3.0, 0.8
# Log-odds of unsubscribing after a contact that was not clicked.
LEAVE_BASE, LEAVE_FATIGUE = -6.0, 1.5


@dataclass(frozen=True)
class Responses:
    """What n contacts led to.

    Attributes:
        click: bool (n,).
        purchase: float64 (n,), order value in money before discount, 0 for none.
        discount: float64 (n,), money taken off it.
        unsubscribe: bool (n,).
    """

    click: BoolArray
    purchase: Float64Array
    discount: Float64Array
    unsubscribe: BoolArray


def respond(
    features: Float32Array,
    action: IntArray,
    *,
    columns: tuple[str, ...],
    actions: ActionSet,
    typical: Float32Array,
    random: np.random.Generator,
) -> Responses:
    """How customers respond to the actions taken; `hold` is never responded to.

    Args:
        features: float32 (n, F), customer state with the `columns` named.
        action: int (n,), indices into `actions`.
        columns: names of the F columns.
        actions: the catalogue; its action features tell channel and discount, its pairs the category.
        typical: float32 (F,), mean features of the population; relevance is what a customer shows beyond it.
        random: the draws.
    """
    described = [{name: value for _, name, value in of_action} for of_action in actions.features]
    looked_up = [{pair.name: columns.index(pair.column) for pair in pairs} for pairs in actions.pairs]
    n = len(action)
    odds, leave = np.full(n, -np.inf), np.full(n, -np.inf)
    buy, discount = np.zeros(n), np.zeros(n)
    for a in np.unique(action).tolist():
        rows = np.flatnonzero(action == a)
        channel = next((c for c in CLICK_BASE if f"channel={c}" in described[a]), None)
        if channel is None:
            continue

        def trace(name: str, rows: IntArray = rows, a: int = a, *, beyond: Float32Array | None = None) -> Float64Array:
            column = looked_up[a].get(name)
            if column is None:
                return np.zeros(len(rows))
            found: Float64Array = features[rows, column].astype(np.float64)
            return found if beyond is None else found - float(beyond[column])

        fatigue = trace("channel.fatigue")
        discount[rows] = described[a].get("discount", 0.0)
        odds[rows] = (
            CLICK_BASE[channel]
            + CLICK_AFFINITY * trace("affinity.buy", beyond=typical)
            + CLICK_WANT * trace("affinity.want")
            + CLICK_FATIGUE * fatigue
            + CLICK_DISCOUNT * discount[rows]
        )
        buy[rows] = BUY_GIVEN_CLICK[channel]
        if channel != "site":
            leave[rows] = LEAVE_BASE + LEAVE_FATIGUE * fatigue
    click = random.random(n) < _logistic(odds)
    bought = click & (random.random(n) < buy)
    order = np.where(bought, random.lognormal(ORDER_LOG_MEAN, ORDER_LOG_SD, n), 0.0)
    left = ~click & (random.random(n) < _logistic(leave))
    return Responses(click=click, purchase=order, discount=order * discount, unsubscribe=left)


def _logistic(x: Float64Array) -> Float64Array:
    p: Float64Array = 1.0 / (1.0 + np.exp(-x))
    return p
