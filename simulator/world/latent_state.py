"""What changes in customers from day to day and cannot be seen: goodwill, fatigue, expected discounts, wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import BoolArray, Float32Array, IntArray

NOTHING = -1
NEVER = -1000  # a day before any history; -1 is the day before the horizon


@dataclass
class LatentState:
    """Latent states of n customers, changed in place day by day.

    Attributes:
        alive: bool (n,), has not left for good.
        reachable: bool (n,), may be e-mailed.
        goodwill: float32 (n,), 0 is neutral.
        fatigue: float32 (n, 2), recent contacts by e-mail and by associates, decayed.
        expected_discount: float32 (n,), share of the price.
        satiated: float32 (n,), share of the purchase rate that earlier discounts already used up.
        want: int64 (n,), category wanted, -1 for none.
        cart: int64 (n,), category left in a cart, -1 for none.
        visit_due: int64 (n,), day on which an e-mail brings a visit, `NEVER` for none.
        visit_action: int64 (n,), the action that brings it.
        store_due: int64 (n,), day on which an associate's call brings a store visit, `NEVER` for none.
        return_due: int64 (n,), day on which a purchase is brought back, `NEVER` for none.
        return_value: float32 (n,), money to be paid back then.
        return_kept: float32 (n,), money the sale had earned.
        return_category: int64 (n,).
        last_purchase: int64 (n,), day, `NEVER` if none.
        last_thanks: int64 (n,), day, `NEVER` if none.
    """

    alive: BoolArray
    reachable: BoolArray
    goodwill: Float32Array
    fatigue: Float32Array
    expected_discount: Float32Array
    satiated: Float32Array
    want: IntArray
    cart: IntArray
    visit_due: IntArray
    visit_action: IntArray
    store_due: IntArray
    return_due: IntArray
    return_value: Float32Array
    return_kept: Float32Array
    return_category: IntArray
    last_purchase: IntArray
    last_thanks: IntArray

    @classmethod
    def neutral(cls, *, opted_in: BoolArray, goodwill: Float32Array) -> LatentState:
        """LatentState of customers never spoken to."""
        n = len(opted_in)

        def every(code: int) -> IntArray:
            return np.full(n, code, dtype=np.int64)

        def zeros() -> Float32Array:
            return np.zeros(n, dtype=np.float32)

        return cls(
            alive=np.ones(n, dtype=bool),
            reachable=opted_in.copy(),
            goodwill=goodwill.astype(np.float32),
            fatigue=np.zeros((n, 2), dtype=np.float32),
            expected_discount=zeros(),
            satiated=zeros(),
            want=every(NOTHING),
            cart=every(NOTHING),
            visit_due=every(NEVER),
            visit_action=every(0),
            store_due=every(NEVER),
            return_due=every(NEVER),
            return_value=zeros(),
            return_kept=zeros(),
            return_category=every(NOTHING),
            last_purchase=every(NEVER),
            last_thanks=every(NEVER),
        )

    def copy(self) -> LatentState:
        """Independent copy."""
        return LatentState(**{name: value.copy() for name, value in vars(self).items()})
