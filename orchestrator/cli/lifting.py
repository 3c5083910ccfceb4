"""`journey lift`: what each experiment group is worth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.databases import ConfigOption, DatabaseOption, retailer_at
from orchestrator.cli.options import terminal

if TYPE_CHECKING:
    from orchestrator.experiments.lift import Lift


def lift_command(
    config: ConfigOption = Path("configs/retail"),
    database: DatabaseOption = None,
    days: Annotated[
        float, typer.Option(min=0.01, help="Days each customer is looked at from the first decision on.")
    ] = 28,
    against: Annotated[
        str | None, typer.Option(help="Group to compare with; default: control, if there is one.")
    ] = None,
    tightest: Annotated[
        int, typer.Option(min=1, help="Customers you expect to decide on; choose before you look, and keep it.")
    ] = 10_000,
    out: Annotated[
        Path | None, typer.Option(help="Plot of the differences as customers came in, an .svg file.")
    ] = None,
) -> None:
    """Compare experiment groups: money per customer, with intervals that hold whenever and however often you look.

    Groups and their shares are set in serving.yaml. Money is what goals.yaml says outcomes are worth, less what actions
    cost.

    Example: journey lift --days 14 --out lift.svg
    """
    from orchestrator.decision.groups import Assignment, Group
    from orchestrator.experiments.lift import DAY, measure_lift
    from orchestrator.storage.database import open_database

    retailer = retailer_at(config, database)
    groups = Assignment(retailer.serving.groups)
    no_plot = f"; no plot is written to {out}" if out is not None else ""
    used = [group.label for group in Group if groups.shares[group]]
    if len(used) == 1:
        typer.echo(
            f"{retailer.directory / 'serving.yaml'} has one group only, {used[0]}: nothing to compare with{no_plot};"
        )
        typer.echo("give other groups a share there (groups.shares), such as {policy: 0.95, control: 0.05}")
        return
    engine = open_database(retailer.serving.database, create=False)
    found = measure_lift(
        engine,
        retailer.goals,
        experiment=groups.experiment,
        window=days * DAY,
        now=time.time(),
        against=against,
        tightest=tightest,
    )
    engine.dispose()
    if not found.groups:
        typer.echo(
            f"no customer's {days:g} days are over yet, {found.waiting:,} wait; look again later, or give fewer "
            f"--days{no_plot}"
        )
        return
    if not found.reference:
        only = found.groups[0]
        typer.echo(f"{only.customers:,} customers, all in the group {only.group}: nothing to compare with yet{no_plot}")
        return
    _print(found, currency=retailer.goals.currency, days=days)
    if out is not None:
        from orchestrator.experiments.lift_plot import lift_svg

        out.write_text(lift_svg(found, currency=retailer.goals.currency), encoding="utf-8")
        typer.echo(f"plot: {out}")


def _print(found: Lift, *, currency: str, days: float) -> None:
    from rich.table import Table

    table = Table(
        title=f"{days:g} days from the first decision on; {currency} per customer, costs of actions subtracted"
    )
    headings = (
        "group",
        "customers",
        currency,
        f"against {found.reference}",
        "95 %, at any time",
        "contacts",
        "unsubscribes /1000",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "group" else "right")
    for group in found.groups:
        lift = group.lift
        shown = ("", "") if group.group == found.reference else ("too few customers", "")
        if lift is not None:
            shown = f"{lift.value[-1]:+.2f}", f"[{lift.lower[-1]:+.2f}, {lift.upper[-1]:+.2f}]"
        table.add_row(
            group.group,
            f"{group.customers:,}",
            f"{group.money:.2f}",
            *shown,
            f"{group.contacts:.2f}",
            f"{group.unsubscribes:.0f}",
        )
    terminal().print(table)
    if found.waiting:
        typer.echo(f"{found.waiting:,} more customers' {days:g} days are not over yet")
    for group in found.groups:
        if group.lift is not None and not group.lift.lower[-1] <= 0 <= group.lift.upper[-1]:
            word = "more" if group.lift.value[-1] > 0 else "less"
            typer.echo(f"{group.group} brings {word} than {found.reference}")
