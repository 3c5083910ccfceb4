"""A day of a block of customers: what they do by themselves, and what follows from what is done to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.config.models import Goals
from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.behaviour import associates, baskets, discounts, fatigue, goodwill, shopping, site, wants
from simulator.world.channels import WORLD_CHANNELS
from simulator.world.happenings import EventList, Totals
from simulator.world.latent_state import NEVER, NOTHING
from simulator.world.scene import Scene

DAY = 86400.0
START = 1_767_571_200.0  # Monday, 5 January 2026, 00:00 UTC
# Hours of the day's parts: outbound contacts, visits, what visits end with.
MORNING, VISITING, LEAVING, EVENING = 9.0, 12.0, 13.0, 18.0
NOBODY = np.empty(0, dtype=np.int64)
# What time alone does, every morning: modules with `fade(scene)`.
DAILY = (
    goodwill,
    fatigue,
    discounts,
)


def moment(day: int, hour: float) -> float:
    """Seconds since 1970 UTC of an hour of a day of the world."""
    return START + day * DAY + hour * 3600


@dataclass(frozen=True)
class Visits:
    """Who is on the site and who is in the store today.

    Attributes:
        sessions: site sessions.
        in_store: int64 (m,), customers in the store.
        called: bool (m,), came because an associate called.
        trip: bool (m,), came to buy.
    """

    sessions: site.Sessions
    in_store: IntArray
    called: BoolArray
    trip: BoolArray


class Day:
    """The parts of a day, in order: `contact`, `visits`, `end`; each returns or adds to what happened."""

    def __init__(self, scene: Scene, goals: Goals, weekdays: Float32Array, tally: Totals) -> None:
        self.scene = scene
        self.events = EventList()
        self.minutes = associates.Minutes(scene)
        self._goals = goals
        self._weekday = float(weekdays[scene.day % 7])
        self._tally = tally
        for behaviour in DAILY:
            behaviour.fade(scene)
        wanting, told = wants.pass_and_arrive(scene)
        self._told = wanting[told]
        # The others tell an associate, at the counter or on the phone.
        asks = scene.uniforms("want asked", self._told) < scene.people.store_preference[self._told]
        self._searching = self._told[~asks]
        self._give_back()

    def contact(self, rows: IntArray, action: IntArray) -> BoolArray:
        """Send messages and make associates' calls; other actions do nothing.

        Returns:
            Which contacts really happened, bool (m,).
        """
        scene, channel = self.scene, self.scene.table.channel[action]
        happened = np.zeros(len(rows), dtype=bool)
        for sender in WORLD_CHANNELS:
            code = scene.table.channels.get(sender.name)
            if sender.receive is None or code is None:
                continue
            by = channel == code
            happened[by] = True
            reached, at = rows[by], moment(scene.day, MORNING + 1)
            response = sender.receive(scene, reached, action[by])
            self._sent(sender.name, reached, action[by], at=moment(scene.day, MORNING))
            self.events.add("open", reached[response.opened], at=at, channel=code)
            self._unsubscribe(reached[response.unsubscribed], code, at=at)
        by_call = channel == scene.table.channels["store"]
        happened[by_call] = self._approach(rows[by_call], action[by_call], in_store=False, hour=MORNING + 1).done
        return happened

    def visits(self, *, newcomers: IntArray = NOBODY) -> Visits:
        """Who comes today; newcomers come to buy for the first time."""
        scene, table = self.scene, self.scene.table
        everybody = np.arange(len(scene.people))
        buys = shopping.occasions(scene, weekday=self._weekday)
        buys[newcomers] = True
        to_store = scene.uniforms("where", everybody) < scene.people.store_preference
        sessions = site.arrive(scene, buying=buys & ~to_store, searching=self._searching)
        called = associates.called_in(scene)
        in_store = np.flatnonzero((buys & to_store) | called)
        at, rows = moment(scene.day, VISITING), sessions.rows
        mailed = sessions.from_email > 0
        self.events.add("click", rows[mailed], at=at, channel=table.channel[sessions.from_email[mailed]])
        self.events.add("visit", rows, at=at)
        self.events.add("view", rows, at=at, category=sessions.focus)
        self.events.add("want", self._told, at=at, category=scene.moods.want[self._told])
        self.events.add("store_visit", in_store, at=at)
        self._tally.click(rows[mailed])
        self._tally.add("site_visits", rows)
        self._tally.add("store_visits", in_store)
        for outcome, who in (("click", rows[mailed]), ("visit", rows), ("store_visit", in_store)):
            self._tally.value(who, self._goals.worth(outcome))
        return Visits(sessions, in_store, called[in_store], (buys & to_store)[in_store])

    def end(self, visits: Visits, banner: IntArray, alert: IntArray) -> BoolArray:
        """Let visits end, given the actions of the site sessions and of the customers in the store.

        Returns:
            Which alerts an associate had time for, bool (m,).
        """
        done = self._in_store(visits, alert)
        self._on_site(visits.sessions, banner)
        moods = self.scene.moods
        self._tally.close_day(reachable=moods.reachable, alive=moods.alive)
        return done

    def _on_site(self, sessions: site.Sessions, banner: IntArray) -> None:
        scene, rows, at = self.scene, sessions.rows, moment(self.scene.day, LEAVING)
        shown = banner > 0
        self._tally.add("site", rows[shown])
        self._spend(rows[shown], scene.table.cost[banner[shown]])
        outcome = site.end(scene, sessions, banner)
        clicked = rows[outcome.clicked]
        code = scene.table.channels["site"]
        self.events.add("sent", rows[shown], at=at, channel=code)
        self.events.add("click", clicked, at=at, channel=code)
        self.events.add("view", clicked, at=at, category=outcome.category[outcome.clicked])
        self._tally.click(clicked)
        self._tally.value(clicked, self._goals.worth("click"))
        self.events.add("cart_add", rows[outcome.carted], at=at, category=outcome.category[outcome.carted])
        scene.moods.cart[rows[outcome.carted]] = outcome.category[outcome.carted]
        missed = rows[outcome.out_of_stock & (scene.moods.want[rows] == outcome.category)]
        goodwill.change(scene.moods, missed, scene.world.goodwill.want_missed)
        bought = outcome.bought
        completed = scene.table.of_intent("complete_look", banner)
        self._purchase(
            rows[bought], outcome.category[bought], discount=outcome.discount[bought], in_store=False,
            extra=completed[bought] & outcome.clicked[bought], planned=sessions.buying[bought], at=at,
        )  # fmt: skip

    def _in_store(self, visits: Visits, alert: IntArray) -> BoolArray:
        scene, rows = self.scene, visits.in_store
        speaks = alert > 0
        done = np.zeros(len(rows), dtype=bool)
        alerts = self._approach(rows[speaks], alert[speaks], in_store=True, hour=LEAVING)
        done[speaks] = alerts.done
        sold = np.zeros(len(rows), dtype=bool)
        sold[speaks] = alerts.sold
        in_stock, _ = scene.market.on(scene.day)
        subject = np.maximum(scene.table.subject[alert], 0)
        sold &= in_stock[subject]
        chance = scene.uniforms("store category", rows)
        own = wants.draw_category(scene.people, rows, chance)
        wanted = scene.moods.want[rows]
        seeks = (wanted != NOTHING) & (visits.called | (scene.uniforms("store want", rows) < 0.5))
        category = np.where(sold, subject, np.where(seeks, wanted, own))
        # On a trip, what is out of stock is replaced by something else; who came for one thing goes without.
        missing = ~in_stock[category]
        missed = missing & seeks & (category == wanted)
        goodwill.change(scene.moods, rows[missed], scene.world.goodwill.want_missed)
        other = np.flatnonzero(missing & visits.trip)
        category[other] = wants.draw_category(scene.people, rows[other], chance[other], available=in_stock)
        buys = in_stock[category]
        self._purchase(
            rows[buys], category[buys], discount=np.zeros(int(buys.sum()), dtype=np.float32), in_store=True,
            extra=(sold & visits.trip)[buys], planned=visits.trip[buys], at=moment(scene.day, EVENING),
        )  # fmt: skip
        return done

    def _purchase(
        self, rows: IntArray, category: IntArray, *, discount: Float32Array, in_store: bool, extra: BoolArray,
        planned: BoolArray, at: float,
    ) -> None:  # fmt: skip
        """One basket each; `extra` adds what an associate or a banner sold on top.

        Money kept is the margin on the list price less the discount: who gives ten percent off gives it all.
        """
        scene, moods, settings = self.scene, self.scene.moods, self.scene.world.baskets
        place = "store" if in_store else "site"  # who buys in both on a day draws twice
        values = baskets.basket_values(scene, rows, in_store=in_store)
        complement = scene.uniforms(f"{place} complement", rows) < settings.complement_share
        size = 1 + settings.complement_size * (complement.astype(np.float32) + extra)
        values = (values * size).astype(np.float32)
        off = 1 - (1 - discount) * (1 - scene.market.cut(scene.day)[category])
        taken, paid = values * off, values * (1 - off)
        self.events.add("purchase", rows, at=at, category=category, value=paid, discount=taken)
        rate = self._goals.worth("purchase", value=1.0) - self._goals.worth("purchase")
        self._tally.add("purchases", rows)
        self._tally.add("revenue", rows, paid)
        self._tally.add("discount", rows, taken)
        kept = rate * values - taken
        self._tally.earn(rows, kept)
        self._tally.value(rows, self._goals.worth("purchase"))
        discounts.learn(scene, rows, off)
        met = rows[moods.want[rows] == category]
        self._tally.add("wants_met", met)
        goodwill.change(moods, met, scene.world.goodwill.want_met)
        moods.want[met] = NOTHING
        moods.cart[rows[moods.cart[rows] == category]] = NOTHING
        # The fitted drop-out follows purchases of one's own accord; a contact's must not drive customers away.
        again = rows[planned & (moods.last_purchase[rows] != NEVER)]
        moods.last_purchase[rows] = scene.day
        if not in_store:
            baskets.schedule_returns(scene, rows, category, paid=paid, kept=kept)
        shopping.leave(scene, again, place=place)

    def _approach(self, rows: IntArray, action: IntArray, *, in_store: bool, hour: float) -> associates.Alerts:
        scene = self.scene
        alerts = associates.approach(scene, rows, action, minutes=self.minutes, in_store=in_store)
        done, at, code = alerts.done, moment(scene.day, hour), scene.table.channels["store"]
        self._sent("store", rows[done], action[done], at=at)
        self._tally.add("minutes", rows[done], scene.table.minutes[action[done]])
        self.events.add("click", rows[alerts.accepted], at=at, channel=code)
        self._tally.add("accepts", rows[alerts.accepted])
        self._tally.value(rows[alerts.accepted], self._goals.worth("accept"))
        self._tally.value(rows[done & ~alerts.accepted], self._goals.worth("dismiss"))
        self._unsubscribe(rows[alerts.opted_out], code, at=at)
        return alerts

    def _sent(self, channel: str, rows: IntArray, action: IntArray, *, at: float) -> None:
        self.events.add("sent", rows, at=at, channel=self.scene.table.channels[channel])
        self._tally.add(channel, rows)
        self._spend(rows, self.scene.table.cost[action])

    def _spend(self, rows: IntArray, cost: Float32Array) -> None:
        self._tally.add("contact_cost", rows, cost)
        self._tally.earn(rows, -cost)

    def _unsubscribe(self, rows: IntArray, channel: int, *, at: float) -> None:
        self.events.add("unsubscribe", rows, at=at, channel=channel)
        self._tally.add("unsubscribes", rows)
        self._tally.value(rows, self._goals.worth("unsubscribe"))

    def _give_back(self) -> None:
        scene, moods = self.scene, self.scene.moods
        rows = np.flatnonzero(moods.return_due == scene.day)
        paid = moods.return_value[rows]
        # Not before the morning's decisions, which do not know of it yet.
        at = moment(scene.day, MORNING)
        self.events.add("return", rows, at=at, category=moods.return_category[rows], value=paid)
        self._tally.add("returns", rows)
        self._tally.add("revenue", rows, -paid)
        # Handling, and whatever the sale had earned.
        self._tally.earn(rows, np.float32(self._goals.worth("return")) - moods.return_kept[rows])
        moods.return_due[rows] = NEVER
