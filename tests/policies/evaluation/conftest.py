"""The randomised e-mail experiment as a log, and small logs made up of arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from policies.actions import ActionSet
from policies.feedback import LoggedFeedback

ARMS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
COLUMNS = ("recency", "history", "mens", "womens", "newbie")


@pytest.fixture(scope="session")
def hillstrom(data_dir: Path) -> LoggedFeedback:
    frame = pd.read_csv(data_dir / "hillstrom" / "hillstrom_dev.csv.gz")
    n = len(frame)
    return LoggedFeedback(
        columns=COLUMNS,
        features=frame[list(COLUMNS)].to_numpy(np.float32),
        actions=ActionSet.of(*ARMS),
        eligible=np.ones((n, 3), dtype=bool),
        action=frame["segment"].map({arm: i for i, arm in enumerate(ARMS)}).to_numpy(np.int64),
        propensity=np.full(n, 1 / 3),
        reward=frame["visit"].to_numpy(np.float64),
        customer=frame["row"].astype(str).to_numpy(object),
        reward_name="visit",
        outcomes={name: frame[name].to_numpy(np.float64) for name in ("conversion", "spend")},
        source="Hillstrom e-mail test",
    )
