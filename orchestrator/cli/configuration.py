"""`journey config`: look at a retailer's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import terminal

config_app = typer.Typer(help="Check a retailer's configuration.", no_args_is_help=True)


@config_app.callback()
def _config() -> None:
    """Check a retailer's configuration."""


@config_app.command("check")
def check(
    directory: Annotated[Path, typer.Argument(help="Directory with catalog.yaml and its siblings.")] = Path(
        "configs/retail"
    ),
) -> None:
    """Check every file and print the expanded catalogue.

    Environment variables override settings: JOURNEY__SERVING__PORT=9000 journey config check

    Example: journey config check configs/retail
    """
    from orchestrator.config import config_table, load_retailer

    terminal().print(config_table(load_retailer(directory)))
