"""Every figure of real customers that a world is held against, and the parameters it starts from, under stable names.

Names are `<source>.<figure>`; units: weeks for rates unless the name says days, dollars for values, shares otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from simulator.calibration.data import coupons, data, trips
from simulator.calibration.data.baskets import fit_log_normal, mean_basket
from simulator.calibration.data.data import ARMS, Baskets, MailTest, Orders
from simulator.calibration.data.email_response import (
    HISTORIES,
    OUTCOMES,
    conversion_given_visit,
    history,
    lift_by_match,
    lift_of_mail,
    lift_of_mails,
    order_values,
    outcome_of_arm,
    outcome_of_mails,
)
from simulator.calibration.data.order_value import fit_order_value
from simulator.calibration.data.purchase_process import fit_purchase_process, orders_between, summarise
from simulator.calibration.data.uncertainty import (
    Measured,
    bootstrap,
    mean,
    quantile,
    ratio,
    standard_deviation,
    variation,
)

# Of the resampling behind the errors of quantiles and of the peak hour.
SEED = 20170101
# CDNOW's year and a half is read as the literature reads it: two halves of 39 weeks.
HALF = 39


@dataclass(frozen=True)
class Moment:
    """One figure of real customers.

    Attributes:
        name: such as `cdnow.share_no_repeat_39w`.
        value: the figure.
        standard_error: of the figure as an estimate for customers like these.
        source: the file, below the data folder.
        n: customers or households it rests on.
    """

    name: str
    value: float
    standard_error: float
    source: str
    n: int


@dataclass(frozen=True)
class Fitted:
    """One parameter fitted to real customers.

    Attributes:
        value: the parameter.
        source: the file, below the data folder.
        n: customers or households it rests on.
    """

    value: float
    source: str
    n: int


def real_moments(folder: Path) -> tuple[Moment, ...]:
    """All moments, in a fixed order.

    Args:
        folder: the data folder, see `simulator.calibration.data.data`.

    Raises:
        CalibrationError: a file is missing, damaged or of another shape.
    """
    contacts, redemptions = data.read_contacts(folder), data.read_redemptions(folder)
    return (
        *cdnow_moments(data.read_orders(folder), source=data.CDNOW_ORDERS),
        *journey_moments(data.read_baskets(folder), source=data.BASKETS),
        *_named("coupons", _coupons(contacts, redemptions), source=data.REDEMPTIONS),
        *hillstrom_moments(data.read_mail_test(folder), source=data.HILLSTROM),
    )


def cdnow_moments(orders: Orders, *, source: str) -> tuple[Moment, ...]:
    """Moments of a log of orders, real or simulated."""
    return _named("cdnow", _cdnow(orders), source=source)


def journey_moments(baskets: Baskets, *, source: str, households: int = trips.PANEL) -> tuple[Moment, ...]:
    """Moments of the baskets, real or simulated, of so many households, some of which have none."""
    return _named("journey", _journey(baskets, households), source=source)


def hillstrom_moments(test: MailTest, *, source: str) -> tuple[Moment, ...]:
    """Moments of an e-mail test, real or simulated; by history, of those histories that somebody has."""
    return _named("hillstrom", _hillstrom(test), source=source)


def fit(folder: Path) -> dict[str, Fitted]:
    """All parameters by name.

    Args:
        folder: the data folder, see `simulator.calibration.data.data`.

    Raises:
        CalibrationError: a file is missing, damaged or of another shape, or a model does not fit it.
    """
    return {
        **_fit_cdnow(folder),
        **_fit_journey(data.read_baskets(folder)),
        **_fit_hillstrom(data.read_mail_test(folder)),
    }


def _named(prefix: str, figures: Iterable[tuple[str, Measured]], *, source: str) -> tuple[Moment, ...]:
    return tuple(Moment(f"{prefix}.{name}", m.value, m.standard_error, source, m.n) for name, m in figures)


def _cdnow(orders: Orders) -> Iterable[tuple[str, Measured]]:
    repeats = summarise(orders, weeks=HALF).repeats
    later = orders_between(orders, start=HALF, end=2 * HALF)
    yield "repeat_per_customer_39w", mean(repeats.astype(np.float64))
    yield "share_no_repeat_39w", mean((repeats == 0).astype(np.float64))
    yield "repeat_weeks_40_78_per_customer", mean(later.astype(np.float64))
    yield "share_active_second_half", mean((later > 0).astype(np.float64))


def _journey(baskets: Baskets, households: int) -> Iterable[tuple[str, Measured]]:
    weeks = trips.weeks_covered(baskets)
    count = trips.trips_per_household(baskets, households=households).astype(np.float64)
    active = trips.active_weeks_per_household(baskets, households=households)
    gap, household = trips.gaps(baskets)
    log_normal = fit_log_normal(baskets.value, baskets.household)
    by_hour = trips.hourly_trips(baskets)
    yield "trips_per_household_week", mean(count / weeks)
    yield "active_week_share", mean(active / weeks)
    yield "trips_cv", variation(count)
    yield "gap_median_days", quantile(gap, 0.5, seed=SEED, cluster=household)
    yield "gap_p90_days", quantile(gap, 0.9, seed=SEED, cluster=household)
    yield "basket_mean", mean_basket(baskets.value, baskets.household)
    yield "basket_log_mean", log_normal.log_mean
    yield "basket_log_sd", log_normal.log_sd
    by_weekday = trips.weekday_trips(baskets)
    for day, trips_on in zip(trips.WEEKDAYS, by_weekday.T, strict=True):
        yield f"weekday.{day}", ratio(trips_on, by_weekday.sum(axis=1))
    yield "hour_peak", bootstrap(lambda times: float(np.argmax(times @ by_hour)), units=len(by_hour), seed=SEED)


def _coupons(contacts: data.Contacts, redemptions: data.Redemptions) -> Iterable[tuple[str, Measured]]:
    for of in coupons.TYPES:
        yield f"redemption_{of}", coupons.redemption_per_contact(contacts, redemptions, campaign_type=of)
    yield "past_redeemer_ratio", coupons.past_redeemer_ratio(contacts, redemptions)
    lag, household = coupons.redemption_lags(contacts, redemptions)
    yield "lag_median_days", quantile(lag, 0.5, seed=SEED, cluster=household)


def _hillstrom(test: MailTest) -> Iterable[tuple[str, Measured]]:
    for outcome in OUTCOMES:
        for arm in ARMS:
            yield f"{outcome}_{arm}", outcome_of_arm(test, outcome=outcome, arm=arm)
    for outcome in OUTCOMES:
        for arm in ARMS[1:]:
            yield f"{outcome}_lift_{arm}", lift_of_mail(test, outcome=outcome, arm=arm)
    for outcome in OUTCOMES:
        yield f"{outcome}_mail", outcome_of_mails(test, outcome=outcome)
        yield f"{outcome}_lift_mail", lift_of_mails(test, outcome=outcome)
    for arm in ARMS:
        yield f"conversion_given_visit_{arm}", conversion_given_visit(test, arm=arm)
    for outcome in OUTCOMES:
        yield f"{outcome}_lift_matched", lift_by_match(test, outcome=outcome, matched=True)
        yield f"{outcome}_lift_mismatched", lift_by_match(test, outcome=outcome, matched=False)
    for index, bought in enumerate(HISTORIES):
        for arm in ARMS[1:] if (history(test) == index).any() else ():
            yield (
                f"visit_lift_{arm}.{bought}",
                lift_of_mail(test, outcome="visit", arm=arm, among=history(test) == index),
            )
    orders = order_values(test)
    yield "order_value_median", quantile(orders, 0.5, seed=SEED)
    yield "order_value_log_sd", standard_deviation(np.log(orders))


def _fit_cdnow(folder: Path) -> dict[str, Fitted]:
    summary = data.read_summary(folder)
    n, repeated = len(summary.repeats), int((summary.repeats > 0).sum())
    process, value = asdict(fit_purchase_process(summary)), asdict(fit_order_value(summary))
    return {
        **{f"cdnow.{name}": Fitted(of, data.CDNOW_SUMMARY, n) for name, of in process.items()},
        **{f"cdnow.value_{name}": Fitted(of, data.CDNOW_SUMMARY, repeated) for name, of in value.items()},
    }


def _fit_journey(baskets: Baskets) -> dict[str, Fitted]:
    weeks, count = trips.weeks_covered(baskets), trips.trips_per_household(baskets)
    # By moments, so that the mean and the spread of households come out as they are; counts have a heavier tail than
    # the model's, and the likelihood prefers to fit the bulk (r_likelihood).
    rates = trips.fit_by_moments(count, weeks=weeks)
    log_normal = fit_log_normal(baskets.value, baskets.household)
    by_weekday = trips.weekday_trips(baskets)
    shares = by_weekday.sum(axis=0) / by_weekday.sum()
    panel, shopping = len(count), len(by_weekday)
    values = {
        "r": (rates.shape, panel),
        "r_likelihood": (trips.fit_by_likelihood(count, weeks=weeks).shape, panel),
        "rate": (rates.rate, panel),
        "basket_log_mean": (log_normal.log_mean.value, log_normal.log_mean.n),
        "basket_log_sd": (log_normal.log_sd.value, log_normal.log_sd.n),
        **{f"weekday.{day}": (float(share), shopping) for day, share in zip(trips.WEEKDAYS, shares, strict=True)},
    }
    return {f"journey.{name}": Fitted(value, data.BASKETS, n) for name, (value, n) in values.items()}


def _fit_hillstrom(test: MailTest) -> dict[str, Fitted]:
    orders = order_values(test)
    log_normal = fit_log_normal(orders, np.arange(len(orders)))
    measured = {
        f"visit.{bought}.{arm}": outcome_of_arm(test, outcome="visit", arm=arm, among=history(test) == index)
        for index, bought in enumerate(HISTORIES)
        for arm in ARMS
    }
    measured |= {f"conversion_given_visit.{arm}": conversion_given_visit(test, arm=arm) for arm in ARMS}
    measured |= {"order_log_mean": log_normal.log_mean, "order_log_sd": log_normal.log_sd}
    measured["order_floor"] = Measured(float(orders.min()), 0.0, len(orders))
    return {f"hillstrom.{name}": Fitted(m.value, data.HILLSTROM, m.n) for name, m in measured.items()}
