"""Customers left to themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.load import load_retailer
from simulator.calibration.fidelity.company import Company
from simulator.scenarios import load_world

CONFIG = Path(__file__).parents[3] / "configs" / "retail"


def test_the_day_before_the_horizon_is_a_day_like_others() -> None:
    """A due day of 'none' must not be a day of the history."""
    retailer = load_retailer(CONFIG)
    company = Company(retailer, load_world(retailer, {}), seed=3)
    scene = next(company.scenes(10_000, days=1))
    visits, bought = company.live(scene, range(-10, 0))
    per_day = np.bincount(visits.day + 10, minlength=10)
    assert per_day[-1] < 1.5 * per_day[:-1].mean()
    assert len(np.unique(bought.customer * 100 - bought.day)) >= len(bought.customer) * 0.99


def test_nobody_leaves_after_a_first_purchase() -> None:
    retailer = load_retailer(CONFIG)
    company = Company(retailer, load_world(retailer, {}), seed=3).changed("population", regular_share=0.0)
    scene = next(company.scenes(5_000, days=1))
    joined = np.full(len(scene.people), -1)
    _, bought = company.live(scene, range(-1, 0), joined=joined)
    once = np.bincount(bought.customer, minlength=len(joined)) == 1
    assert once.mean() > 0.99
    assert scene.moods.alive[once].all()
