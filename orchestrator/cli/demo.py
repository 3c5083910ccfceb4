"""The demo: real shopping histories, a synthetic response, and everything between them real."""

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
from rich.progress import track
from rich.table import Table

from orchestrator.cli.options import terminal
from orchestrator.cli.settings import training_settings
from orchestrator.config import Retailer, load_retailer
from orchestrator.decisions import DecisionCore
from orchestrator.importers.complete_journey import import_complete_journey
from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema
from policies.arrays import Float32Array, Float64Array
from policies.baselines import RandomPolicy
from policies.evaluation.league_text import league_text
from policies.feedback import MONEY, LoggedFeedback
from policies.registry.store import CHAMPION, Store
from policies.registry.tracking import Tracker
from policies.registry.ui import MlflowUI
from policies.review.publish import publish
from policies.training import train
from simulator.response import Responses, respond

WEEK = 7 * 86400.0
WEEKS = 44
HOLD_SHARE = 0.4
HOUSEHOLDS = 10
CONFIG = Path("configs/retail")
# A model of its own: a synthetic policy must never become the champion that `journey serve` follows.
MODEL = "journey-demo"
_SOURCE = "Complete Journey households with a synthetic response model"


def run_demo(folder: Path, *, store: Path, stop: bool, seed: int) -> None:
    """Run the whole path; ends after the table if `stop`, else on Ctrl-C.

    Args:
        folder: where the demo keeps its feedback log, database and server log; those are made anew.
        store: MLflow store.
        stop: do not wait for Ctrl-C.
        seed: of every random draw.
    """
    console = terminal()
    started = time.monotonic()
    retailer = load_retailer(CONFIG)
    _make_anew(folder)
    console.rule("1  Real shopping histories in")
    events = _until_now(import_complete_journey(retailer))
    console.print(
        f"{len(events):,} events of {len(events.customers):,} real households (84.51° Complete Journey, 2017), "
        "moved in time by whole weeks so that the year ends now."
    )
    console.rule("2  First data, gathered carefully")
    log = gather(retailer, events, seed=seed, console=console)
    log.save(folder / "feedback")
    console.print(
        f"{len(log):,} decisions over the last {WEEKS} weeks, {HOLD_SHARE:.0%} of them to hold, the rest spread over "
        "every eligible action. [bold]Histories are real; responses are SYNTHETIC[/bold] (simulator/response.py)."
    )
    console.rule("3  Learn, judge, register")
    training = retailer.training
    settings = training_settings(training)
    result = train(log, settings, progress=lambda done, total: None)  # noqa: ARG005
    money = replace(result.league, standings=result.league.of(result.league.outcomes[0]))
    console.print(league_text(money), soft_wrap=True)
    published = publish(result, log, settings, store=Store(store), model=MODEL, name="demo (synthetic)")
    # A fresh demo shows its own policy, whatever an earlier one left as champion.
    Tracker(Store(store)).promote(published.policy.version, model=MODEL)
    console.print(f"{published.headline}\nRegistered {published.policy.label} and made it {CHAMPION}.")
    console.rule("4  Serve, ask, tell")
    with (
        _server(folder, store=store) as api,
        MlflowUI(store, port=_free_port(), model=MODEL) as ui,
    ):
        typical = log.features[-len(events.customers) :].mean(axis=0)
        _ask_and_tell(api, events, retailer, typical=typical, console=console, seed=seed)
        console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
        if stop:
            console.print(f"Look at the policy with `journey ui --model {MODEL}`, or run the demo without --exit.")
            return
        console.print("Look around:")
        console.print(f"  API      {api}/docs", soft_wrap=True)
        for name, link in ui.links.items():
            console.print(f"  {name:8} {link}", soft_wrap=True)
        console.print("Ctrl-C stops both servers.")
        ui.wait()


def gather(retailer: Retailer, events: Events, *, seed: int, console: Console) -> LoggedFeedback:
    """Weekly decisions for every household by a policy that mostly holds, answered by the synthetic model.

    Returns:
        Feedback with known propensities; the reward is money before the action's own cost.
    """
    schema = ProfileSchema.from_retailer(retailer)
    core, profiles = DecisionCore(retailer, schema), Profiles(schema)
    policy = RandomPolicy(core.actions, core.columns, hold=HOLD_SHARE)
    households, n = events.customers, len(events.customers)
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    end = float(events.timestamp.max())
    before = -np.inf
    parts: list[LoggedFeedback] = []
    for moment in track(np.arange(end - WEEKS * WEEK, end, WEEK).tolist(), "weeks", console=console, transient=True):
        profiles.apply(events.take(np.flatnonzero((events.timestamp >= before) & (events.timestamp < moment))))
        before = moment
        decided = core.decide(
            policy,
            states=profiles.states(households),
            contexts=np.zeros((n, len(core.context.columns)), dtype=np.float32),
            channels=np.ones((n, len(schema.channels)), dtype=bool),
            ids=random.integers(2**64, size=(n, 2), dtype=np.uint64),
            now=moment,
        )
        typical = decided.features.mean(axis=0)
        answer = respond(
            decided.features, decided.action, columns=core.columns, actions=core.actions, typical=typical, random=random
        )
        profiles.apply(_contacts(schema, core, decided.action, answer, households, moment=moment))
        parts.append(
            LoggedFeedback(
                columns=core.columns,
                features=decided.features,
                actions=core.actions,
                eligible=decided.eligible,
                action=decided.action,
                propensity=decided.propensity,
                reward=_money(retailer, answer),
                customer=households,
                reward_name=MONEY,
                outcomes={
                    "click": answer.click.astype(np.float64),
                    "purchase": (answer.purchase > 0).astype(np.float64),
                    "unsubscribe": answer.unsubscribe.astype(np.float64),
                },
                source=_SOURCE,
            )
        )
    return LoggedFeedback.concat(parts)


