"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"


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
