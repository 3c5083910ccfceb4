"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.importers.hillstrom import import_hillstrom
from policies.feedback import LoggedFeedback
from policies.training import TrainingResult, TrainingSettings, train

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data folder: `JOURNEY_DATA`, or `../shared/data` beside the project."""
    folder = Path(os.environ.get("JOURNEY_DATA", DEFAULT_DATA))
    if not folder.is_dir():
        reason = f"real data not found at {folder}; set JOURNEY_DATA to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def mail_test(data_dir: Path) -> LoggedFeedback:
    """The randomised e-mail test as `journey import hillstrom` makes it; reward `visit`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOURNEY_CONFIGS", str(CONFIGS))
        return import_hillstrom(data_dir / "hillstrom" / "hillstrom_dev.csv.gz")


@pytest.fixture(scope="session")
def trained(mail_test: LoggedFeedback) -> TrainingResult:
    """The default training on the whole e-mail test."""
    return train(mail_test, TrainingSettings(), progress=lambda *_: None)
