"""The MineThatData e-mail test (Hillstrom, 2008) as logged feedback.

Customers of an e-tailer were mailed men's merchandise, women's merchandise or nothing, a third each at
random; visits, orders and spend were counted for two weeks. What is known about a customer becomes
events, and the events become features through the same profiles that serve decisions.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.config import configs_dir
from orchestrator.errors import DataImportError, suggestion
from orchestrator.load import load_retailer
from orchestrator.profiles import ContextSchema, Events, Profiles, ProfileSchema
from policies.arrays import Float64Array, StrArray
from policies.feedback import LoggedFeedback

ARMS = {"No E-Mail": "hold", "Mens E-Mail": "email.mens", "Womens E-Mail": "email.womens"}
ZIP_CODES = {"Urban": "urban", "Surburban": "suburban", "Suburban": "suburban", "Rural": "rural"}
BOUGHT_BY = {"Web": "web", "Phone": "phone", "Multichannel": "multichannel"}
TEXTS = {"zip_code": ZIP_CODES, "channel": BOUGHT_BY, "segment": ARMS}
FLAGS = ("mens", "womens", "newbie", "visit", "conversion")
AMOUNTS = ("recency", "history", "spend")

# The file says 2008 and counts in months; any moment would do.
MAILED = datetime(2008, 3, 20, tzinfo=UTC).timestamp()
MONTH = 365.25 / 12 * 86400
# Customers of more than a year are known to be so, and no more.
LONG_AGO = 24 * MONTH


def import_hillstrom(file: Path) -> LoggedFeedback:
    """Read the test's file, whole or in part.

    Args:
        file: CSV, plain or gzipped, with the columns of the original and optionally `row`, each
            customer's number in the original.

    Returns:
        One row per customer: actions `hold`, `email.mens` and `email.womens` of `configs/hillstrom`,
        propensity 1/3, reward `visit`; outcomes visit, conversion and spend.

    Raises:
        DataImportError: the file is missing, damaged, empty, or has other columns or values.
        ConfigError: `configs/hillstrom` cannot be used.
    """
    table = _read(file)
    retailer = load_retailer(configs_dir() / "hillstrom")
    schema, context = ProfileSchema.from_retailer(retailer), ContextSchema.from_retailer(retailer)
    customer = np.array([f"hillstrom-{row}" for row in table["row"]], dtype=object)
    profiles = Profiles(schema)
    profiles.apply(_history(schema, table, customer))
    actions = retailer.catalogue.action_set(schema.columns)
    arm = table["segment"].map({segment: actions.index(action) for segment, action in ARMS.items()})
    outcomes = {name: table[name].to_numpy(np.float64) for name in ("visit", "conversion", "spend")}
    n = len(table)
    return LoggedFeedback(
        columns=schema.columns + context.columns,
        features=np.hstack([profiles.features(customer, now=MAILED), context.encode([{}] * n)]),
        actions=actions,
        eligible=np.ones((n, len(actions)), dtype=bool),
        action=np.asarray(arm, dtype=np.int64),
        propensity=np.full(n, 1 / 3),
        reward=outcomes["visit"],
        reward_name="visit",
        customer=customer,
        outcomes=outcomes,
        source=f"MineThatData e-mail test (Hillstrom 2008), {file.name}, {n} customers",
    )


def _history(schema: ProfileSchema, table: pd.DataFrame, customer: StrArray) -> Events:
    """Events that leave what the file says: one subscription, and one purchase per kind of merchandise.

    The file gives the year's total and the month of the last order only, so the total is put there,
    divided equally among the kinds bought.
    """
    last = MAILED - table["recency"].to_numpy(np.float64) * MONTH
    joined = np.where(table["newbie"] == 1, last, np.minimum(last, MAILED - LONG_AGO))
    batches = [_subscriptions(schema, table, customer, joined)]
    kinds = table["mens"] + table["womens"]
    share: Float64Array = np.asarray(table["history"] / kinds.clip(lower=1), dtype=np.float64)
    bought = {name: (table[name] == 1).to_numpy() for name in ("mens", "womens")}
    for name, chosen in {**bought, "other": (kinds == 0).to_numpy()}.items():
        batches.append(
            Events.from_columns(
                customer_id=customer[chosen],
                event_id=np.array([f"{c}-{name}" for c in customer[chosen]], dtype=object),
                timestamp=last[chosen],
                type="purchase",
                category=schema.categories.index(name) if name in schema.categories else -1,
                value=share[chosen],
            )
        )
    return Events.concat(batches)


def _subscriptions(schema: ProfileSchema, table: pd.DataFrame, customer: StrArray, joined: Float64Array) -> Events:
    attributes = {
        "zip_code": table["zip_code"].map(ZIP_CODES).tolist(),
        "bought_by": table["channel"].map(BOUGHT_BY).tolist(),
    }
    return Events.from_columns(
        customer_id=customer,
        event_id=np.array([f"{c}-joined" for c in customer], dtype=object),
        timestamp=joined,
        type="subscribe",
        channel=schema.channels.index("email"),
        attributes=attributes,
        schema=schema,
    )


def _read(file: Path) -> pd.DataFrame:
    """The table, checked, with a `row` column and numbers where numbers belong."""
    try:
        table = pd.read_csv(file)
    except FileNotFoundError:
        raise DataImportError(f"{file}: no such file; give the Hillstrom CSV, plain or .gz") from None
    except pd.errors.EmptyDataError:
        raise DataImportError(f"{file}: is empty; download it again") from None
    except (EOFError, OSError, zlib.error, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataImportError(f"{file}: is damaged or not a CSV ({str(error).strip()}); download it again") from error
    if missing := [name for name in (*AMOUNTS, *FLAGS, *TEXTS) if name not in table]:
        hints = "; ".join(f"{name}: {suggestion(name, map(str, table.columns))}" for name in missing[:1])
        raise DataImportError(f"{file}: lacks the columns {', '.join(missing)} ({hints})")
    if table.empty:
        raise DataImportError(f"{file}: has a header and no rows; download it again")
    for name in (*AMOUNTS, *FLAGS):
        number = pd.to_numeric(table[name], errors="coerce")
        good = number.isin([0, 1]) if name in FLAGS else (number >= 0) & np.isfinite(number)
        _refuse(file, table, name, good, "0 or 1" if name in FLAGS else "a finite number, 0 or more")
        table[name] = number
    for name, known in TEXTS.items():
        _refuse(file, table, name, table[name].isin(list(known)), f"one of {', '.join(known)}")
    if "row" not in table:
        table["row"] = np.arange(len(table))
    _refuse(file, table, "row", table["row"].notna() & ~table["row"].duplicated(), "a number of its own")
    return table


def _refuse(file: Path, table: pd.DataFrame, name: str, good: pd.Series[bool], rule: str) -> None:
    if not good.all():
        line = int(np.argmin(good.to_numpy()))
        found = table[name].iloc[line]
        where = f"wrong in {int((~good).sum())} rows, first on line {line + 2}: {found}"
        raise DataImportError(f"{file}: column {name} must be {rule}; {where}")
