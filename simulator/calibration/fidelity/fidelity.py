"""Simulated customers held against real ones, moment by moment, within tolerances that a file states."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from pydantic import Field, ValidationError

from orchestrator.config.models import Settings
from orchestrator.errors import suggestion
from policies.arrays import IntArray
from simulator.calibration.data import data, trips
from simulator.calibration.data.data import Baskets, MailTest, Orders
from simulator.calibration.data.moments import (
    HALF,
    Moment,
    cdnow_moments,
    hillstrom_moments,
    journey_moments,
    real_moments,
)
from simulator.calibration.fidelity.company import Company
from simulator.calibration.fidelity.simulated import simulate_baskets, simulate_mail_test, simulate_orders
from simulator.errors import CalibrationError

FILE = "fidelity.yaml"
FORTNIGHTS = 2
CUSTOMERS = 20_000  # what the shipped tolerances were set for
NOISE = 2.0  # standard errors that simulated moments easily are off by
ALL_ORDERS = "_all_orders"  # of names of moments that count orders after browsing too
_WITH_BROWSING = ("cdnow.repeat_per_customer_39w", "cdnow.share_no_repeat_39w")
_WEEK_DAYS = 7
_SIMULATED = "simulated"


Reason = Annotated[str, Field(min_length=1)]


class Tolerance(Settings):
    """How far a simulated moment may be from the real one.

    Attributes:
        within: largest difference that passes, in the unit of the moment.
        because: why so much.
    """

    within: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    because: Reason


class FidelityFile(Settings):
    """`fidelity.yaml`.

    Attributes:
        tolerances: by moment.
        not_compared: by moment, why the world has nothing to compare with it.
    """

    tolerances: dict[str, Tolerance]
    not_compared: dict[str, Reason]


@dataclass(frozen=True)
class Row:
    """One moment of both.

    Attributes:
        name: of the moment.
        real: value in the data.
        real_error: its standard error.
        simulated: value in the world.
        simulated_error: its standard error, by the same formula as the real one's. Over 16 runs that differed by their
            seeds only (2,000 customers), moments spread 0.4 to 1.7 times as much: arms of the simulated e-mail test
            share their customers, and customers their market.
        tolerance: largest difference that passes.
        because: why so much.
    """

    name: str
    real: float
    real_error: float
    simulated: float
    simulated_error: float
    tolerance: float
    because: str

    @property
    def is_number(self) -> bool:
        """Whether there is a simulated moment at all; of nothing there is no mean."""
        return isfinite(self.simulated)

    @property
    def passes(self) -> bool:
        """Whether the difference is within the tolerance; a moment that is not a number is not."""
        return abs(self.simulated - self.real) <= self.tolerance

    @property
    def may_be_noise(self) -> bool:
        """Whether a miss is so close to the tolerance that more simulated customers might not see it.

        A moment that is not a number is no noise, however few customers there are; nor is a miss whose own error is
        not known.
        """
        excess = abs(self.simulated - self.real) - self.tolerance
        return not self.passes and excess <= NOISE * self.simulated_error


@dataclass(frozen=True)
class Records:
    """The three data sets, real or simulated.

    Attributes:
        orders: CDNOW's.
        baskets: Complete Journey's.
        households: of its panel.
        test: Hillstrom's.
    """

    orders: Orders
    baskets: Baskets
    households: int
    test: MailTest


@dataclass(frozen=True)
class Fidelity:
    """How like real customers the simulated ones are.

    Attributes:
        rows: every moment compared.
        not_compared: reasons, by real moment.
        real: records behind the real moments.
        simulated: records behind the simulated ones.
        customers: simulated, of each kind; half as many households.
    """

    rows: tuple[Row, ...]
    not_compared: dict[str, str]
    real: Records
    simulated: Records
    customers: int

    @property
    def out_of_tolerance(self) -> tuple[Row, ...]:
        """The moments that fail."""
        return tuple(row for row in self.rows if not row.passes)

    @property
    def too_close_to_tell(self) -> tuple[Row, ...]:
        """Those of them that may fail by the noise of the simulation alone."""
        return tuple(row for row in self.rows if row.may_be_noise)

    @property
    def not_numbers(self) -> tuple[Row, ...]:
        """Those that fail because the simulation had nothing to compute them from."""
        return tuple(row for row in self.rows if not row.is_number)

    @property
    def customers_to_tell(self) -> int:
        """How many to simulate to tell more: as many as the tolerances were set for, or else twice as surely."""
        return max(CUSTOMERS, 4 * self.customers)


def measure_fidelity(company: Company, *, folder: Path, customers: int) -> Fidelity:
    """Simulate each data set's customers and compare their moments.

    Args:
        company: a retailer in its world; its seed should differ from the calibration's.
        folder: the data folder, see `simulator.calibration.data.data`.
        customers: to simulate; half as many households of the panel.

    Raises:
        CalibrationError: `fidelity.yaml` or the data are wrong.
    """
    real = {moment.name: moment for moment in real_moments(folder)}
    real |= {name + ALL_ORDERS: real[name] for name in _WITH_BROWSING}
    file = read_fidelity_file(company.retailer.directory / FILE, known=tuple(real))
    records = Records(data.read_orders(folder), data.read_baskets(folder), trips.PANEL, data.read_mail_test(folder))
    lived, moments = _simulate(company, records, customers=customers)
    rows = tuple(
        Row(
            name=name,
            real=real[name].value,
            real_error=real[name].standard_error,
            simulated=moments[name].value,
            simulated_error=moments[name].standard_error,
            tolerance=file.tolerances[name].within,
            because=file.tolerances[name].because,
        )
        for name in real
        if name in file.tolerances
    )
    return Fidelity(rows, file.not_compared, records, lived, customers)


def read_fidelity_file(path: Path, *, known: tuple[str, ...]) -> FidelityFile:
    """Read and check `fidelity.yaml`.

    Args:
        path: of the file.
        known: names of all real moments; each must be in one of the two parts.

    Raises:
        CalibrationError: names file, field and fix.
    """
    try:
        file = FidelityFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CalibrationError(f"{path}: missing; a world is judged by its tolerances, state them there") from error
    except yaml.YAMLError as error:
        raise CalibrationError(f"{path}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CalibrationError(f"{path}: {place} = {first['input']!r}: {first['msg']}") from error
    stated = [*file.tolerances, *file.not_compared]
    for name in stated:
        if name not in known:
            raise CalibrationError(f"{path}: {name} is not a moment; {suggestion(name, known)}")
    if twice := sorted(set(file.tolerances) & set(file.not_compared)):
        raise CalibrationError(f"{path}: {twice[0]} has a tolerance and a reason not to be compared; keep one")
    if silent := [name for name in known if name not in stated]:
        raise CalibrationError(
            f"{path}: says nothing of {', '.join(silent)}; give each a tolerance, or a reason under not_compared"
        )
    return file


def first_days(orders: Orders) -> IntArray:
    """The day of every customer's first order, int64 (customers,)."""
    _, unit = np.unique(orders.customer, return_inverse=True)
    first = np.full(int(unit.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, unit, orders.day)
    return first


def _simulate(company: Company, real: Records, *, customers: int) -> tuple[Records, dict[str, Moment]]:
    first_day, days = first_days(real.orders), 2 * HALF * _WEEK_DAYS
    orders, all_orders = (
        simulate_orders(company, customers=customers, days=days, first_day=first_day, browsing=browsing)
        for browsing in (False, True)
    )
    weeks = trips.weeks_covered(real.baskets)
    households = customers // 2
    baskets = simulate_baskets(company, households=households, days=weeks * _WEEK_DAYS, hours=real.baskets.hour)
    test = simulate_mail_test(company, customers=customers, fortnights=FORTNIGHTS)
    found = [
        *cdnow_moments(orders, source=_SIMULATED),
        *journey_moments(baskets, source=_SIMULATED, households=households),
        *hillstrom_moments(test, source=_SIMULATED),
    ]
    moments = {moment.name: moment for moment in found}
    of_all = {moment.name: moment for moment in cdnow_moments(all_orders, source=_SIMULATED)}
    moments |= {name + ALL_ORDERS: of_all[name] for name in _WITH_BROWSING}
    return Records(orders, baskets, households, test), moments
