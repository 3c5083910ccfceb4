"""The raw files of real customers, read into arrays.

One data folder holds `cdnow/`, `dunnhumby/` and `hillstrom/`, each with the files named below. None of it is part of
the project.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from orchestrator.errors import suggestion
from policies.arrays import BoolArray, Float64Array, IntArray, StrArray
from simulator.errors import CalibrationError

CDNOW_ORDERS = "cdnow/CDNOW_master.txt.gz"
CDNOW_SUMMARY = "cdnow/cdnow_customers_summary_with_transactions.csv"
BASKETS = "dunnhumby/baskets.parquet"
CAMPAIGNS = "dunnhumby/campaigns.parquet"
CAMPAIGN_DESCRIPTIONS = "dunnhumby/campaign_descriptions.parquet"
REDEMPTIONS = "dunnhumby/coupon_redemptions.parquet"
HILLSTROM = "hillstrom/hillstrom_dev.csv.gz"

FOLDERS = ("cdnow", "dunnhumby", "hillstrom")

CDNOW_START = np.datetime64("1997-01-01", "D")
JOURNEY_START = np.datetime64("2017-01-01", "D")
ARMS = ("none", "mens", "womens")
SEGMENTS = {"No E-Mail": 0, "Mens E-Mail": 1, "Womens E-Mail": 2}


@dataclass(frozen=True)
class Orders:
    """CDNOW's purchase log, one row per order.

    Attributes:
        customer: int64 (n,), customer number.
        day: int64 (n,), days since 1 January 1997.
        value: float64 (n,), dollars; a few orders were free.
    """

    customer: IntArray
    day: IntArray
    value: Float64Array


@dataclass(frozen=True)
class CustomerSummary:
    """What repeat-purchase models need to know of each customer; orders of one day count once.

    Attributes:
        repeats: int64 (n,), orders after the first.
        last: float64 (n,), weeks from the first order to the last one, 0 where there are no repeats.
        observed: float64 (n,), weeks from the first order to the end of the observation.
        mean_value: float64 (n,), dollars per repeat order, 0 where there are none.
    """

    repeats: IntArray
    last: Float64Array
    observed: Float64Array
    mean_value: Float64Array


@dataclass(frozen=True)
class Baskets:
    """Complete Journey's shopping trips.

    Attributes:
        household: int64 (n,), household number.
        day: int64 (n,), days since Sunday, 1 January 2017, in the shop's local time.
        hour: float64 (n,), hours since midnight.
        value: float64 (n,), dollars; a few baskets were free.
    """

    household: IntArray
    day: IntArray
    hour: Float64Array
    value: Float64Array


@dataclass(frozen=True)
class Contacts:
    """Which household was sent the coupons of which campaign.

    Attributes:
        household: int64 (n,), household number.
        campaign: int64 (n,), campaign number.
        type: object (n,), "a", "b" or "c".
        start: int64 (n,), first day of the campaign, days since 1 January 2017 (may be negative).
    """

    household: IntArray
    campaign: IntArray
    type: StrArray
    start: IntArray


@dataclass(frozen=True)
class Redemptions:
    """Coupons handed in; a household may redeem several on a day.

    Attributes:
        household: int64 (n,), household number.
        campaign: int64 (n,), campaign number.
        day: int64 (n,), days since 1 January 2017.
    """

    household: IntArray
    campaign: IntArray
    day: IntArray


@dataclass(frozen=True)
class MailTest:
    """The MineThatData e-mail test (Hillstrom, 2008): customers mailed at random, watched for two weeks.

    Attributes:
        arm: int64 (n,), index into `ARMS`.
        bought_mens: bool (n,), bought men's merchandise in the year before.
        bought_womens: bool (n,), bought women's merchandise in the year before.
        visit: float64 (n,), 1 where the customer came to the site.
        conversion: float64 (n,), 1 where the customer ordered.
        spend: float64 (n,), dollars.
    """

    arm: IntArray
    bought_mens: BoolArray
    bought_womens: BoolArray
    visit: Float64Array
    conversion: Float64Array
    spend: Float64Array


def check_folder(data: Path, *, named_by: str) -> None:
    """That a folder looks like one of real data.

    Args:
        data: the folder.
        named_by: who says so, such as `--data`.

    Raises:
        CalibrationError: it does not.
    """
    missing = [name for name in FOLDERS if not (data / name).is_dir()]
    if missing:
        what = f"holds no {', '.join(f'{name}/' for name in missing)}" if data.is_dir() else "is no folder"
        raise CalibrationError(
            f"{named_by} names {data}, which {what}; it must name the folder of the real data, which holds "
            f"{listed_folders()}"
        )


def listed_folders() -> str:
    """What a folder of real data holds, in words."""
    return f"{', '.join(f'{name}/' for name in FOLDERS[:-1])} and {FOLDERS[-1]}/"


def read_orders(data: Path) -> Orders:
    """CDNOW's orders, in the file's order.

    Raises:
        CalibrationError: the file is missing, damaged or of another shape.
    """
    # The header line has one name less than a reader that splits on blanks would need.
    names = ["customer", "date", "count", "value"]
    table = _table(data, CDNOW_ORDERS, lambda f: pd.read_csv(f, sep=r"\s+", skiprows=1, names=names), tuple(names))
    date = pd.to_datetime(table["date"].astype("string"), format="%Y%m%d", errors="coerce")
    return Orders(
        customer=_whole(data, CDNOW_ORDERS, table, "customer"),
        day=_days(data, CDNOW_ORDERS, date, since=CDNOW_START),
        value=_number(data, CDNOW_ORDERS, table, "value"),
    )


def read_summary(data: Path) -> CustomerSummary:
    """The published summary of every tenth CDNOW customer, weeks 1 to 39 of 1997.

    Raises:
        CalibrationError: the file is missing, damaged or of another shape.
    """
    table = _table(data, CDNOW_SUMMARY, pd.read_csv, ("x", "t_x", "T", "zbar"))
    return CustomerSummary(
        repeats=_whole(data, CDNOW_SUMMARY, table, "x"),
        last=_number(data, CDNOW_SUMMARY, table, "t_x"),
        observed=_number(data, CDNOW_SUMMARY, table, "T"),
        mean_value=_number(data, CDNOW_SUMMARY, table, "zbar"),
    )


def read_baskets(data: Path) -> Baskets:
    """Complete Journey's baskets, in the file's order.

    Raises:
        CalibrationError: the file is missing, damaged or of another shape.
    """
    table = _table(data, BASKETS, pd.read_parquet, ("household_id", "ts", "sales_value"))
    moment = pd.to_datetime(table["ts"])
    day = _days(data, BASKETS, moment, since=JOURNEY_START)
    return Baskets(
        household=_whole(data, BASKETS, table, "household_id"),
        day=day,
        hour=np.asarray((moment - moment.dt.normalize()) / np.timedelta64(1, "h"), dtype=np.float64),
        value=_number(data, BASKETS, table, "sales_value"),
    )


def read_contacts(data: Path) -> Contacts:
    """The households each Complete Journey campaign was sent to.

    Raises:
        CalibrationError: a file is missing, damaged or of another shape, or a campaign is not described.
    """
    sent = _table(data, CAMPAIGNS, pd.read_parquet, ("campaign_id", "household_id"))
    needed = ("campaign_id", "campaign_type", "start_date")
    described = _table(data, CAMPAIGN_DESCRIPTIONS, pd.read_parquet, needed)
    table = sent.merge(described, on="campaign_id", how="left", validate="many_to_one")
    kind = table["campaign_type"].map({"Type A": "a", "Type B": "b", "Type C": "c"})
    if kind.isna().any():
        campaign = table["campaign_id"][kind.isna()].iloc[0]
        raise CalibrationError(
            f"{data / CAMPAIGN_DESCRIPTIONS}: campaign {campaign} has no campaign_type of Type A, Type B, Type C; "
            "use the files of one edition"
        )
    return Contacts(
        household=_whole(data, CAMPAIGNS, table, "household_id"),
        campaign=_whole(data, CAMPAIGNS, table, "campaign_id"),
        type=kind.to_numpy(object),
        start=_days(data, CAMPAIGN_DESCRIPTIONS, table["start_date"], since=JOURNEY_START),
    )


def read_redemptions(data: Path) -> Redemptions:
    """Complete Journey's coupon redemptions.

    Raises:
        CalibrationError: the file is missing, damaged or of another shape.
    """
    table = _table(data, REDEMPTIONS, pd.read_parquet, ("household_id", "campaign_id", "redemption_date"))
    return Redemptions(
        household=_whole(data, REDEMPTIONS, table, "household_id"),
        campaign=_whole(data, REDEMPTIONS, table, "campaign_id"),
        day=_days(data, REDEMPTIONS, table["redemption_date"], since=JOURNEY_START),
    )


def read_mail_test(data: Path) -> MailTest:
    """The e-mail test's customers.

    Raises:
        CalibrationError: the file is missing, damaged or of another shape, or names an unknown arm.
    """
    columns = ("mens", "womens", "segment", "visit", "conversion", "spend")
    table = _table(data, HILLSTROM, pd.read_csv, columns)
    arm = table["segment"].map(SEGMENTS)
    if arm.isna().any():
        found = table["segment"][arm.isna()].iloc[0]
        raise CalibrationError(f"{data / HILLSTROM}: unknown segment {found!r}; {suggestion(found, SEGMENTS)}")
    return MailTest(
        arm=np.asarray(arm, dtype=np.int64),
        bought_mens=_number(data, HILLSTROM, table, "mens") == 1,
        bought_womens=_number(data, HILLSTROM, table, "womens") == 1,
        visit=_number(data, HILLSTROM, table, "visit"),
        conversion=_number(data, HILLSTROM, table, "conversion"),
        spend=_number(data, HILLSTROM, table, "spend"),
    )


def _table(data: Path, name: str, read: Callable[[Path], pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    """The file's table, which has rows and the columns."""
    file = data / name
    if not file.is_file():
        raise CalibrationError(
            f"{file}: no such file; --data, or else the variable JOURNEY_DATA, must name the folder that holds "
            f"{listed_folders()}"
        )
    try:
        table = read(file)
    except (EOFError, OSError, ValueError, zlib.error, pa.ArrowException) as error:
        reason = str(error).strip().splitlines()
        raise CalibrationError(f"{file}: cannot be read ({reason[0] if reason else error!r}); copy it again") from error
    if missing := [column for column in columns if column not in table]:
        hint = suggestion(missing[0], map(str, table.columns))
        raise CalibrationError(f"{file}: lacks the columns {', '.join(missing)}; {hint}")
    if table.empty:
        raise CalibrationError(f"{file}: has no rows; copy it again")
    return table


def _number(data: Path, name: str, table: pd.DataFrame, column: str) -> Float64Array:
    number = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    good = np.isfinite(number) & (number >= 0)
    if not good.all():
        found = table[column].iloc[int(np.argmin(good))]
        raise CalibrationError(
            f"{data / name}: column {column} must be a finite number, 0 or more, not {found!r} "
            f"({int((~good).sum())} rows); copy the file again"
        )
    return number


def _whole(data: Path, name: str, table: pd.DataFrame, column: str) -> IntArray:
    number = _number(data, name, table, column)
    if (number != np.floor(number)).any():
        raise CalibrationError(f"{data / name}: column {column} must hold whole numbers; copy the file again")
    return number.astype(np.int64)


def _days(data: Path, name: str, moment: pd.Series[pd.Timestamp], *, since: np.datetime64) -> IntArray:
    if moment.isna().any():
        raise CalibrationError(
            f"{data / name}: {int(moment.isna().sum())} rows have no valid date; copy the file again"
        )
    return (moment.to_numpy().astype("datetime64[D]") - since).astype(np.int64)
