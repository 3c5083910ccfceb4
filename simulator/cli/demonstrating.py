"""`journey demo`: the whole path in a few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORE, SeedOption, StoreOption
from orchestrator.cli.running import stop_on_sigterm


def demo_command(
    exit_: Annotated[bool, typer.Option("--exit", help="Stop when the decisions are printed, for scripts.")] = False,
    folder: Annotated[
        Path,
        typer.Option(
            help="Where the demo keeps its training, report and database; those of an earlier demo are made anew."
        ),
    ] = Path("data/demo"),
    store: StoreOption = DEFAULT_STORE,
    seed: SeedOption = 0,
) -> None:
    """Train on simulated customers, compare seven policies, serve the trained one: the whole path in a few minutes.

    Two iterations learn from 10,000 simulated customers each. Then 6,000 others live 90 days under each of seven
    policies, which gives report.html. In the end the API is started and asked about ten real households.

    Every iteration is a version of the model journey-demo, kept apart from what `journey serve` follows unless told
    --model journey-demo. The last one becomes its champion whatever the comparison says: a demo shows its own policy.

    Example: journey demo --exit
    """
    from simulator.cli.demo import run_demo

    stop_on_sigterm()
    run_demo(folder, store=store, stop=exit_, seed=seed)
