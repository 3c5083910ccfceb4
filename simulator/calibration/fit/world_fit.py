"""Everything in world.yaml that data speak for, fitted.

Directly where a model's parameter is the world's own; through simulation where the world has more in it than the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.config import Retailer
from simulator.calibration.data import data, trips
from simulator.calibration.data.daily_trips import fit_rhythm
from simulator.calibration.data.moments import fit
from simulator.calibration.data.trips import WEEKDAYS
from simulator.calibration.fidelity.company import Company
from simulator.calibration.fidelity.simulated import simulate_baskets, simulate_mail_test
from simulator.calibration.fit.world_baskets import below_floor_at_floor, without_complements
from simulator.calibration.fit.world_response import Response, fit_response
from simulator.world.settings import WorldSettings

SEED = 1000  # of the populations that moments are simulated with
CUSTOMERS = 20_000
FORTNIGHTS = 4
HOUSEHOLDS = 10_000
_ROUNDS = 3
_TRIPS, _ACTIVE = "trips per household-week", "share of active weeks"


@dataclass(frozen=True)
class FittedNumber:
    """A number for world.yaml.

    Attributes:
        value: the number.
        source: what it was fitted to, in words.
    """

    value: float
    source: str


@dataclass(frozen=True)
class FittedWorld:
    """All numbers of world.yaml that data speak for.

    Attributes:
        weekday: relative number of trips, Monday first; their mean is 1.
        numbers: by dotted name.
    """

    weekday: tuple[float, ...]
    numbers: Mapping[str, FittedNumber]


def fit_world(folder: Path, retailer: Retailer, world: WorldSettings) -> FittedWorld:
    """Fit the world's numbers to the real customers; its assumptions are taken as they are.

    Args:
        folder: the data folder, see `simulator.calibration.data.data`.
        retailer: whose catalogue and goals hold in simulation.
        world: its assumptions; fitted numbers in it are not looked at.

    Raises:
        CalibrationError: data are missing or damaged, or the world's moments cannot be brought to the real ones.
    """
    weekday, numbers = _directly(folder, world)
    company = Company(retailer, _with(world, numbers).model_copy(update={"weekday": weekday}), SEED)
    numbers |= _response(folder, company)
    company = Company(retailer, _with(company.world, numbers), SEED)
    return FittedWorld(weekday, numbers | _regular_trips(folder, company))


def _with(world: WorldSettings, numbers: Mapping[str, FittedNumber]) -> WorldSettings:
    sections: dict[str, dict[str, float]] = {}
    for name, number in numbers.items():
        section, key = name.split(".")
        sections.setdefault(section, {})[key] = number.value
    changed = {section: getattr(world, section).model_copy(update=values) for section, values in sections.items()}
    return world.model_copy(update=changed)


def _directly(folder: Path, world: WorldSettings) -> tuple[tuple[float, ...], dict[str, FittedNumber]]:
    found = {name: fitted.value for name, fitted in fit(folder).items()}
    shares = [found[f"journey.weekday.{day}"] for day in WEEKDAYS]
    store = without_complements(found["journey.basket_log_mean"], found["journey.basket_log_sd"], world.baskets)
    floor = found["hillstrom.order_floor"]
    site = without_complements(found["hillstrom.order_log_mean"], found["hillstrom.order_log_sd"], world.baskets)
    site = below_floor_at_floor(*site, floor=floor)
    record = data.read_baskets(folder)
    weeks, real, dropout = trips.weeks_covered(record), _rhythm(record), world.shopping.regular_dropout
    # A start, replaced below by rates that were lived with; the file's own must not matter, not even to chances.
    rates = fit_rhythm(trips=real[_TRIPS], active=real[_ACTIVE], weeks=weeks, dropout=dropout)
    start = "Complete Journey"
    cdnow = "CDNOW, BG/NBD of weeks 1 to 39"
    baskets = "Complete Journey, log-normal less complements"
    orders = "Hillstrom, log-normal less complements, censored at the floor"
    numbers = {
        "shopping.regular_shape": (rates.shape, start),
        "shopping.regular_rate": (rates.rate, start),
        "shopping.occasional_shape": (found["cdnow.r"], cdnow),
        "shopping.occasional_scale": (found["cdnow.alpha"], cdnow),
        "shopping.dropout_a": (found["cdnow.a"], cdnow),
        "shopping.dropout_b": (found["cdnow.b"], cdnow),
        "baskets.store_log_mean": (store[0], baskets),
        "baskets.store_log_sd": (store[1], baskets),
        "baskets.site_log_mean": (site[0], orders),
        "baskets.site_log_sd": (site[1], orders),
        "baskets.site_floor": (floor, "Hillstrom, least order"),
    }
    return tuple(share * len(shares) for share in shares), {n: FittedNumber(*of) for n, of in numbers.items()}


def _response(folder: Path, company: Company) -> dict[str, FittedNumber]:
    response = fit_response(
        data.read_mail_test(folder),
        lambda of: simulate_mail_test(_responding(company, of), customers=CUSTOMERS, fortnights=FORTNIGHTS),
    )
    return {
        "site.visits_per_week": FittedNumber(response.visits_per_week, "Hillstrom, visits without mail"),
        "site.conversion": FittedNumber(response.conversion, "Hillstrom, orders per visit without mail"),
        "site.after_email": FittedNumber(response.after_email, "Hillstrom, orders added per visit added by mail"),
        "email.visit": FittedNumber(response.visit, "Hillstrom, visits added by mail"),
        "email.relevance": FittedNumber(response.relevance, "Hillstrom, mail of one's own department and the other's"),
    }


def _responding(company: Company, response: Response) -> Company:
    values = asdict(response)
    email = {name: values.pop(name) for name in ("visit", "relevance")}
    return company.changed("site", **values).changed("email", **email)


def _regular_trips(folder: Path, company: Company) -> dict[str, FittedNumber]:
    """Rates with which the world has the panel's rhythm.

    Those of `daily_trips`, aimed off by as much as the world, which has moods as well, misses.
    """
    baskets = data.read_baskets(folder)
    weeks = trips.weeks_covered(baskets)
    real = _rhythm(baskets)
    aim = dict(real)
    for turn in range(_ROUNDS):
        rates = fit_rhythm(
            trips=aim[_TRIPS], active=aim[_ACTIVE], weeks=weeks, dropout=company.world.shopping.regular_dropout
        )
        if turn < _ROUNDS - 1:
            living = company.changed("shopping", regular_shape=rates.shape, regular_rate=rates.rate)
            lived = simulate_baskets(living, households=HOUSEHOLDS, days=7 * weeks, hours=baskets.hour)
            found = _rhythm(lived, households=HOUSEHOLDS)
            aim = {name: aim[name] * real[name] / found[name] for name in aim}
    source = "Complete Journey, at most one trip a day"
    return {
        "shopping.regular_shape": FittedNumber(rates.shape, source),
        "shopping.regular_rate": FittedNumber(rates.rate, source),
    }


def _rhythm(baskets: data.Baskets, *, households: int = trips.PANEL) -> dict[str, float]:
    weeks = trips.weeks_covered(baskets)
    active = trips.active_weeks_per_household(baskets, households=households)
    count = trips.trips_per_household(baskets, households=households)
    return {_TRIPS: float(count.mean() / weeks), _ACTIVE: float(active.mean() / weeks)}
