"""Options several commands share."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from policies.registry.store import DEFAULT_MODEL, Store

if TYPE_CHECKING:
    from rich.console import Console

StoreOption = Annotated[
    Path,
    typer.Option("--store", envvar="JOURNEY_STORE", file_okay=False, help="MLflow store: a directory, made if needed."),
]
LogOption = Annotated[Path, typer.Option("--log", help="Feedback log, made by `journey import`.")]
ModelOption = Annotated[str, typer.Option("--model", help="Name of the registered policy.")]
RewardOption = Annotated[
    str, typer.Option("--reward", help="Outcome to maximise, e.g. visit, conversion, spend; default: the log's own.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every random draw.")]
DEFAULT_STORE = Path("mlruns")
DEFAULT_SPLIT = 0.5
_PIPE_WIDTH = 140


def of_model(command: str, *, model: str = "", store: Path = DEFAULT_STORE) -> str:
    """A command about a registered policy as it has to be typed: with model and store where they are not the defaults.

    Args:
        command: such as `journey ui`.
        model: registered model; empty for none in particular.
        store: MLflow store.
    """
    parts = [command]
    parts += ["--model", shlex.quote(model)] if model and model != DEFAULT_MODEL else []
    parts += ["--store", shlex.quote(str(store))] if store != DEFAULT_STORE else []
    return " ".join(parts)


def other_models(store: Store, *, model: str) -> str:
    """What to say where a model lacks what was asked of it: which others in the store have a champion; or nothing.

    Raises:
        RegistryError: the store cannot be read.
    """
    others = [shlex.quote(name) for name in store.champions() if name != model]
    if not others:
        return ""
    return (
        f"in the same store {', '.join(others)} {'has' if len(others) == 1 else 'have'} a champion: --model {others[0]}"
    )


def terminal() -> Console:
    """A console as wide as the terminal; a pipe has no width, and tables need one."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
