"""`journey calibrate`, `fidelity`: the simulated world fitted to real customers, and held against them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import terminal

DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="JOURNEY_DATA",
        file_okay=False,
        help="Folder of the real data: cdnow/, dunnhumby/, hillstrom/.",
    ),
]
ConfigOption = Annotated[
    Path, typer.Option("--config", file_okay=False, help="Directory of a retailer with a world.yaml.")
]
DEFAULT_DATA = Path("../shared/data")
DEFAULT_CONFIG = Path("configs/retail")
DEFAULT_OUT = Path("data/fidelity")
# Not the calibration's: a world that only fits the chances it was fitted with should fail.
FIDELITY_SEED = 0


def calibrate_command(
    context: typer.Context,
    data: DataOption = DEFAULT_DATA,
    config: ConfigOption = DEFAULT_CONFIG,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if world.yaml is not what the fit gives.")
    ] = False,
) -> None:
    """Fit world.yaml to real customers: every number with a `source`. Numbers with a `range` are left as they are.

    Run it again after changing an assumption: some fitted numbers depend on them.

    Example: journey calibrate --data ../shared/data --check
    """
    from orchestrator.load import load_retailer
    from simulator.calibration.data.data import check_folder
    from simulator.calibration.fit.world_file import differences, write_world
    from simulator.calibration.fit.world_fit import fit_world
    from simulator.scenarios import load_world

    check_folder(data, named_by=_named_by(context))
    retailer = load_retailer(config)
    world = load_world(retailer, {})
    with terminal().status("fitting; simulates for a minute or so"):
        fitted = fit_world(data, retailer, world)
    path = retailer.directory / "world.yaml"
    found = differences(path.read_text(encoding="utf-8"), fitted)
    for line in found:
        typer.echo(line)
    if check:
        typer.echo(f"{path}: {len(found)} numbers are not what the fit gives" if found else f"{path}: as fitted")
        raise typer.Exit(1 if found else 0)
    write_world(path, fitted)
    typer.echo(f"{path}: written, {len(fitted.numbers)} numbers and the days of the week")


def fidelity_command(
    context: typer.Context,
    data: DataOption = DEFAULT_DATA,
    config: ConfigOption = DEFAULT_CONFIG,
    customers: Annotated[int, typer.Option(min=100, help="Customers to simulate of each kind.")] = 20_000,
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Directory fidelity.html is written to.")
    ] = DEFAULT_OUT,
) -> None:
    """Simulated customers against real ones, moment by moment; exit 1 if one is out of its tolerance.

    The tolerances, each with its reason, are in the retailer's fidelity.yaml, and were set for 20,000 customers. With
    fewer a moment may be out by chance: the table says so where it is within two standard errors.

    Example: journey fidelity --data ../shared/data --out data/fidelity
    """
    from orchestrator.load import load_retailer
    from simulator.calibration.data.data import check_folder
    from simulator.calibration.fidelity.company import Company
    from simulator.calibration.fidelity.fidelity import measure_fidelity
    from simulator.calibration.fidelity.fidelity_report import PAGE, fidelity_html
    from simulator.calibration.fidelity.fidelity_text import fidelity_text
    from simulator.scenarios import load_world

    check_folder(data, named_by=_named_by(context))
    retailer = load_retailer(config)
    company = Company(retailer, load_world(retailer, {}), FIDELITY_SEED)
    with terminal().status("simulating; a minute or so"):
        fidelity = measure_fidelity(company, folder=data, customers=customers)
    typer.echo(fidelity_text(fidelity))
    out.mkdir(parents=True, exist_ok=True)
    page = out / PAGE
    page.write_text(fidelity_html(fidelity), encoding="utf-8")
    typer.echo(f"report: {page}")
    raise typer.Exit(1 if fidelity.out_of_tolerance else 0)


def _named_by(context: typer.Context) -> str:
    """Who chose the folder of the real data."""
    source = context.get_parameter_source("data")
    chosen = {"COMMANDLINE": "--data", "ENVIRONMENT": "the variable JOURNEY_DATA"}
    return chosen.get(source.name if source else "", "the default of --data (or of JOURNEY_DATA)")
