"""What commands print of other commands can be typed as it is."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.options import of_model
from simulator.cli.training import FEWEST_DAYS
from simulator.rollout.counterfactual_pairs import WHOLE


@pytest.mark.parametrize(
    ("model", "store", "said"),
    [
        ("", "mlruns", "journey ui"),
        ("journey-policy", "mlruns", "journey ui"),
        ("journey-baseline", "mlruns", "journey ui --model journey-baseline"),
        ("m", "/a b/c", "journey ui --model m --store '/a b/c'"),
    ],
)
def test_a_command_has_its_model_and_store_where_they_are_not_the_defaults(model: str, store: str, said: str) -> None:
    assert of_model("journey ui", model=model, store=Path(store)) == said


def test_a_training_may_be_as_short_as_a_twin_lives_and_no_shorter() -> None:
    assert FEWEST_DAYS == WHOLE


def test_the_version_is_that_of_the_package(journey: Callable[..., Any]) -> None:
    stated = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["version"]
    said = journey("--version")
    assert (said.code, said.out) == (0, f"journey {stated}\n")
