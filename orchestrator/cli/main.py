"""Commands of `journey`; heavy packages are imported inside the commands that need them."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from orchestrator.cli.auditing import audit_command
from orchestrator.cli.configuration import config_app
from orchestrator.cli.customers import customers_app
from orchestrator.cli.databases import db_app
from orchestrator.cli.importing import import_app
from orchestrator.cli.keys import keys_app
from orchestrator.cli.learning import evaluate_command, promote_command, replay_command, train_command
from orchestrator.cli.lifting import lift_command
from orchestrator.cli.running import demo_command, serve_command, ui_command
from orchestrator.errors import OrchestratorError
from policies.errors import PolicyError
from simulator.cli.ablating import ablate_command
from simulator.cli.calibrating import calibrate_command, fidelity_command
from simulator.cli.comparing import compare_command
from simulator.cli.simulating import scenarios_command, simulate_command
from simulator.errors import SimulatorError

app = typer.Typer(
    name="journey",
    help="Next best action per customer across channels: import, train, simulate, judge, serve.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"journey {version('journey-orchestrator')}")
        raise typer.Exit


@app.callback()
def _journey(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Next best action per customer across channels: import, train, simulate, judge, serve."""


app.add_typer(config_app, name="config")
app.add_typer(import_app, name="import")
app.add_typer(db_app, name="db")
app.add_typer(keys_app, name="keys")
app.add_typer(customers_app, name="customers")
app.command("train")(train_command)
app.command("evaluate")(evaluate_command)
app.command("replay")(replay_command)
app.command("promote")(promote_command)
app.command("scenarios")(scenarios_command)
app.command("simulate")(simulate_command)
app.command("compare")(compare_command)
app.command("ablate")(ablate_command)
app.command("calibrate")(calibrate_command)
app.command("fidelity")(fidelity_command)
app.command("lift")(lift_command)
app.command("serve")(serve_command)
app.command("audit")(audit_command)
app.command("ui")(ui_command)
app.command("demo")(demo_command)


def main() -> None:
    """Run the command; an error we understand is one message on stderr and exit code 2."""
    try:
        app()
    except (OrchestratorError, PolicyError, SimulatorError) as error:
        _refuse(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(f"{error.filename}: {error.strerror}")


def _refuse(message: str) -> NoReturn:
    typer.secho(f"error: {message}", fg="red", err=True)
    sys.exit(2)
