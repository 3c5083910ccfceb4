"""What the world's customers do, in the form of the real files: the same figures can then be read from both.

Each data set's own kind of customers is simulated alone and without decisions, by the modules that rollouts use;
goodwill, wants, stock-outs and sales stay on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from policies.arrays import Float64Array, IntArray
from simulator.calibration.data.data import ARMS, Baskets, MailTest, Orders
from simulator.calibration.data.trips import FIRST_WEEKDAY
from simulator.calibration.fidelity.company import POPULATIONS, Company
from simulator.errors import CalibrationError
from simulator.world.actions import EMAIL, ActionTable
from simulator.world.market import draw_market
from simulator.world.scene import Scene
from simulator.world.streams import Streams

HISTORY_DAYS = 60  # before an e-mail test, as before a rollout
TEST_DAYS = 14  # Hillstrom watched customers for two weeks
_WEEK_DAYS = 7
_NEVER_BUYS = -30.0  # log-odds
_NONE, _MENS, _WOMENS = (ARMS.index(arm) for arm in ("none", "mens", "womens"))


def simulate_orders(company: Company, *, customers: int, days: int, first_day: IntArray, browsing: bool) -> Orders:
    """CDNOW's log, written by occasional customers.

    What the world took from CDNOW is when customers set out to buy. Orders that browsing ends in, taken from
    Hillstrom, come on top (see `simulate_mail_test`).

    Args:
        company: who they buy from.
        customers: how many.
        days: length of the record.
        first_day: int64 (m,), days from the start of the record to real customers' first orders, drawn from.
        browsing: whether browsing may end in an order too.
    """
    company = company.changed("population", regular_share=0.0)
    if not browsing:
        company = company.changed("site", conversion=_NEVER_BUYS)
    joining = int(first_day.max()) + 1  # days before the horizon: nothing is out of stock, so each has a first order
    parts = []
    for index, scene in enumerate(company.scenes(customers, days=days)):
        joined = scene.streams.generator("joined").choice(first_day, len(scene.people)) - joining
        _, bought = company.live(scene, range(-joining, days - joining), joined=joined)
        parts.append((bought.customer + index * len(scene.people), bought.day + joining, bought.value))
    return Orders(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def simulate_baskets(company: Company, *, households: int, days: int, hours: Float64Array) -> Baskets:
    """Complete Journey's baskets, of regular customers who shop in the store.

    Args:
        company: where they shop.
        households: how many.
        days: length of the record, which begins on a Sunday as the real one does.
        hours: float64 (m,), hours of real trips, drawn from: the world knows days only, and gaps between trips can be
            compared only if both kinds of trips have hours.
    """
    company = company.changed("population", regular_share=1.0)
    start = FIRST_WEEKDAY - _WEEK_DAYS
    parts = []
    for index, scene in enumerate(company.scenes(households, days=days)):
        scene.people = replace(scene.people, store_preference=np.ones_like(scene.people.store_preference))
        _, bought = company.live(scene, range(start, start + days))
        bought = bought.where(bought.in_store)
        hour = scene.streams.generator("hour of trip").choice(hours, len(bought.customer))
        household = bought.customer + index * len(scene.people)
        parts.append((household, bought.day - start, hour, bought.value))
    return Baskets(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def simulate_mail_test(company: Company, *, customers: int, fortnights: int) -> MailTest:
    """Hillstrom's test with occasional customers, all opted in and none of them tired.

    Before it they live as before a rollout. Then everybody lives two weeks three times: without mail, with one about
    the category bought most, and with one about another category. A customer who has left for good is in the test and
    does nothing, as in a real address list.

    Nobody has a purchase occasion (`simulator.world.behaviour.shopping`) in these weeks: visits and orders are what
    browsing and mail bring. CDNOW's customers, whose occasions the world has, order several times as often as
    Hillstrom's, and no data tell the two apart; so occasions answer to CDNOW, browsing and mail to Hillstrom.

    Even rows stand for buyers of men's merchandise, odd ones for buyers of women's: the arm of one's own department is
    the mail about the category bought most.

    Args:
        company: whose customers.
        customers: how many.
        fortnights: how often everybody lives each of the three, each time with other chances.

    Raises:
        CalibrationError: the catalogue has no mail that inspires to each category.
    """
    company = company.changed("population", regular_share=0.0)
    inspire = _inspiring_mail(company)
    parts = []
    for scene in company.scenes(customers, days=TEST_DAYS):
        n, k = len(scene.people), len(inspire)
        joined = scene.streams.generator("joined").integers(-HISTORY_DAYS, 0, n)
        _, bought = company.live(scene, range(-HISTORY_DAYS, 0), joined=joined)
        most = np.bincount(bought.customer * k + bought.category, minlength=n * k).reshape(n, k).argmax(axis=1)
        other = (most + scene.streams.generator("other category").integers(1, k, n)) % k
        mens = np.arange(n) % 2 == 0
        own_arm, other_arm = np.where(mens, _MENS, _WOMENS), np.where(mens, _WOMENS, _MENS)
        scene.people = replace(scene.people, purchase_rate=np.zeros_like(scene.people.purchase_rate))
        for fortnight in range(fortnights):
            again = _with_other_chances(company, scene, fortnight)
            nothing = np.full(n, _NONE)
            for arm, mailed in ((nothing, nothing), (own_arm, inspire[most]), (other_arm, inspire[other])):
                visits, ordered = company.live(
                    replace(again, moods=scene.moods.copy()), range(TEST_DAYS), mailed=mailed
                )
                visit = np.bincount(visits.customer, minlength=n) > 0
                conversion = np.bincount(ordered.customer, minlength=n) > 0
                spend = np.bincount(ordered.customer, weights=ordered.value, minlength=n)
                parts.append((arm, mens, ~mens, visit.astype(np.float64), conversion.astype(np.float64), spend))
    return MailTest(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _with_other_chances(company: Company, scene: Scene, fortnight: int) -> Scene:
    seed = scene.streams.seed + POPULATIONS * fortnight
    market = draw_market(company.world.market, days=TEST_DAYS, categories=company.categories, streams=Streams(seed, -1))
    return replace(scene, market=market, streams=Streams(seed, 1))


def _inspiring_mail(company: Company) -> IntArray:
    """The plain e-mail about each category, an index of the action table, int64 (K,)."""
    table = ActionTable.of(company.retailer)
    plain = table.intents.get("inspire", table.channel < -1) & (table.channel == table.channels[EMAIL])
    found = []
    for code, category in enumerate(company.retailer.catalogue.categories):
        mails = np.flatnonzero(plain & (table.subject == code) & (table.discount == 0))
        if not len(mails):
            raise CalibrationError(
                f"{company.retailer.directory / 'catalog.yaml'}: no e-mail of intent inspire is about {category}, and "
                "the e-mail test needs one per category; add email.inspire.{category}"
            )
        found.append(mails[0])
    return np.array(found)
