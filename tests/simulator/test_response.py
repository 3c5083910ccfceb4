"""The built-in response model: what it promises about how customers answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.config import load_retailer
from orchestrator.decisions import DecisionCore
from orchestrator.profiles import ProfileSchema
from simulator.response import (
    BUY_GIVEN_CLICK,
    CLICK_AFFINITY,
    CLICK_BASE,
    CLICK_DISCOUNT,
    CLICK_FATIGUE,
    CLICK_WANT,
    LEAVE_BASE,
    LEAVE_FATIGUE,
    ORDER_LOG_MEAN,
    ORDER_LOG_SD,
    Responses,
    respond,
)

RETAIL = load_retailer(Path(__file__).parents[2] / "configs" / "retail", environment={})
CORE = DecisionCore(RETAIL, ProfileSchema.from_retailer(RETAIL))
N = 200_000


def row(traces: dict[str, float]) -> np.ndarray:
    """Features of a customer with the named columns set."""
    features = np.zeros(len(CORE.columns), dtype=np.float32)
    for column, value in traces.items():
        features[CORE.columns.index(column.replace("__", "."))] = value
    return features


def answers(
    action: str, *, n: int = N, seed: int = 0, typical: dict[str, float] | None = None, **traces: float
) -> Responses:
    """n equal customers, with the named columns set, all meet one action."""
    return respond(
        np.tile(row(traces), (n, 1)),
        np.full(n, CORE.actions.index(action)),
        columns=CORE.columns,
        actions=CORE.actions,
        typical=row(typical or {}),
        random=np.random.default_rng(seed),
    )


def logistic(x: float) -> float:
    return 1 / (1 + float(np.exp(-x)))


def near(p: float, n: int = N) -> Any:
    """Within five standard errors of a share."""
    return pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / n))


def test_silence_is_never_answered() -> None:
    said = answers("hold", buy__home=3, want__home=1)
    assert not said.click.any()
    assert not said.unsubscribe.any()
    assert (said.purchase == 0).all()


@pytest.mark.parametrize(
    ("action", "traces", "odds"),
    [
        ("email.inspire.home", {}, CLICK_BASE["email"]),
        ("email.inspire.home", {"buy__home": 1.0}, CLICK_BASE["email"] + CLICK_AFFINITY),
        ("email.inspire.home", {"buy__beauty": 1.0}, CLICK_BASE["email"]),  # of another category: irrelevant
        ("email.inspire.home", {"want__home": 1.0}, CLICK_BASE["email"] + CLICK_WANT),
        ("email.inspire.home", {"email__fatigue": 0.5}, CLICK_BASE["email"] + 0.5 * CLICK_FATIGUE),
        ("email.inspire.home", {"store__fatigue": 0.5}, CLICK_BASE["email"]),
        ("email.offer.home", {}, CLICK_BASE["email"] + 0.1 * CLICK_DISCOUNT),
        ("site.inspire.home", {}, CLICK_BASE["site"]),
        ("store.service", {}, CLICK_BASE["store"]),
    ],
)
def test_clicks_come_as_often_as_relevance_discount_and_fatigue_say(
    action: str, traces: dict[str, float], odds: float
) -> None:
    assert answers(action, **traces).click.mean() == near(logistic(odds))


def test_only_what_a_customer_shows_beyond_the_typical_is_relevance() -> None:
    odds = CLICK_BASE["email"] + (1.5 - 0.5) * CLICK_AFFINITY
    typical = {"buy__home": 0.5, "want__home": 0.5, "email__fatigue": 0.5}
    assert answers("email.inspire.home", typical=typical, buy__home=1.5).click.mean() == near(logistic(odds))


@pytest.mark.parametrize(("action", "channel"), [("email.thank", "email"), ("store.thank", "store")])
def test_orders_follow_clicks_and_are_log_normal(action: str, channel: str) -> None:
    said = answers(action)
    bought = said.purchase > 0
    assert not (bought & ~said.click).any()
    clicks = int(said.click.sum())
    assert bought.sum() / clicks == near(BUY_GIVEN_CLICK[channel], clicks)
    logs = np.log(said.purchase[bought])
    assert logs.mean() == pytest.approx(ORDER_LOG_MEAN, abs=5 * ORDER_LOG_SD / np.sqrt(len(logs)))
    assert logs.std() == pytest.approx(ORDER_LOG_SD, rel=0.1)


def test_tired_customers_leave_unless_they_clicked_and_never_from_a_banner() -> None:
    for fatigue in (0.0, 2.0):
        said = answers("email.thank", email__fatigue=fatigue)
        assert not (said.unsubscribe & said.click).any()
        quiet = int((~said.click).sum())
        assert said.unsubscribe.sum() / quiet == near(logistic(LEAVE_BASE + LEAVE_FATIGUE * fatigue), quiet)
    assert not answers("site.inspire.home", site__fatigue=3).unsubscribe.any()


def test_the_generator_decides_everything() -> None:
    first, again, other = (answers("store.service", n=500, seed=seed) for seed in (1, 1, 2))
    for name in ("click", "purchase", "unsubscribe"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.click != other.click).any()


def test_customers_of_one_batch_meet_their_own_action() -> None:
    n = 50_000
    chosen = np.where(np.arange(n) % 2, CORE.actions.index("store.service"), CORE.actions.index("hold"))
    said = respond(
        np.tile(row({}), (n, 1)),
        chosen,
        columns=CORE.columns,
        actions=CORE.actions,
        typical=row({}),
        random=np.random.default_rng(0),
    )
    assert not said.click[::2].any()
    assert said.click[1::2].mean() == near(logistic(CLICK_BASE["store"]), n // 2)
