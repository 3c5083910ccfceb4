"""`journey import`: real logged experiments in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import terminal

if TYPE_CHECKING:
    from policies.feedback import LoggedFeedback

import_app = typer.Typer(help="Bring a logged experiment in.", no_args_is_help=True)
OutOption = Annotated[Path, typer.Option("--out", help="Directory the feedback log is written to.")]


@import_app.command("hillstrom")
def hillstrom(
    file: Annotated[Path, typer.Argument(help="The MineThatData e-mail test, CSV or CSV.gz.")],
    out: OutOption = Path("data/hillstrom"),
) -> None:
    """A randomised e-mail test of 64,000 customers: no mail, men's mail or women's mail.

    Example: journey import hillstrom hillstrom.csv.gz --out data/hillstrom
    """
    from orchestrator.importers.hillstrom import import_hillstrom

    _save(import_hillstrom(file), out)


@import_app.command("obd")
def obd(
    directory: Annotated[Path, typer.Argument(help="Directory of the Open Bandit Dataset: random/, bts/.")],
    out: OutOption = Path("data/obd"),
    campaign: Annotated[str, typer.Option(help="all, men or women.")] = "all",
    behaviour: Annotated[str, typer.Option(help="Who logged: random (uniform) or bts (Thompson sampling).")] = "random",
) -> None:
    """A fashion site's recommendations with propensities (Open Bandit Dataset).

    Example: journey import obd obd/ --campaign all --behaviour random --out data/obd-random
    """
    from orchestrator.importers.obd import import_obd

    _save(import_obd(directory, campaign=campaign, behaviour=behaviour), out)


@import_app.command("dsjson")
def dsjson(
    file: Annotated[Path, typer.Argument(help="Vowpal Wabbit decision-service JSON, one event per line.")],
    out: OutOption = Path("data/dsjson"),
) -> None:
    """A log in Vowpal Wabbit's dsjson, as written by Azure Personalizer and others.

    Example: journey import dsjson decisions.dsjson --out data/decisions
    """
    from policies.vw.dsjson import read_dsjson_log

    _save(read_dsjson_log(file), out)


def _save(log: LoggedFeedback, out: Path) -> None:
    import numpy as np
    from rich.table import Table

    log.save(out)
    table = Table(title=f"{len(log):,} decisions of {len(set(log.customer)):,} customers -> {out}")
    outcomes = {log.reward_name: log.reward, **log.outcomes}
    for heading in ("action", "decisions", "mean propensity", *outcomes):
        table.add_column(heading, justify="left" if heading == "action" else "right")
    counts = np.bincount(log.action, minlength=len(log.actions))
    for a in np.argsort(-counts, kind="stable")[:20]:
        rows = log.action == a
        if counts[a]:
            means = [f"{values[rows].mean():.5g}" for values in outcomes.values()]
            table.add_row(log.actions.ids[a], f"{counts[a]:,}", f"{log.propensity[rows].mean():.4f}", *means)
    console = terminal()
    console.print(table)
    console.print(log.source)
