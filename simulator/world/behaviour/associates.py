"""What an associate does: alerts for customers in the store, calls to others, within the minutes of a day.

No data here shows any of this: every effect is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.behaviour import fatigue, goodwill
from simulator.world.behaviour.relevance import fit_of
from simulator.world.latent_state import NOTHING
from simulator.world.population import stores_of
from simulator.world.scene import Scene

_LARGEST_HAZARD = 0.5
_BY_PHONE = -1.0  # log-odds of accepting a call rather than a conversation in the store
_PHONE_STRENGTH = 0.5  # of service and thanks on the phone, relative to the store
_CALL_TELLS_WITHIN_DAYS = 4


@dataclass(frozen=True)
class Alerts:
    """What m alerts led to.

    Attributes:
        done: bool (m,), an associate had the minutes for it; the others expired without the customer noticing.
        accepted: bool (m,).
        opted_out: bool (m,), asked not to be approached again.
        sold: bool (m,), the customer bought what was shown.
    """

    done: BoolArray
    accepted: BoolArray
    opted_out: BoolArray
    sold: BoolArray


class Minutes:
    """Minutes of associates left today, per store."""

    def __init__(self, scene: Scene) -> None:
        n, per_store = len(scene.people), scene.world.population.customers_per_store
        stores = stores_of(n, per_store)
        # In proportion to its customers, so that a block of any size has as many minutes per customer.
        minutes = scene.world.associates.minutes_per_store * n / (stores * per_store)
        self.left = np.full(stores, minutes, dtype=np.float32)

    def spend(self, store: IntArray, minutes: Float32Array, order: Float32Array) -> BoolArray:
        """Which alerts (m,) there is time for, first come first served by `order` within each store."""
        by = np.lexsort((order, store))
        sorted_store, total = store[by], np.cumsum(minutes[by], dtype=np.float64)
        starts = np.flatnonzero(np.diff(sorted_store, prepend=-1))
        before = np.repeat(total[starts] - minutes[by][starts], np.diff(np.append(starts, len(by))))
        fits = np.empty(len(by), dtype=bool)
        fits[by] = total - before <= self.left[sorted_store]
        self.left -= np.bincount(store, weights=minutes * fits, minlength=len(self.left)).astype(np.float32)
        return fits


def approach(scene: Scene, rows: IntArray, action: IntArray, *, minutes: Minutes, in_store: bool) -> Alerts:
    """Associates approach customers `rows` (m,), who are in the store or are called.

    Accepting is a binary logit choice; a shown item sells with the lift of a basket; asking to be left alone has a
    hazard in felt fatigue.
    """
    name = "alert" if in_store else "call"
    people, moods, table, settings = scene.people, scene.moods, scene.table, scene.world.associates
    done = minutes.spend(people.store[rows], table.minutes[action], scene.uniforms(f"{name} order", rows))
    fit = fit_of(scene, rows, action)
    felt = fatigue.felt(scene, rows, by=fatigue.BY_ASSOCIATE)
    log_odds = (
        settings.accept
        + (0.0 if in_store else _BY_PHONE)
        + settings.relevance * fit.taste
        + scene.world.email.want * fit.answers_want
        + fit.misplaced
        + moods.goodwill[rows]
        - settings.fatigue * felt
    )
    accepted = done & moods.alive[rows] & (scene.uniforms(name, rows) < expit(log_odds))
    hazard = np.minimum(settings.opt_out * np.exp(np.minimum(felt, 6)), _LARGEST_HAZARD)
    opted_out = done & ~accepted & moods.alive[rows] & (scene.uniforms(f"{name} opt out", rows) < hazard)
    ignored = done & ~accepted
    goodwill.change(moods, rows[ignored], settings.dismiss_goodwill * (1 + felt[ignored]))
    strength = 1.0 if in_store else _PHONE_STRENGTH
    served = accepted & table.of_intent("service", action)
    # Help is welcome as often as it is needed, and that is seldom twice in a row.
    goodwill.change(moods, rows[served], scene.world.goodwill.service * strength * np.exp(-felt[served]))
    goodwill.thank(scene, rows[accepted & table.of_intent("thank", action)], strength=strength)
    sold = _sell(scene, rows, action, accepted=accepted, answers_want=fit.answers_want, in_store=in_store)
    fatigue.tire(moods, rows[done], by=fatigue.BY_ASSOCIATE)
    return Alerts(done, accepted, opted_out, sold)


def _sell(
    scene: Scene, rows: IntArray, action: IntArray, *, accepted: BoolArray, answers_want: BoolArray, in_store: bool
) -> BoolArray:
    """What is shown sells in the store; a call about what was wanted brings the customer in within days."""
    settings, table = scene.world.associates, scene.table
    shows = accepted & (table.subject[action] >= 0)
    if in_store:
        chance = np.where(answers_want, expit(np.float32(settings.recall_visit + 1)), np.float32(settings.basket_lift))
        return shows & (scene.uniforms("alert sale", rows) < chance)
    coming = shows & answers_want & (scene.uniforms("call visit", rows) < expit(settings.recall_visit))
    within = 1 + (scene.uniforms("call delay", rows[coming]) * _CALL_TELLS_WITHIN_DAYS).astype(np.int64)
    scene.moods.store_due[rows[coming]] = scene.day + within
    return np.zeros(len(rows), dtype=bool)


def called_in(scene: Scene) -> BoolArray:
    """Who comes to the store today because an associate called; bool (n,)."""
    moods = scene.moods
    comes: BoolArray = (moods.store_due == scene.day) & moods.alive & (moods.want != NOTHING)
    return comes
