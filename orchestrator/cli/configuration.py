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
    """Check every file, and what the files point at, as `journey serve` does; print the expanded catalogue.

    No database is opened. One that was used with other categories, channels, attributes or half-lives needs
    `journey db rebuild` before servers can start with these.

    Environment variables override settings: JOURNEY__SERVING__PORT=9000 journey config check

    Example: journey config check configs/retail
    """
    from orchestrator.config import config_table
    from orchestrator.load import load_retailer
    from orchestrator.serving.service import Service, ServiceSettings
    from policies.vw.files import load_policy

    retailer = load_retailer(directory)
    # Made and not entered: it opens no database, and refuses all that a server would refuse to start with.
    Service(ServiceSettings(retailer=retailer, champion=lambda: None, load_policy=load_policy))
    terminal().print(config_table(retailer))
