"""The demo: a policy trained and compared on simulated customers, then served and asked for real households."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from orchestrator.cli.options import of_model, terminal
from orchestrator.cli.progress import progress_bars
from orchestrator.importers.complete_journey import import_complete_journey
from orchestrator.load import load_retailer
from orchestrator.profiles import Events
from policies.registry.store import CHAMPION, RegisteredPolicy, Store
from policies.registry.tracking import Tracker
from policies.registry.ui import MlflowUI
from simulator.cli.demo_households import HOUR, ask_households, zone_where_it_is
from simulator.cli.training import told
from simulator.comparison.comparison import Comparison, compare_in
from simulator.reports.comparison_publish import publish_comparison
from simulator.reports.comparison_report import comparison_html, facts_of
from simulator.reports.comparison_text import comparison_text
from simulator.reports.training_publish import PublishedIteration, TrainingPublisher
from simulator.rollout.counterfactual_pairs import WHOLE
from simulator.rollout.rollout import Setting
from simulator.runs.cluster import run
from simulator.runs.line_up import NAMES, TRAINED, line_up, save_line_up
from simulator.runs.run_spec import RunSpec, scenario_digest
from simulator.scenarios import Scenario, load_scenario
from simulator.training.plan import TrainingPlan
from simulator.training.training import Iteration, train
from simulator.training.verdict import training_verdict

WEEK = 7 * 86400.0
CONFIG = Path("configs/retail")
SCENARIO = "baseline"
# A model of its own: a policy of the demo must never become the champion that `journey serve` follows.
MODEL = "journey-demo"
PLAN = TrainingPlan(
    iterations=2, customers=10_000, days=100, block_size=5_000, evaluation_customers=2_000, evaluation_days=30
)
SEEDS, CUSTOMERS, DAYS, BLOCK_SIZE = (0, 1), 3_000, 90, 1_000


def run_demo(folder: Path, *, store: Path, stop: bool, seed: int) -> None:
    """Run the whole path; ends after the tables if `stop`, else on Ctrl-C.

    Args:
        folder: where the demo keeps its training, report, database and server log; those are made anew.
        store: MLflow store.
        stop: do not wait for Ctrl-C.
        seed: of every random draw.
    """
    console = terminal()
    started = time.monotonic()
    retailer = load_retailer(CONFIG)
    _make_anew(folder)
    scenario = load_scenario(SCENARIO, configs=CONFIG.parent)
    console.rule("1  Train in simulation")
    console.print(
        "Simulated customers live twice with the same random numbers, once with one contact more or less: what it\n"
        "adds, soon and later, is what the policy learns. [bold]These customers are SIMULATED[/bold]; their base\n"
        "rates are fitted to real data (`journey fidelity`)."
    )
    trained, registered = _train(scenario, folder, store=Store(store), seed=seed, console=console)
    console.rule("2  Compare on other simulated customers")
    report, comparison = _compare(scenario, trained, folder, store=Store(store), console=console)
    console.print(f"The whole comparison, with figures and how to read it, is one page: {report}", soft_wrap=True)
    console.rule("3  Serve, and ask for ten real households")
    _promote(registered, comparison, store=Store(store), console=console)
    zone = zone_where_it_is(HOUR, now=time.time())
    events = _until_now(import_complete_journey(retailer))
    console.print(
        f"{len(events.customers):,} real households (84.51° Complete Journey, 2017), moved in time by whole weeks, so "
        "that the year ends now.\n"
        "Each is asked about once: some for every channel, some for e-mail and the store only. For them it is "
        f"{HOUR} o'clock: the\ndemo sets the clock of customers and stores (time_zone in contacts.yaml) to {zone}, as "
        "quiet hours and closed stores\nallow few contacts at night.",
        soft_wrap=True,
        highlight=False,
    )
    with (
        _server(folder, store=store, zone=zone) as api,
        MlflowUI(store, port=_free_port(), model=MODEL) as ui,
    ):
        ask_households(api, events, retailer, version=registered.label, days=WHOLE, console=console, seed=seed)
        console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
        if stop:
            look = of_model("journey ui", model=MODEL, store=store)
            console.print(f"Look at the policy with `{look}`, or run the demo without --exit.", soft_wrap=True)
            return
        console.print("Look around:")
        console.print(f"  report   {report}", soft_wrap=True)
        console.print(f"  API      {api}/docs", soft_wrap=True)
        for name, link in ui.links.items():
            console.print(f"  {name:8} {link}", soft_wrap=True)
        console.print("Ctrl-C stops both servers.")
        ui.wait()


def _train(
    scenario: Scenario, folder: Path, *, store: Store, seed: int, console: Console
) -> tuple[Iteration, RegisteredPolicy]:
    """A small training, each iteration a registered version; the last one is what the demo will serve."""
    plan = replace(PLAN, seed=seed)
    publisher = TrainingPublisher(scenario, plan, store=store, model=MODEL, folder=folder / "training")
    done: list[PublishedIteration | None] = []

    def tell(found: Iteration) -> None:
        done.append(publisher.publish(found))
        console.print(told(found, done[-1], store=store), soft_wrap=True, markup=False, highlight=False)

    with progress_bars(console) as bars, publisher.open():
        last = train(
            scenario,
            plan,
            folder=folder / "training",
            workers=1,
            progress=bars.phase,
            on_start=publisher.begin,
            on_iteration=tell,
        )
    save_line_up({name: last.policies[name] for name in TRAINED}, folder / "policies")
    if done[-1] is None:
        raise RuntimeError("the last iteration was not registered")
    return last, done[-1].policy


def _promote(registered: RegisteredPolicy, comparison: Comparison, *, store: Store, console: Console) -> None:
    """A fresh demo shows its own policy, whatever an earlier one left as champion and however it compared."""
    Tracker(store).promote(registered.version, model=MODEL)
    console.print(
        f"Made {registered.label} the {CHAMPION} of {MODEL}, whatever its result: a demo shows its own policy. A model "
        "that matters\nis promoted by a reviewer, who reads first that "
        f"{training_verdict(comparison)}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _compare(
    scenario: Scenario, trained: Iteration, folder: Path, *, store: Store, console: Console
) -> tuple[Path, Comparison]:
    """Every policy on customers none of them learned from; returns the report's place and what it says."""
    core = Setting.of(scenario).core
    policies = line_up(NAMES, core=core, folder=folder / "policies", scenario=scenario.name)
    with progress_bars(console) as bars:
        results = run(
            scenario,
            policies,
            seeds=SEEDS,
            customers=CUSTOMERS,
            days=DAYS,
            block_size=BLOCK_SIZE,
            workers=1,
            progress=bars.blocks,
        )
    comparison = compare_in(scenario, results, reference="journey")
    console.print(comparison_text(comparison), soft_wrap=True)
    spec = RunSpec.of(scenario, policies, customers=CUSTOMERS, days=DAYS, block_size=BLOCK_SIZE, logs=False)
    facts = {**facts_of(scenario, spec), "twins learned from": f"{trained.twins:,}"}
    html = comparison_html(comparison, title="Demo: simulated customers under seven policies", facts=facts)
    content = {**spec.content, "seeds": list(SEEDS), "reference": comparison.reference}
    publish_comparison(
        comparison, html=html, spec=content, scenario=scenario.name, digest=scenario_digest(scenario), store=store
    )
    report = folder / "report.html"
    report.write_text(html, encoding="utf-8")
    return report, comparison


