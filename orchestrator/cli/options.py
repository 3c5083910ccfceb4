"""Options several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    Path, typer.Option("--store", envvar="JOURNEY_STORE", help="MLflow store: a directory, made if needed.")
]
LogOption = Annotated[Path, typer.Option("--log", help="Feedback log, made by `journey import`.")]
ModelOption = Annotated[str, typer.Option("--model", help="Name of the registered policy.")]
RewardOption = Annotated[
    str, typer.Option("--reward", help="Outcome to maximise, e.g. visit, conversion, spend; default: the log's own.")
]
SplitOption = Annotated[
    float, typer.Option("--split", help="Share of customers learned from, by a hash of their id; the others judge.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every random draw.")]
DEFAULT_STORE = Path("mlruns")
