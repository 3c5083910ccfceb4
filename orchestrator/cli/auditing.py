"""`journey audit`: whether logged decisions were made as the log says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.databases import ConfigOption, DatabaseOption, retailer_at
from orchestrator.cli.options import DEFAULT_STORE, StoreOption, terminal

if TYPE_CHECKING:
    from policies.policy import Policy

_SHOWN = 20


def audit_command(
    config: ConfigOption = Path("configs/retail"),
    database: DatabaseOption = None,
    store: StoreOption = DEFAULT_STORE,
    since: Annotated[datetime | None, typer.Option(help="Decisions from this moment on, UTC; default: all.")] = None,
) -> None:
    """Repeat logged decisions with the policy of their version, and compare; exit code 1 if one differs.

    Scores, probabilities and draws must agree to the last bit; features, rebuilt from the events received before, up
    to rounding; and the ledger of contacts must name what was decided. Servers may go on meanwhile.

    Example: journey audit --config configs/retail --since 2026-11-01
    """
    from orchestrator.audit.auditing import audit_decisions
    from orchestrator.cli.progress import progress_bars
    from orchestrator.storage.database import open_database
    from policies.registry.store import Store
    from policies.vw.files import load_policy

    retailer = retailer_at(config, database)

    def policy_of(version: str) -> Policy | None:
        model, _, number = version.rpartition("/")
        found = Store(store).version(model, int(number)) if number.isdecimal() else None
        return load_policy(found.directory) if found else None

    engine = open_database(retailer.serving.database, create=False)
    with progress_bars(terminal()) as bars:
        found = audit_decisions(
            engine,
            retailer,
            policy_of=policy_of,
            since=0.0 if since is None else since.replace(tzinfo=UTC).timestamp(),
            progress=lambda done, total: bars.count("decisions", done=done, total=total),
        )
    engine.dispose()
    typer.echo(f"{engine.url}: {found.decisions:,} decisions")
    typer.echo(f"{found.verified:,} repeated and equal; of {found.rebuilt:,}, features were rebuilt from events too")
    for why, count in (found.skipped + found.taken_as_logged).most_common():
        typer.echo(f"{count:,}: {why}")
    for fault in found.faults[:_SHOWN]:
        typer.secho(f"fault: {fault.decision_id}: {fault.what}", fg="red", err=True)
    if found.faulty:
        more = f", {_SHOWN} shown" if found.faulty > _SHOWN else ""
        typer.secho(f"{found.faulty:,} decisions are not as they should be{more}", fg="red", err=True)
        raise typer.Exit(1)
    whole = found.rebuilt == found.decisions and not found.taken_as_logged
    typer.echo("no faults" if whole else "no faults in what could be repeated")