def _make_anew(folder: Path) -> None:
    """Remove what an earlier demo left in the folder, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "feedback", ignore_errors=True)
    for old in (*folder.glob("journey.db*"), folder / "server.log"):
        old.unlink(missing_ok=True)


def _money(retailer: Retailer, answer: Responses) -> Float64Array:
    goals, bought = retailer.goals, answer.purchase > 0
    margin = goals.worth("purchase", value=1.0) - goals.worth("purchase")
    return (
        goals.worth("click") * answer.click
        + goals.worth("purchase") * bought
        + margin * answer.purchase
        - answer.discount
        + goals.worth("unsubscribe") * answer.unsubscribe
    )


def _contacts(
    schema: ProfileSchema,
    core: DecisionCore,
    action: Any,
    answer: Responses,
    households: Sequence[str] | Any,
    *,
    moment: float,
) -> Events:
    """What the decisions leave in the profiles: contacts, clicks, unsubscriptions."""
    channel_of = np.array([_channel(schema, features) for features in core.actions.features])
    channel = channel_of[action]
    parts = []
    for kind, happened in (("sent", channel >= 0), ("click", answer.click), ("unsubscribe", answer.unsubscribe)):
        rows = np.flatnonzero(happened & (channel >= 0))
        parts.append(
            Events.from_columns(
                customer_id=np.asarray(households, dtype=object)[rows],
                event_id=np.array([f"demo-{kind}-{moment:.0f}-{row}" for row in rows], dtype=object),
                timestamp=np.full(len(rows), moment),
                type=np.full(len(rows), EVENT_TYPES.index(kind)),
                channel=channel[rows],
            )
        )
    return Events.concat(parts)


def _channel(schema: ProfileSchema, features: Sequence[tuple[str, str, float]]) -> int:
    names = {name for _, name, _ in features}
    return next((i for i, c in enumerate(schema.channels) if f"channel={c}" in names), -1)


def _until_now(events: Events) -> Events:
    weeks = np.floor((time.time() - events.timestamp.max()) / WEEK)
    return replace(events, timestamp=events.timestamp + weeks * WEEK)


def _ask_and_tell(
    api: str, events: Events, retailer: Retailer, *, typical: Float32Array, console: Console, seed: int
) -> None:
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    counts = np.bincount(events.customer, minlength=len(events.customers))
    chosen = random.choice(np.flatnonzero(counts > 50), HOUSEHOLDS, replace=False)
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    table = Table(title="Ten real households, decided by the API just now; answers are synthetic and in its log")
    for heading in ("household", "what we know", "next best action", "propensity", "money", "answer"):
        right = heading in {"propensity", "money"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for customer in chosen.tolist():
        household = str(events.customers[customer])
        history = events.take(np.flatnonzero(events.customer == customer))
        records = _records(history, retailer)
        for start in range(0, len(records), 1000):
            _post(f"{api}/v1/events", records[start : start + 1000])
        decision = _post(f"{api}/v1/decisions", {"customer_id": household, "context": {"device": "mobile", "hour": 18}})
        best = next(c for c in decision["candidates"] if c["id"] == decision["action"]["id"])
        known, told = _known(records), _tell(api, decision, core, typical=typical, random=random)
        numbers = f"{decision['propensity']:.3f}", f"{best['score']:+.2f}"
        table.add_row(household.removeprefix("household-"), known, best["id"], *numbers, told)
    console.print(table)


def _tell(
    api: str, decision: Mapping[str, Any], core: DecisionCore, *, typical: Float32Array, random: np.random.Generator
) -> str:
    """Let the synthetic model answer what the API decided, and report it."""
    logged = _get(f"{api}/v1/decisions/{decision['decision_id']}")
    features = np.array([[logged["features"][c] for c in core.columns]], dtype=np.float32)
    action = np.array([core.actions.index(decision["action"]["id"])])
    answer = respond(features, action, columns=core.columns, actions=core.actions, typical=typical, random=random)
    outcomes: list[dict[str, Any]] = []
    if answer.click[0]:
        outcomes.append({"type": "click"})
    if answer.purchase[0] > 0:
        outcomes.append({"type": "purchase", "value": round(float(answer.purchase[0]), 2)})
    if answer.unsubscribe[0]:
        outcomes.append({"type": "unsubscribe"})
    if not outcomes:
        return "said nothing" if decision["action"]["id"] == "hold" else "no answer"
    for outcome in outcomes:
        outcome |= {
            "outcome_id": f"{decision['decision_id']}-{outcome['type']}",
            "decision_id": decision["decision_id"],
        }
    _post(f"{api}/v1/outcomes", outcomes)
    return " and ".join(f"{o['type']} {o.get('value', '')}".strip() for o in outcomes)


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
                *(sys.executable, "-c", "from orchestrator.cli import main; main()", "serve", "--config", str(CONFIG)),
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
