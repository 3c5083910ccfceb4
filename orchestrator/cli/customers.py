"""`journey customers`: what is held about one customer, taken along or erased."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.databases import ConfigOption, DatabaseOption, database_at, retailer_at

customers_app = typer.Typer(help="Export and erase what is held about a customer.", no_args_is_help=True)

DEFAULT_CONFIG = Path("configs/retail")
IdArgument = Annotated[str, typer.Argument(help="The customer's id.")]


@customers_app.command("export")
def export(customer_id: IdArgument, config: ConfigOption = DEFAULT_CONFIG, database: DatabaseOption = None) -> None:
    """Print everything held about a customer, one JSON object per row; the last line says how many.

    Example: journey customers export c-1042 > c-1042.ndjson
    """
    from pydantic_core import to_json

    from orchestrator.log.administrators import this_user
    from orchestrator.privacy.customers import export_customer, log_export
    from orchestrator.privacy.personal import is_held
    from orchestrator.profiles import ProfileSchema
    from orchestrator.storage.dialects import dialect_of
    from orchestrator.storage.errors import StorageError

    schema = ProfileSchema.from_retailer(retailer_at(config, database))
    with database_at(config, database) as engine:
        with engine.begin() as connection:
            if not is_held(connection, customer_id):
                raise StorageError("nothing is held about this customer; check the id")
            log_export(connection, customer_id, who=this_user(), now=time.time())
        with engine.connect().execution_options(**dialect_of(engine).snapshot()) as connection:
            for row in export_customer(connection, schema, customer_id):
                sys.stdout.write(to_json(row, inf_nan_mode="null").decode() + "\n")


@customers_app.command("erase")
def erase(
    customer_id: IdArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    database: DatabaseOption = None,
) -> None:
    """Erase everything about a customer; servers may go on meanwhile. Backups are not touched.

    Example: journey customers erase c-1042
    """
    from orchestrator.log.administrators import this_user
    from orchestrator.serving.handlers.erasing import erase_alone
    from orchestrator.storage.dialects import dialect_of

    with database_at(config, database) as engine:
        if not yes:
            typer.confirm(f"Erase everything about the customer {customer_id!r}? It cannot be undone", abort=True)
        erased = erase_alone(engine, customer_id, who=this_user(), clock=time.time)
        wiped = dialect_of(engine).wipe(engine, ids=erased.ids, texts=erased.texts)
    for table, count in erased.rows.items():
        typer.echo(f"{table:16} {count:>8,} rows erased")
    if not any(erased.rows.values()):
        # No error: who erases once more, because files were busy, finds nothing either.
        typer.secho(f"nothing was held under the id {customer_id!r}; check it", fg="yellow", err=True)
    if not wiped:
        typer.secho(
            "error: other programs kept the files busy, which still hold bytes; run it again. If it stays so, what is "
            "held of somebody else says the id",
            fg="red",
            err=True,
        )
        raise typer.Exit(1)
