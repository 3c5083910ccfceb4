"""Requests per second of durable decisions, against an endpoint of the same models that only echoes.

    python -m benchmarks.api_throughput [--seconds 3] [--rounds 3] [--databases sqlite postgresql]

Server and load generator are processes of their own; the services run one after the other, in
alternating rounds so that a noisy machine hits all. Required on SQLite: a ratio of at least 0.4; what PostgreSQL
reaches is reported. Its server is started here too, with its defaults: commits wait for the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from orchestrator.api.app import create_app
from orchestrator.api.models.decisions import DecisionRequest, DecisionResponse
from orchestrator.api.models.events import EventsRequest
from orchestrator.api.serve import tune_process
from orchestrator.config import load_retailer
from orchestrator.decisions import DecisionCore
from orchestrator.profiles import ProfileSchema
from orchestrator.service.service import ServiceSettings
from policies.baselines import RandomPolicy
from tests.postgresql_server import postgresql_server

ROOT = Path(__file__).parents[1]
CONCURRENCY = 32
CUSTOMERS = 2000
REQUIRED = 0.4


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite"])
    arguments.add_argument("--serve", choices=["echo", "sqlite", "postgresql"], help=argparse.SUPPRESS)
    arguments.add_argument("--database", help=argparse.SUPPRESS)
    arguments.add_argument("--load", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--server", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        _serve(given.serve, given.database)
    elif given.load:
        asyncio.run(_load(given.load, given.seconds, given.server))
    else:
        _compare(given.seconds, given.rounds, given.databases)


def _compare(seconds: float, rounds: int, databases: list[str]) -> None:
    rates: dict[str, list[float]] = {kind: [] for kind in ("echo", *databases)}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        urls = {"echo": "", "sqlite": f"sqlite:///{folder}/journey.db"}
        if "postgresql" in databases:
            server = stack.enter_context(postgresql_server(durable=True))
            urls["postgresql"] = server.url(server.create())
        for _ in range(rounds):
            for kind, measured in rates.items():
                rate, p50, p99, cpu = _round(kind, urls[kind], seconds)
                measured.append(rate)
                print(f"{kind:>10}: {rate:6.0f} requests/s, p50 {p50:5.1f} ms, p99 {p99:6.1f} ms, CPU {cpu:4.0f} us")
    middle = {kind: sorted(measured)[len(measured) // 2] for kind, measured in rates.items()}
    ratios = {kind: middle[kind] / middle["echo"] for kind in databases}
    for kind, ratio in ratios.items():
        required = f"; required {REQUIRED}" if kind == "sqlite" else ""
        print(f"durable decisions on {kind} / echo = {ratio:.2f} (medians of {rounds}{required})")
    sys.exit(ratios.get("sqlite", REQUIRED) < REQUIRED)


def _round(kind: str, database: str, seconds: float) -> tuple[float, float, float, float]:
    command = [sys.executable, "-m", "benchmarks.api_throughput"]
    serve = [*command, "--serve", kind, "--database", database]
    with subprocess.Popen(serve, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = server.stdout or ()
            port = next(int(found[1]) for line in lines if (found := re.match(r"port (\d+)", line)))
            load = [*command, "--load", str(port), "--seconds", str(seconds), "--server", str(server.pid)]
            answer = subprocess.run(load, cwd=ROOT, check=True, capture_output=True, text=True)
        finally:
            server.send_signal(signal.SIGTERM)
    rate, p50, p99, cpu = (float(number) for number in answer.stdout.split())
    return rate, p50, p99, cpu


def _serve(kind: str, database: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    app = _echo_app() if kind == "echo" else _journey_app(database)
    print("port", listening.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
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


async def _load(port: int, seconds: float, server: int) -> None:
    """Raw sockets, keep-alive: the generator must not be what is measured."""
    events = [{"event_id": f"e{i}", "customer_id": f"customer-{i}", "type": "visit"} for i in range(CUSTOMERS)]
    for start in range(0, CUSTOMERS, 500):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await _exchange(reader, writer, _request("/v1/events", json.dumps(events[start : start + 500])))
        writer.close()
    requests = [
        _request(
            "/v1/decisions",
            json.dumps(
                {
                    "customer_id": f"customer-{i}",
                    "channels": ["email", "site"],
                    "context": {"device": "mobile", "hour": 18, "category": "pantry"},
                }
            ),
        )
        for i in range(CUSTOMERS)
    ]
    await _run(port, requests, time.perf_counter() + 0.5)
    started, cpu = time.perf_counter(), _cpu_seconds(server)
    waits = await _run(port, requests, started + seconds)
    elapsed, cpu = time.perf_counter() - started, _cpu_seconds(server) - cpu
    waits.sort()
    p50, p99 = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.99))
    print(len(waits) / elapsed, p50, p99, cpu / len(waits) * 1e6)


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _run(port: int, requests: list[bytes], until: float) -> list[float]:
    waits: list[float] = []

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        i = number
        while (sent := time.perf_counter()) < until:
            await _exchange(reader, writer, requests[i % len(requests)])
            waits.append(time.perf_counter() - sent)
            i += CONCURRENCY
        writer.close()

    await asyncio.gather(*(client(number) for number in range(CONCURRENCY)))
    return waits


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{head.decode()}{body.decode()}")


def _request(path: str, body: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


if __name__ == "__main__":
    main()
