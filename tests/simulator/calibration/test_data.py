"""Reading the raw files: what is refused, and with which words."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.calibration.data import data
from simulator.calibration.data.moments import fit, real_moments
from simulator.errors import CalibrationError

CONTACTS = pd.DataFrame({"campaign_id": [1, 2], "household_id": [7, 8]})
DESCRIPTIONS = pd.DataFrame(
    {"campaign_id": [1, 2], "campaign_type": ["Type A", "Type C"], "start_date": pd.to_datetime(["2016-12-31"] * 2)}
)


def placed(folder: Path, name: str, content: str | bytes | pd.DataFrame) -> Path:
    """Writes one file of the data folder; returns the folder."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pd.DataFrame):
        content.to_parquet(file)
    else:
        raw = content.encode() if isinstance(content, str) else content
        file.write_bytes(gzip.compress(raw) if name.endswith(".gz") and isinstance(content, str) else raw)
    return folder


READERS: list[tuple[Callable[[Path], Any], str]] = [
    (data.read_orders, data.CDNOW_ORDERS),
    (data.read_summary, data.CDNOW_SUMMARY),
    (data.read_baskets, data.BASKETS),
    (data.read_contacts, data.CAMPAIGNS),
    (data.read_redemptions, data.REDEMPTIONS),
    (data.read_mail_test, data.HILLSTROM),
]


@pytest.mark.parametrize(("read", "name"), READERS)
def test_a_missing_file_is_named_with_the_option_that_points_to_it(
    tmp_path: Path, read: Callable[[Path], Any], name: str
) -> None:
    with pytest.raises(
        CalibrationError, match=rf"{name}: no such file; --data, or else the variable JOURNEY_DATA, must name"
    ):
        read(tmp_path)


@pytest.mark.parametrize(("read", "name"), READERS)
def test_a_damaged_file_is_named(tmp_path: Path, read: Callable[[Path], Any], name: str) -> None:
    with pytest.raises(CalibrationError, match=rf"{name}: (cannot be read|lacks the columns|column)"):
        read(placed(tmp_path, name, b"\x1f\x8b\x00\xff" * 9))


def test_an_empty_folder_gives_neither_moments_nor_parameters(tmp_path: Path) -> None:
    for asked in (real_moments, fit):
        with pytest.raises(CalibrationError, match="no such file"):
            asked(tmp_path)


def test_orders_are_read_from_lines_split_by_blanks(tmp_path: Path) -> None:
    text = " customer_id  date count  dollar_value\r\n 00001 19970101  1   11.77\r\n 00002 19980630 12    0.00\r\n"
    orders = data.read_orders(placed(tmp_path, data.CDNOW_ORDERS, text))
    assert orders.customer.tolist() == [1, 2]
    assert orders.day.tolist() == [0, 545]
    assert orders.value.tolist() == [11.77, 0.0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (" 1 19970230 1 5.00", "1 rows have no valid date"),
        (" 1 19970101 1 free", "column value must be a finite number, 0 or more, not 'free'"),
        (" 1 19970101 1 -5.00", "column value must be a finite number, 0 or more, not np.float64.-5.0."),
        (" 1.5 19970101 1 5.00", "column customer must hold whole numbers"),
    ],
)
def test_orders_that_cannot_be_are_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        data.read_orders(placed(tmp_path, data.CDNOW_ORDERS, f"header\n 1 19970101 1 5.00\n{line}\n"))


def test_a_column_of_another_name_is_pointed_out(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="lacks the columns t_x; did you mean 'tx'"):
        data.read_summary(placed(tmp_path, data.CDNOW_SUMMARY, "x,tx,T,zbar\n1,2,3,4\n"))
    with pytest.raises(CalibrationError, match="has no rows"):
        data.read_summary(placed(tmp_path, data.CDNOW_SUMMARY, "x,t_x,T,zbar\n"))


def test_baskets_keep_the_local_day_and_hour(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "household_id": [3, 4],
            "ts": pd.to_datetime(["2017-01-01 00:30", "2017-01-08 23:45"]),
            "sales_value": [0.0, 12.5],
        }
    )
    baskets = data.read_baskets(placed(tmp_path, data.BASKETS, table))
    assert baskets.day.tolist() == [0, 7]
    assert baskets.hour.tolist() == [0.5, 23.75]
    assert baskets.value.tolist() == [0.0, 12.5]


def test_contacts_take_type_and_start_from_their_campaign(tmp_path: Path) -> None:
    placed(tmp_path, data.CAMPAIGNS, CONTACTS)
    contacts = data.read_contacts(placed(tmp_path, data.CAMPAIGN_DESCRIPTIONS, DESCRIPTIONS))
    assert contacts.type.tolist() == ["a", "c"]
    assert contacts.start.tolist() == [-1, -1]
    with pytest.raises(CalibrationError, match="campaign 2 has no campaign_type"):
        data.read_contacts(placed(tmp_path, data.CAMPAIGN_DESCRIPTIONS, DESCRIPTIONS[:1]))


def test_mail_test_arms_are_known(tmp_path: Path) -> None:
    header = "mens,womens,segment,visit,conversion,spend\n"
    lines = "1,0,No E-Mail,0,0,0\n0,1,Womens E-Mail,1,1,29.99\n"
    test = data.read_mail_test(placed(tmp_path, data.HILLSTROM, header + lines))
    assert [data.ARMS[arm] for arm in test.arm] == ["none", "womens"]
    assert test.bought_mens.tolist() == [True, False]
    assert test.spend.tolist() == [0, 29.99]
    with pytest.raises(CalibrationError, match="unknown segment 'Men E-Mail'; did you mean 'Mens E-Mail'"):
        data.read_mail_test(placed(tmp_path, data.HILLSTROM, header + "1,0,Men E-Mail,0,0,0\n"))


def test_the_real_files_are_read_whole(data_dir: Path) -> None:
    orders, baskets, test = data.read_orders(data_dir), data.read_baskets(data_dir), data.read_mail_test(data_dir)
    assert (len(orders.day), len(np.unique(orders.customer)), orders.day.min(), orders.day.max()) == (
        69_659,
        23_570,
        0,
        545,
    )
    assert (len(baskets.day), baskets.day.min(), baskets.day.max()) == (116_769, 0, 272)
    assert len(test.arm) == 31_658
    assert np.bincount(data.read_contacts(data_dir).campaign).sum() == 4_168
    assert len(data.read_redemptions(data_dir).day) == 1_256
    assert len(data.read_summary(data_dir).repeats) == 2_357
