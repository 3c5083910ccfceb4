"""Commands of `journey`; heavy packages are imported inside the commands that need them."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import entry_points
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
from orchestrator.cli.running import serve_command, ui_command
from orchestrator.errors import OrchestratorError
from policies.errors import PolicyError

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
app.command("lift")(lift_command)
app.command("serve")(serve_command)
app.command("audit")(audit_command)
app.command("ui")(ui_command)


def main() -> None:
    """Run the command; an error we understand is one message on stderr and exit code 2."""
    try:
        _with_commands_of_other_packages()()
    except (OrchestratorError, PolicyError) as error:
        _refuse(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(f"{error.filename}: {error.strerror}")


@cache
def _with_commands_of_other_packages() -> typer.Typer:
    """The app, and what entry points of `journey.commands` add: functions that return commands by name.

    A command of a name that is there already takes its place.
    """
    for entry in entry_points(group="journey.commands"):
        for name, command in entry.load()().items():
            app.command(name)(command)
    return app


def _refuse(message: str) -> NoReturn:
    typer.secho(f"error: {message}", fg="red", err=True)
    sys.exit(2)
