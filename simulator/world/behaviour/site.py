"""What happens on the web site: who comes, what they look at, what a banner does, who buys, who leaves a cart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.behaviour import discounts
from simulator.world.behaviour.wants import draw_category
from simulator.world.latent_state import NOTHING
from simulator.world.scene import Scene

_WANT_IN_MIND = 0.7  # share of visits of somebody who wants something that are about it


@dataclass(frozen=True)
class Sessions:
    """Site sessions of a day, one per customer at most.

    Attributes:
        rows: int64 (m,), customers.
        from_email: int64 (m,), the e-mail action that brought them, 0 (hold) for none.
        buying: bool (m,), came to buy.
        focus: int64 (m,), category looked at first.
    """

    rows: IntArray
    from_email: IntArray
    buying: BoolArray
    focus: IntArray


@dataclass(frozen=True)
class SiteOutcome:
    """What m sessions ended with.

    Attributes:
        clicked: bool (m,), on the banner.
        bought: bool (m,).
        category: int64 (m,), what was bought, or left in the cart.
        discount: float32 (m,), share of the price given by a contact.
        carted: bool (m,), something was left in the cart.
        out_of_stock: bool (m,), wanted to buy and could not.
    """

    clicked: BoolArray
    bought: BoolArray
    category: IntArray
    discount: Float32Array
    carted: BoolArray
    out_of_stock: BoolArray


def arrive(scene: Scene, *, buying: BoolArray, searching: IntArray) -> Sessions:
    """Who comes today: by themselves, because of an e-mail, to buy, or to look for what they want.

    Spontaneous visits are Poisson with a gamma distributed rate, more frequent while something is wanted.
    """
    people, moods = scene.people, scene.moods
    rate = people.visit_rate * np.where(moods.want == NOTHING, np.float32(1), np.float32(scene.world.wants.on_visit))
    comes = scene.streams.uniforms("visit", scene.day, len(people)) < -np.expm1(-rate)
    emailed = moods.visit_due == scene.day
    comes |= emailed | buying
    comes[searching] = True
    rows = np.flatnonzero(comes & moods.alive)
    from_email = np.where(emailed[rows], moods.visit_action[rows], 0)
    u = scene.uniforms("focus", rows)
    focus = draw_category(people, rows, scene.uniforms("focus category", rows))
    focus = np.where((moods.want[rows] != NOTHING) & (u < _WANT_IN_MIND), moods.want[rows], focus)
    subject = scene.table.subject[from_email]
    focus = np.where(subject >= 0, subject, focus)
    # Who follows a reminder of the cart looks at the cart.
    reminded = scene.table.of_intent("recall", from_email) & (subject < 0) & (moods.cart[rows] != NOTHING)
    focus = np.where(reminded, moods.cart[rows], focus)
    return Sessions(rows, from_email, buying[rows], focus)


def end(scene: Scene, sessions: Sessions, banner: IntArray) -> SiteOutcome:
    """How sessions end, given the action shown (m,), `hold` (0) for none.

    Buying is a binary logit choice (McFadden 1974) of log-odds: interest in what is looked at, an open want in it, a
    visit brought by e-mail, goodwill, a discount relative to what is expected, a sale. A banner that is clicked turns
    the visitor to its subject, for better or worse.
    """
    rows, table, moods, settings = sessions.rows, scene.table, scene.moods, scene.world.site
    subject = table.subject[banner]
    shown = (banner > 0) & (subject >= 0)
    about = np.maximum(subject, 0)
    taste, wanted = scene.people.taste[rows, about], moods.want[rows] == about
    click = settings.banner_click + taste + settings.want * wanted + 2 * table.discount[banner]
    clicked = shown & (scene.uniforms("banner", rows) < expit(click))
    focus = np.where(clicked, subject, sessions.focus)
    in_stock, _ = scene.market.on(scene.day)
    cut = scene.market.cut(scene.day)[focus]
    mailed = table.subject[sessions.from_email] == focus
    discount = np.where(mailed, table.discount[sessions.from_email], np.float32(0))
    discount = np.maximum(discount, np.where(clicked, table.discount[banner], np.float32(0)))
    log_odds = (
        settings.conversion
        + settings.relevance * scene.people.taste[rows, focus]
        + settings.want * (moods.want[rows] == focus)
        + settings.after_email * (sessions.from_email > 0)
        + settings.goodwill * moods.goodwill[rows]
        + settings.click * clicked
        + discounts.attraction(scene, rows, discount)
        + scene.world.market.sale_effect * (cut > 0)
    )
    wants_to_buy = sessions.buying | (scene.uniforms("conversion", rows) < expit(log_odds))
    available = in_stock[focus]
    bought = wants_to_buy & available
    carted = ~bought & (scene.uniforms("cart", rows) < settings.cart_share)
    return SiteOutcome(clicked, bought, focus, discount, carted, wants_to_buy & ~available)
