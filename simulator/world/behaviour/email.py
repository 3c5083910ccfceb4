"""What an e-mail does: it is opened or not, brings a visit later or not, tires, and may lose the address."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from policies.arrays import BoolArray, IntArray
from simulator.world.behaviour import fatigue, goodwill
from simulator.world.behaviour.relevance import fit_of
from simulator.world.scene import Scene

_LARGEST_HAZARD = 0.5


@dataclass(frozen=True)
class MessageResponse:
    """What m messages led to on the day itself.

    Attributes:
        opened: bool (m,).
        unsubscribed: bool (m,).
    """

    opened: BoolArray
    unsubscribed: BoolArray


def receive(scene: Scene, rows: IntArray, action: IntArray) -> MessageResponse:
    """Customers `rows` (m,) get one e-mail each.

    A visit is a binary logit choice with random intercepts (McFadden 1974; Train 2009, chapters 3 and 6): log-odds
    rise with taste, an answered want, a discount and goodwill, and fall with felt fatigue. Its delay is geometric. An
    unsubscription has a hazard proportional to the exponential of felt fatigue (Cox 1972).
    """
    people, moods, settings = scene.people, scene.moods, scene.world.email
    fit = fit_of(scene, rows, action)
    felt = fatigue.felt(scene, rows, by=fatigue.BY_EMAIL)
    log_odds = (
        settings.visit
        + people.affinity[rows]
        + settings.relevance * fit.taste
        + settings.want * fit.answers_want
        + settings.cart * fit.recalls_cart
        + fit.misplaced
        + settings.discount * people.price_sensitivity[rows] * scene.table.discount[action]
        + settings.goodwill * moods.goodwill[rows]
        - settings.fatigue * felt
    )
    chance = expit(log_odds) * moods.alive[rows]
    u = scene.uniforms("email", rows)
    visits = u < chance
    # Who visits has opened: the same number decides both.
    opened = u < np.maximum(chance, np.minimum(chance * settings.opens_per_visit, 0.9))
    stays = np.log1p(-1 / (1 + settings.delay_days))
    delay = np.floor(np.log1p(-scene.uniforms("email delay", rows)) / stays).astype(np.int64)
    moods.visit_due[rows[visits]] = scene.day + delay[visits]
    moods.visit_action[rows[visits]] = action[visits]
    hazard = settings.unsubscribe * np.exp(np.minimum(settings.unsubscribe_fatigue * felt - fit.taste / 2, 6))
    hazard = np.minimum(hazard, _LARGEST_HAZARD) * moods.alive[rows]
    unsubscribed = scene.uniforms("unsubscribe", rows) < hazard
    moods.reachable[rows[unsubscribed]] = False
    ignored = scene.world.goodwill.irrelevant * felt * expit(-fit.taste)
    goodwill.change(moods, rows, np.where(visits, scene.world.goodwill.relevant, ignored).astype(np.float32))
    goodwill.thank(scene, rows[scene.table.of_intent("thank", action)], strength=0.5)
    fatigue.tire(moods, rows, by=fatigue.BY_EMAIL)
    return MessageResponse(opened, unsubscribed)