def _make_anew(folder: Path) -> None:
    """Remove what an earlier demo left in the folder, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for old_folder in ("training", "policies"):
        shutil.rmtree(folder / old_folder, ignore_errors=True)
    for old in (*folder.glob("journey.db*"), folder / "server.log", folder / "report.html"):
        old.unlink(missing_ok=True)


def _until_now(events: Events) -> Events:
    weeks = np.floor((time.time() - events.timestamp.max()) / WEEK)
    return replace(events, timestamp=events.timestamp + weeks * WEEK)


@contextmanager
def _server(folder: Path, *, store: Path, zone: str) -> Iterator[str]:
    port = _free_port()
    with (folder / "server.log").open("wb") as server_log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [
                *(sys.executable, "-c", "from orchestrator.cli import main; main()", "serve", "--dev"),
                *("--config", str(CONFIG)),
                *(
                    "--store",
                    str(store),
                    "--model",
                    MODEL,
                    "--port",
                    str(port),
                    "--database",
                    f"sqlite:///{folder}/journey.db",
                ),
            ],
            stdout=server_log,
            stderr=server_log,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "JOURNEY__CONTACTS__TIME_ZONE": zone},
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, folder / "server.log")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], server_log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310 - our own http address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the API did not become ready; its log is {server_log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
