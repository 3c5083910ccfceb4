"""Durable decisions against an endpoint of the same models that only echoes: throughput, latency, and batches.

    python -m benchmarks.api_throughput [--seconds 3] [--rounds 3] [--databases sqlite postgresql]

Server and load generator are processes of their own; the services run one after the other, in alternating rounds so
that a noisy machine hits all. Requests carry a key, at which the echo does not look. Contact rules are those of
configs/retail. Measured per service:

- requests per second of 32 clients that never wait. Aim on SQLite: 0.6 of the echo's; on PostgreSQL: 0.4;
- latency of one client alone, at a quarter, half and three quarters of that load, sent evenly, and at all of it; the
  echo gets as many requests per second as the first service. Aim at half of it: three times the echo's p99;
- decisions per second of one call of the batch endpoint, against one client that asks for one after the other, and
  against the 32. Aim: 20 times one client's.

PostgreSQL's server is started here too, with its defaults: commits wait for the disk. Exits with 1 where an aim is
missed on SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from orchestrator.api.middleware.connections import BoundedProtocol

from orchestrator.api.app import create_app
from orchestrator.api.models.decisions import DecisionRequest, DecisionResponse
from orchestrator.api.models.events import EventsRequest
from orchestrator.api.serve import tune_process
from orchestrator.decision.core import DecisionCore
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.service import ServiceSettings
from policies.learning.baselines import RandomPolicy
from tests.api_keys import make_key
from tests.postgresql_server import postgresql_server

ROOT = Path(__file__).parents[1]
CONCURRENCY = 32
CUSTOMERS = 2000
BATCH = 20_000
AIMS = {"sqlite": 0.6, "postgresql": 0.4}
AIM_P99, AIM_BATCH = 3.0, 20.0
# Of the load of clients that never wait.
LOADS = {"a quarter": 0.25, "half": 0.5, "three quarters": 0.75}
ALONE, ALL = "one client alone", f"all: {CONCURRENCY} clients that never wait"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite"])
    arguments.add_argument("--serve", choices=["echo", "sqlite", "postgresql"], help=argparse.SUPPRESS)
    arguments.add_argument("--database", help=argparse.SUPPRESS)
    arguments.add_argument("--load", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--server", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--key", help=argparse.SUPPRESS)
    arguments.add_argument("--pace", type=float, default=0.0, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        _serve(given.serve, given.database)
    elif given.load:
        asyncio.run(_load(given.load, given.seconds, given.server, given.pace, given.key))
    else:
        _compare(given.seconds, given.rounds, given.databases)


def _compare(seconds: float, rounds: int, databases: list[str]) -> None:
    # The echo comes last, for it is asked at the pace of the first service.
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in (*databases, "echo")}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        urls = {"echo": "", "sqlite": f"sqlite:///{folder}/journey.db"}
        if "postgresql" in databases:
            server = stack.enter_context(postgresql_server(durable=True))
            urls["postgresql"] = server.url(server.create())
        keys = {"echo": "none", **{kind: make_key(urls[kind], "decide,events") for kind in databases}}
        for number in range(1, rounds + 1):
            for kind, measured in found.items():
                pace = found[databases[0]][-1]["rate"] if kind == "echo" else 0.0
                measured.append(now := _round(kind, urls[kind], seconds, pace, keys[kind]))
                print(
                    f"round {number}, {kind}: {now['rate']:.0f} requests/s, {now['cpu']:.0f} us of CPU each"
                    + (f"; batch {now['batch']:.0f} decisions/s" if "batch" in now else ""),
                    flush=True,
                )
    middle = {
        kind: {name: statistics.median(one[name] for one in measured) for name in measured[0]}
        for kind, measured in found.items()
    }
    print(f"\nmedians of {rounds} rounds, p50 / p99 in milliseconds\n")
    print(_table(middle))
    missed = [what for kind in databases for what in _missed(kind, middle[kind], middle["echo"]) if kind == "sqlite"]
    sys.exit(1 if missed else 0)


def _table(middle: dict[str, dict[str, float]]) -> str:
    """Markdown: a row per load, a column per service."""
    rows = [["load", *middle], ["---"] * (len(middle) + 1)]
    rows += (
        [load, *(f"{now[f'{load} p50']:.1f} / {now[f'{load} p99']:.1f}" for now in middle.values())]
        for load in (ALONE, *LOADS, ALL)
    )
    rows.append(["requests per second", *(f"{now['rate']:.0f}" for now in middle.values())])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _missed(kind: str, now: dict[str, float], echo: dict[str, float]) -> list[str]:
    """Tell of one service how it compares; what it missed."""
    told = (
        ("of the echo's requests/s", now["rate"] / echo["rate"], AIMS[kind], True),
        ("times the echo's p99 at half load", now["half p99"] / echo["half p99"], AIM_P99, False),
        ("times one client's decisions/s in a batch", now["batch"] / now["one"], AIM_BATCH, True),
    )
    missed = []
    print(f"\n{kind}, medians; batch {now['batch'] / now['rate']:.1f} times {CONCURRENCY} clients' decisions/s:")
    for what, ratio, aim, more in told:
        good = ratio >= aim if more else ratio <= aim
        print(f"  {ratio:.2f} {what} (aim {aim:g}{'' if good else ': MISSED'})")
        if not good:
            missed.append(what)
    return missed


def _round(kind: str, database: str, seconds: float, pace: float, key: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.api_throughput"]
    serve = [*command, "--serve", kind, "--database", database]
    with subprocess.Popen(serve, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = server.stdout or ()
            port = next(int(found[1]) for line in lines if (found := re.match(r"port (\d+)", line)))
            load = [*command, "--load", str(port), "--seconds", str(seconds), "--server", str(server.pid)]
            answer = subprocess.run(
                [*load, "--pace", str(pace), "--key", key], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
            )
        finally:
            server.send_signal(signal.SIGTERM)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def _serve(kind: str, database: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    app = _echo_app() if kind == "echo" else _journey_app(database)
    print("port", listening.getsockname()[1], flush=True)
    http = "httptools" if kind == "echo" else BoundedProtocol  # as `journey serve`
    config = uvicorn.Config(app, loop="uvloop", http=http, access_log=False, log_level="warning")
    if kind != "echo":
        tune_process()  # as `journey serve` does
    uvicorn.Server(config).run(sockets=[listening])


def _journey_app(database: str) -> FastAPI:
    retailer = load_retailer(ROOT / "configs" / "retail", environment={})
    retailer = replace(retailer, serving=retailer.serving.model_copy(update={"database": database}))
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    policy = RandomPolicy(actions=core.actions, columns=core.columns)
    settings = ServiceSettings(retailer=retailer, champion=lambda: ("1", Path()), load_policy=lambda _: policy)
    return create_app(settings)


def _echo_app() -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    candidates = [
        {"id": f"email.inspire.category{i}", "channel": "email", "score": 0.1 / (i + 1), "probability": 0.05}
        for i in range(20)
    ]
    answer = DecisionResponse.model_validate(
        {
            "decision_id": "01936f3e-9d3a-7c41-a6a4-0f2a6be3c1d9",
            "action": {
                "id": "email.inspire.category0",
                "channel": "email",
                "intent": "inspire",
                "subject": "category0",
                "discount": 0.0,
                "template": "inspire",
            },
            "propensity": 0.05,
            "policy_version": "1",
            "group": "policy",
            "decided_at": "2026-11-20T18:04:05.123456Z",
            "candidates": candidates,
        }
    )

    async def decide(body: DecisionRequest) -> DecisionResponse:
        return answer.model_copy(update={"policy_version": body.customer_id})

    async def receive(body: EventsRequest) -> None: ...

    decide.__annotations__ = {"body": DecisionRequest, "return": DecisionResponse}
    receive.__annotations__ = {"body": EventsRequest, "return": None}
    app.post("/v1/decisions")(decide)
    app.post("/v1/events")(receive)
    return app


async def _load(port: int, seconds: float, server: int, pace: float, key: str) -> None:
    """Raw sockets, keep-alive: the generator must not be what is measured. An echo is given the pace it is asked at."""
    events = [{"event_id": f"e{i}", "customer_id": f"customer-{i}", "type": "visit"} for i in range(CUSTOMERS)]
    for start in range(0, CUSTOMERS, 500):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await _exchange(reader, writer, _request("/v1/events", json.dumps(events[start : start + 500]), key))
        writer.close()
    bodies = [
        json.dumps(
            {
                "customer_id": f"customer-{i}",
                "channels": ["email", "site"],
                "context": {"device": "mobile", "hour": 18, "category": "pantry"},
            }
        )
        for i in range(CUSTOMERS)
    ]
    requests = [_request("/v1/decisions", body, key) for body in bodies]
    await _run(port, requests, time.perf_counter() + 0.5)
    started, cpu = time.perf_counter(), _cpu_seconds(server)
    waits = await _run(port, requests, started + seconds)
    elapsed, cpu = time.perf_counter() - started, _cpu_seconds(server) - cpu
    found = {"rate": len(waits) / elapsed, "cpu": cpu / len(waits) * 1e6, **_latencies(waits, ALL)}
    for load, share in LOADS.items():
        asked = share * (pace or found["rate"])
        found |= _latencies(await _run(port, requests, time.perf_counter() + seconds, pace=asked), load)
    started = time.perf_counter()
    alone = await _run(port, requests, started + seconds, clients=1)
    found |= {"one": len(alone) / (time.perf_counter() - started), **_latencies(alone, ALONE)}
    if not pace:
        found["batch"] = _batch(port, bodies, key)
    print(json.dumps(found))


def _latencies(waits: list[float], load: str) -> dict[str, float]:
    waits = sorted(waits)
    return {f"{load} p{share}": waits[len(waits) * share // 100] * 1000 for share in (50, 99)}


def _batch(port: int, bodies: list[str], key: str) -> float:
    """Decisions per second of one call, from its first byte to the last of its answer."""
    body = "\n".join(bodies[i % len(bodies)] for i in range(BATCH)).encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    started = time.perf_counter()
    connection.request("POST", "/v1/decisions/batch", body, {"Content-Type": "application/x-ndjson", "X-API-Key": key})
    answered = connection.getresponse().read().count(b'"decision_id"')
    elapsed = time.perf_counter() - started
    connection.close()
    if answered != BATCH:
        raise SystemExit(f"{answered} of {BATCH} lines were answered with a decision")
    return BATCH / elapsed


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _run(
    port: int, requests: list[bytes], until: float, *, clients: int = CONCURRENCY, pace: float = 0.0
) -> list[float]:
    """Seconds each request took; with a pace, counted from when it was to be sent, though its client was not free."""
    waits: list[float] = []
    began = time.perf_counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        i = number
        while True:
            sent = began + i / pace if pace else time.perf_counter()
            if sent >= until:
                break
            if (early := sent - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            await _exchange(reader, writer, requests[i % len(requests)])
            waits.append(time.perf_counter() - sent)
            i += clients
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return waits


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{head.decode()}{body.decode()}")
    return body


def _request(path: str, body: str, key: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()


if __name__ == "__main__":
    main()
