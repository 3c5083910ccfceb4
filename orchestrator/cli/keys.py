"""`journey keys`: who may ask the service for what, and what administrators did."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.databases import ConfigOption, DatabaseOption, database_at
from orchestrator.cli.options import terminal

if TYPE_CHECKING:
    from orchestrator.access.keys import ApiKey

keys_app = typer.Typer(help="Make, list and revoke the keys of channels.", no_args_is_help=True)

DEFAULT_CONFIG = Path("configs/retail")


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for, such as web-shop.")],
    scopes: Annotated[
        str,
        typer.Option(
            help="Separated by commas: decide, events, outcomes, stock, explain, policy, customers, metrics, admin."
        ),
    ],
    expires: Annotated[
        str | None, typer.Option(help="After how long it is refused, such as 90d; default: never.")
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Most requests, such as 100/s or 600/min; default: any.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    database: DatabaseOption = None,
) -> None:
    """Make a key and print it, once: it is not kept and cannot be shown again. Servers know it within seconds.

    Example: journey keys create web-shop --scopes decide,events,outcomes --expires 90d --rate 100/s
    """
    from orchestrator.access.key_rows import add_key
    from orchestrator.access.keys import new_key
    from orchestrator.access.rates import read_rate
    from orchestrator.access.scopes import read_scopes, write_scopes
    from orchestrator.config.models import seconds
    from orchestrator.errors import AccessError
    from orchestrator.log.administrators import this_user

    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise AccessError(f"name {name!r}: give 1 to 100 printable characters")
    try:
        expires_in = None if expires is None else seconds(expires)
    except ValueError as error:
        raise AccessError(f"--expires {expires!r} {error}") from error
    key, text = new_key(
        name,
        scopes=read_scopes(scopes),
        now=time.time(),
        expires_in=expires_in,
        rate=None if rate is None else read_rate(rate),
    )
    with database_at(config, database, make=True) as engine, engine.begin() as connection:
        add_key(connection, key, who=this_user())
    typer.echo(f"{key.id} ({name}): {write_scopes(key.scopes)}; the key, which is not shown again:", err=True)
    typer.echo(text)


@keys_app.command("list")
def list_(config: ConfigOption = DEFAULT_CONFIG, database: DatabaseOption = None) -> None:
    """List all keys, also those that are refused; never the keys themselves.

    Example: journey keys list
    """
    from rich.table import Table

    from orchestrator.access.key_rows import read_keys
    from orchestrator.access.scopes import write_scopes

    with database_at(config, database) as engine, engine.connect() as connection:
        keys = read_keys(connection)
    table = Table("id", "name", "scopes", "made", "expires", "last used (hour)", "rate", "state")
    for key in keys.values():
        table.add_row(
            key.id,
            key.name,
            write_scopes(key.scopes),
            _time(key.created_at),
            _time(key.expires_at),
            _time(key.last_used_at),
            str(key.rate or "any"),
            _state(key),
        )
    terminal().print(table)


@keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="As `journey keys list` shows it.")],
    config: ConfigOption = DEFAULT_CONFIG,
    database: DatabaseOption = None,
) -> None:
    """Refuse a key for good; every server does so within seconds.

    Example: journey keys revoke 5f0c6b0e9b5e
    """
    from orchestrator.access.key_rows import revoke_key
    from orchestrator.log.administrators import this_user

    with database_at(config, database) as engine, engine.begin() as connection:
        done = revoke_key(connection, key_id, who=this_user(), now=time.time())
    typer.echo(f"{key_id}: {'revoked' if done else 'was revoked before'}")


@keys_app.command("log")
def log_(
    last: Annotated[int, typer.Option(min=1, help="How many of the latest acts.")] = 100,
    customer: Annotated[str | None, typer.Option(help="Only what was done to the customer with this id.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    database: DatabaseOption = None,
) -> None:
    """Show what administrators did: keys, exports, erasures, upgrades. The database lets nobody change it.

    Example: journey keys log --last 20
    """
    from rich.table import Table

    from orchestrator.log.administrators import read_acts
    from orchestrator.privacy.customer_acts import acts_on_customer

    with database_at(config, database) as engine, engine.connect() as connection:
        if customer is None:
            acts = read_acts(connection, last=last)
        else:
            acts = acts_on_customer(connection, customer, last=last)
    table = Table("when", "who", "what", "target")
    for act in acts:
        table.add_row(_time(act.at, "seconds"), act.who, act.what, act.target)
    terminal().print(table)


def _state(key: ApiKey) -> str:
    return key.fault(time.time()).partition(" ")[2] or "usable"


def _time(at: float | None, precision: str = "minutes") -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
