"""The demo: a policy trained and compared on simulated customers, then served and asked for real households."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from orchestrator.cli.options import terminal
from orchestrator.cli.progress import progress_bars
from orchestrator.cli.training import told
from orchestrator.config import Retailer, load_retailer
from orchestrator.importers.complete_journey import import_complete_journey
from orchestrator.profiles import EVENT_TYPES, Events
from policies.registry.store import CHAMPION, RegisteredPolicy, Store
from policies.registry.tracking import Tracker
from policies.registry.ui import MlflowUI
from simulator.cluster import run
from simulator.comparison import Comparison, compare_in
from simulator.comparison_publish import publish_comparison
from simulator.comparison_report import comparison_html, facts_of
from simulator.comparison_text import comparison_text
from simulator.line_up import NAMES, TRAINED, line_up, save_line_up
from simulator.rollout import Setting
from simulator.run_spec import RunSpec, scenario_digest
from simulator.scenarios import Scenario, load_scenario
from simulator.training import Iteration, train
from simulator.training_plan import TrainingPlan
from simulator.training_publish import PublishedIteration, TrainingPublisher
from simulator.training_verdict import training_verdict

WEEK = 7 * 86400.0
HOUSEHOLDS = 10
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
    console.rule("3  Serve, and ask for ten real households")
    _promote(registered, comparison, store=Store(store), console=console)
    events = _until_now(import_complete_journey(retailer))
    console.print(
        f"{len(events.customers):,} real households (84.51° Complete Journey, 2017), moved in time by whole weeks, so "
        "that the year ends now."
    )
    with (
        _server(folder, store=store) as api,
        MlflowUI(store, port=_free_port(), model=MODEL) as ui,
    ):
        _ask(api, events, retailer, version=registered.label, console=console, seed=seed)
        console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
        if stop:
            console.print(f"Look at the policy with `journey ui --model {MODEL}`, or run the demo without --exit.")
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


def _ask(api: str, events: Events, retailer: Retailer, *, version: str, console: Console, seed: int) -> None:
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    counts = np.bincount(events.customer, minlength=len(events.customers))
    chosen = random.choice(np.flatnonzero(counts > 50), HOUSEHOLDS, replace=False)
    table = Table(title=f"Ten real households, decided by the API just now with {version}")
    for heading in ("household", "what we know", "next best action", "propensity", "money", "runner-up"):
        right = heading in {"propensity", "money"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for customer in chosen.tolist():
        household = str(events.customers[customer])
        history = events.take(np.flatnonzero(events.customer == customer))
        records = _records(history, retailer)
        # Complete Journey does not say who may be mailed; in the demo, everybody asked for it.
        records.append(
            {"event_id": f"{household}-subscribed", "customer_id": household, "type": "subscribe", "channel": "email",
             "timestamp": records[0]["timestamp"]}
        )  # fmt: skip
        for start in range(0, len(records), 1000):
            _post(f"{api}/v1/events", records[start : start + 1000])
        asked: dict[str, Any] = {"customer_id": household, "context": {"device": "mobile", "hour": 18}}
        if customer % 2:
            asked |= {"channels": ["email", "store"], "context": {"hour": 9}}
        decision = _post(f"{api}/v1/decisions", asked)
        ranked = {c["id"]: c for c in decision["candidates"]}
        best = ranked[decision["action"]["id"]]
        # At night, all that a store and e-mails could say waits for the morning.
        second = next((c["id"] for c in decision["candidates"] if c["id"] != best["id"]), "none")
        numbers = f"{decision['propensity']:.3f}", f"{best['score']:+.2f}"
        table.add_row(household.removeprefix("household-"), _known(records), best["id"], *numbers, second)
    console.print(table)


def _known(records: Sequence[Mapping[str, Any]]) -> str:
    spent: dict[str, float] = {}
    for record in records:
        if record["type"] == "purchase":
            category = record.get("category", "other")
            spent[category] = spent.get(category, 0.0) + record["value"]
    top = sorted(spent, key=lambda c: -spent[c])[:2]
    return f"{len(records):,} events, {sum(spent.values()):,.0f} on {', '.join(top)}"


def _records(events: Events, retailer: Retailer) -> list[dict[str, Any]]:
    """Events as the API takes them."""
    channels, categories = list(retailer.channels), retailer.catalogue.categories
    records = []
    for i in range(len(events)):
        record: dict[str, Any] = {
            "event_id": str(events.event_id[i]),
            "customer_id": str(events.customers[events.customer[i]]),
            "type": EVENT_TYPES[events.type[i]],
            "timestamp": datetime.fromtimestamp(float(events.timestamp[i]), UTC).isoformat(),
        }
        if record["type"] == "profile":
            continue
        if events.channel[i] >= 0:
            record["channel"] = channels[events.channel[i]]
        if events.category[i] >= 0:
            record["category"] = categories[events.category[i]]
        for name, values in (("value", events.value), ("quantity", events.quantity), ("discount", events.discount)):
            if values[i] or (name == "value" and record["type"] == "purchase"):
                record[name] = float(values[i])
        records.append(record)
    return records


@contextmanager
def _server(folder: Path, *, store: Path) -> Iterator[str]:
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
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
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


def _get(url: str) -> Any:
    return _answer(urllib.request.Request(url))  # noqa: S310 - our own http address


def _post(url: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    return _answer(urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers))  # noqa: S310


def _answer(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{request.full_url} answered {error.code}: {error.read().decode()}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
