"""`journey compare`: policies lived through by the same simulated customers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORE, StoreOption, of_model, terminal
from orchestrator.cli.threads import one_thread
from orchestrator.errors import suggestion
from simulator.cli.simulation import (
    AddressOption,
    BlockSizeOption,
    CustomersOption,
    DaysOption,
    LineUpOption,
    ResumeOption,
    ScenarioOption,
    WorkersOption,
    folder_of_blocks,
    line_up_folder,
    live,
    world_and_policies,
)

DEFAULT_POLICIES = "hold,random,fixed,business_rules,click_greedy,myopic,journey"
REFERENCE = "journey"
SPEC = "spec.json"


def compare_command(
    scenario: ScenarioOption = "baseline",
    policies: Annotated[
        str, typer.Option(help="Names, separated by commas: hold, random, trained ones, or module:Class of your own.")
    ] = DEFAULT_POLICIES,
    seeds: Annotated[int, typer.Option(min=1, help="Number of populations: seeds 0, 1, ...")] = 5,
    customers: CustomersOption = 20_000,
    days: DaysOption = 180,
    block_size: BlockSizeOption = 10_000,
    workers: WorkersOption = None,
    address: AddressOption = None,
    line_up: LineUpOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder for report.html, comparison.parquet, spec.json and finished blocks; default: nothing is kept.",
        ),
    ] = None,
    resume: ResumeOption = False,
    reference: Annotated[
        str, typer.Option(help="The policy the others are compared with; default: journey, else the first one.")
    ] = "",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Let the same simulated customers live under each policy, and report who earns more, how surely.

    Margins are money per customer over all days. One MLflow run is logged.

    Example: journey compare --policies hold,random,mine:Policy --seeds 5 --days 60 --out report
    """
    one_thread()
    from policies.registry.store import Store
    from policies.whole_files import write_whole
    from simulator.comparison.comparison import compare_in
    from simulator.errors import LineUpError, RunError
    from simulator.reports.comparison_guide import notes_of
    from simulator.reports.comparison_publish import publish_comparison
    from simulator.reports.comparison_report import comparison_html, facts_of
    from simulator.reports.comparison_text import comparison_text
    from simulator.runs.run_spec import RunSpec, scenario_digest

    if resume and out is None:
        raise RunError("--resume continues the run in --out; give that folder, or leave --resume out")
    registry = Store(store)
    registry.check()
    world, found = world_and_policies(scenario, policies, line_up)
    if len(found) < 2:
        raise LineUpError(f"policies: only {', '.join(found)}; a comparison needs two or more, such as hold")
    reference = reference or (REFERENCE if REFERENCE in found else next(iter(found)))
    if reference not in found:
        raise LineUpError(f"--reference {reference!r} does not take part; {suggestion(reference, found)}")
    blocks = folder_of_blocks(out, resume=resume) if out else None
    results = live(
        world,
        found,
        seeds=list(range(seeds)),
        customers=customers,
        days=days,
        block_size=block_size,
        workers=workers,
        address=address,
        folder=blocks,
        log_folder=None,
    )
    comparison = compare_in(world, results, reference=reference)
    typer.echo(comparison_text(comparison))
    spec = RunSpec.of(world, found, customers=customers, days=days, block_size=block_size, logs=False)
    content = {**spec.content, "seeds": list(range(seeds)), "reference": reference}
    folder = line_up_folder(world, line_up)
    labels = {name: label for name in found if (label := registry.label_of(folder / name))}
    facts = facts_of(world, spec) | {"registered": ", ".join(f"{name} is {label}" for name, label in labels.items())}
    facts = {name: fact for name, fact in facts.items() if fact}
    html = comparison_html(comparison, title=f"Comparison: {world.name}", facts=facts, notes=notes_of(found))
    if out:
        comparison.write_parquet(out / "comparison.parquet")
        write_whole(out / SPEC, (json.dumps(content, indent=1) + "\n").encode())
        write_whole(out / "report.html", html.encode())
        typer.echo(f"wrote {out}/report.html, comparison.parquet, {SPEC}")
    with terminal().status("writing the MLflow run"):
        run_id = publish_comparison(
            comparison, html=html, spec=content, scenario=world.name, digest=scenario_digest(world), store=registry
        )
    model = labels.get(reference, "").rpartition("/")[0]
    typer.echo(f"logged MLflow run {run_id}; look at it with `{of_model('journey ui', model=model, store=store)}`")
