"""`journey db`: the database of a service."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import terminal
from orchestrator.cli.progress import stoppable
from orchestrator.database_urls import without_passwords

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from orchestrator.config import Retailer

db_app = typer.Typer(
    help="Upgrade, rebuild, back up, check and look into the database of a service.", no_args_is_help=True
)

_GOES_ON = "the profiles are as before; `journey db rebuild` goes on where it stopped"

ConfigOption = Annotated[Path, typer.Option("--config", help="Directory of the retailer's configuration.")]
DatabaseOption = Annotated[str | None, typer.Option("--database", help="Database URL; default: serving.yaml's.")]


@db_app.command("upgrade")
def upgrade(config: ConfigOption = Path("configs/retail"), database: DatabaseOption = None) -> None:
    """Bring the tables up to date with this program, all or nothing; stop the servers and make a backup first.

    Example: journey db upgrade --config configs/retail
    """
    from orchestrator.log.upgrading import upgrade_database

    found, now = upgrade_database(retailer_at(config, database).serving.database)
    before = "empty" if found is None else f"schema {found}"
    typer.echo(f"schema {now}, already up to date" if found == now else f"{before} -> schema {now}")


@db_app.command("rebuild")
def rebuild(config: ConfigOption = Path("configs/retail"), database: DatabaseOption = None) -> None:
    """Make all profiles anew from the logged events, after the configuration has changed; all or nothing.

    Servers of the configuration of before may go on meanwhile; at its end they refuse all requests, and those of the
    new configuration can start. Stopped at any moment and started again, it goes on.

    Example: journey db rebuild --config configs/retail
    """
    from orchestrator.audit.rebuilding import rebuild_profiles
    from orchestrator.cli.progress import progress_bars
    from orchestrator.log.administrators import this_user

    began = time.monotonic()
    retailer = retailer_at(config, database)
    with database_at(config, database) as engine, progress_bars(terminal()) as bars, stoppable(hint=_GOES_ON):
        done = rebuild_profiles(
            engine,
            retailer,
            who=this_user(),
            clock=time.time,
            progress=lambda done, total: bars.steps("customers", done=done, total=total),
        )
    if not done.customers:
        typer.echo("all profiles are of this configuration already")
        return
    if done.found:
        typer.echo(f"{done.found:,} customers had been done by a rebuild that was interrupted")
    seconds = time.monotonic() - began
    typer.echo(f"rebuilt {done.customers:,} customers from {done.events:,} events in {seconds:.1f} s")
    if done.unknown:
        typer.echo(
            f"{done.unknown:,} events name a channel, category, attribute or value that the configuration does not "
            "have; that part of them counts for nothing"
        )


@db_app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="The backup; must not exist yet.")],
    config: ConfigOption = Path("configs/retail"),
    database: DatabaseOption = None,
) -> None:
    """Copy the database as it is at one moment; servers go on meanwhile.

    Of SQLite, the copy is a database to serve from. Of PostgreSQL, it is for `pg_restore` (needs `pg_dump`).

    Example: journey db backup monday.db --config configs/retail
    """
    from orchestrator.storage.database import back_up_database

    back_up_database(retailer_at(config, database).serving.database, file)
    typer.echo(f"{file}: {file.stat().st_size:,} bytes")


@db_app.command("check")
def check(
    config: ConfigOption = Path("configs/retail"),
    database: DatabaseOption = None,
    sample: Annotated[int, typer.Option(min=0, help="Customers whose profiles to compare with their events.")] = 1000,
) -> None:
    """Check that the database is whole, and that profiles are what their events make of them; exit code 1 if not.

    Example: journey db check --config configs/retail --sample 10000
    """
    from orchestrator.audit.integrity import check_database
    from orchestrator.profiles import ProfileSchema
    from orchestrator.storage.database import open_database
    from orchestrator.storage.tables import SCHEMA_VERSION

    retailer = retailer_at(config, database)
    engine = open_database(retailer.serving.database, create=False)
    found = check_database(engine, ProfileSchema.from_retailer(retailer), sample=sample)
    engine.dispose()
    typer.echo(f"{without_passwords(str(engine.url))}: schema {SCHEMA_VERSION}")
    for table, count in found.rows.items():
        typer.echo(f"{table:16} {count:>12,} rows")
    typer.echo(f"{found.replayed:,} profiles compared with their events")
    for fault in found.faults:
        typer.secho(f"fault: {fault}", fg="red", err=True)
    if found.faults:
        raise typer.Exit(1)
    typer.echo("no faults")


@db_app.command("raw")
def raw(config: ConfigOption = Path("configs/retail"), database: DatabaseOption = None) -> None:
    """Count the messages of other systems that were kept as they came, because not all of them was understood.

    By the name the sender gave them, the most frequent first. `events.yaml` says what becomes of a name.

    Example: journey db raw --config configs/retail
    """
    from rich.table import Table
    from rich.text import Text

    from orchestrator.log.facts import count_raw_events

    with database_at(config, database) as engine, engine.connect() as connection:
        counted = count_raw_events(connection)
    if not counted:
        typer.echo("no message was kept raw")
        return
    table = Table("source", "name", "messages", "last received")
    for one in counted:
        last = datetime.fromtimestamp(one.last_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        # A name is the sender's: neither its brackets nor what it says to a terminal is obeyed.
        name = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in one.name)
        table.add_row(one.source, Text(name or "-"), f"{one.messages:,}", last)
    terminal().print(table)


def retailer_at(config: Path, database: str | None) -> Retailer:
    """A retailer's configuration, with another database if one is given."""
    from orchestrator.load import load_retailer

    given = {} if database is None else {"JOURNEY__SERVING__DATABASE": database}
    return load_retailer(config, environment={**os.environ, **given})


@contextmanager
def database_at(config: Path, database: str | None, *, make: bool = False) -> Iterator[Engine]:
    """The database of the configuration, for the length of the block."""
    from orchestrator.storage.database import open_database

    engine = open_database(retailer_at(config, database).serving.database, create=make)
    try:
        yield engine
    finally:
        engine.dispose()
