"""The service with a million known customers, and its memory while it is busy for minutes.

    python -m benchmarks.service_scale [profiles] [--customers 1000000] [--rounds 3]
    python -m benchmarks.service_scale soak [--minutes 10]

`profiles`: one client asks for decisions one after the other, about customers drawn at random, in turns from a database
with a thousand profiles and from one with many. Aim: the median takes at most 1.5 times as long.

`soak`: 32 clients that never wait send decisions, events and outcomes in equal parts. Memory is the server's resident
size, its median over the second minute and over the last. Aim: it grows by less than 5 %. SQLite, contact rules of
configs/retail. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.api_throughput import CONCURRENCY, ROOT, _exchange, _request
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.api_keys import make_key

FEW, ASKED, AIM_LATENCY, AIM_GROWTH = 1000, 2000, 1.5, 0.05
_AT_ONCE = 20_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["profiles", "soak"], nargs="?", default="profiles")
    arguments.add_argument("--customers", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--minutes", type=float, default=10.0)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        missed = profiles(Path(folder), given) if given.what == "profiles" else soak(Path(folder), given.minutes)
    if missed:
        raise SystemExit(missed)


def profiles(folder: Path, given: argparse.Namespace) -> str:
    """Latency with few and with many profiles; what was missed, if anything."""
    sizes = (FEW, given.customers)
    urls = {size: f"sqlite:///{folder}/{size}.db" for size in sizes}
    for size, url in urls.items():
        started = time.perf_counter()
        fill(url, size)
        print(f"{size:,} profiles written in {time.perf_counter() - started:.0f} s", flush=True)
    medians: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(given.rounds):
        for size, url in urls.items():
            waits = asyncio.run(ask(url, size))
            medians[size].append(statistics.median(waits))
            p99 = sorted(waits)[len(waits) * 99 // 100]
            print(f"{size:>9,} profiles: p50 {medians[size][-1] * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms", flush=True)
    few, many = (statistics.median(medians[size]) for size in sizes)
    print(f"with {given.customers:,} profiles a decision takes {many / few:.2f} times as long (aim {AIM_LATENCY})")
    return "" if many / few <= AIM_LATENCY else f"{many / few:.2f} times as long, aim {AIM_LATENCY}"


def fill(url: str, customers: int) -> None:
    """A database with so many profiles that differ."""
    schema = ProfileSchema.from_retailer(load_retailer(ROOT / "configs" / "retail", environment={}))
    open_database(url).dispose()
    draws = np.random.default_rng(0)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        for start in range(0, customers, _AT_ONCE):
            count = min(_AT_ONCE, customers - start)
            states = schema.empty(count)
            states[:, : schema.state_size // 4] = draws.random((count, schema.state_size // 4))
            rows = [
                (f"customer-{start + i}", state.tobytes(), schema.fingerprint, 0.0) for i, state in enumerate(states)
            ]
            connection.executemany(
                "INSERT INTO customers (customer_id, state, layout, updated_at) VALUES (?,?,?,?)", rows
            )
            connection.commit()


async def ask(url: str, customers: int) -> list[float]:
    """Seconds of each decision, one after the other."""
    key = make_key(url, "decide,events,outcomes")
    draws = random.Random(customers)  # noqa: S311
    with server(url) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        waits = []
        for turn in range(ASKED + ASKED // 4):
            body = json.dumps({"customer_id": f"customer-{draws.randrange(customers)}", "context": {"hour": 12}})
            sent = time.perf_counter()
            await _exchange(reader, writer, _request("/v1/decisions", body, key))
            if turn >= ASKED // 4:
                waits.append(time.perf_counter() - sent)
        writer.close()
    return waits


def soak(folder: Path, minutes: float) -> str:
    """Memory while busy; what was missed, if anything."""
    url = f"sqlite:///{folder}/soak.db"
    fill(url, FEW)
    key = make_key(url, "decide,events,outcomes")
    with server(url) as (port, process):
        sizes, requests = asyncio.run(_busy(port, process, key, minutes * 60))
    early, late = (statistics.median(some) for some in (sizes[60:120] or sizes[: len(sizes) // 2], sizes[-60:]))
    growth = late / early - 1
    print(
        f"{requests:,} requests in {minutes:g} minutes; resident {early / 1e6:.0f} MB in the second minute, "
        f"{late / 1e6:.0f} MB in the last: {growth:+.1%} (aim below {AIM_GROWTH:.0%})"
    )
    return "" if growth < AIM_GROWTH else f"memory grew by {growth:.1%}, aim below {AIM_GROWTH:.0%}"


async def _busy(port: int, process: int, key: str, seconds: float) -> tuple[list[int], int]:
    """Resident bytes, once a second, and how many requests were answered."""
    until, sizes, count = time.perf_counter() + seconds, list[int](), 0

    async def client(number: int) -> None:
        nonlocal count
        draws = random.Random(number)  # noqa: S311
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn = 0
        while time.perf_counter() < until:
            turn += 1
            customer = f"customer-{draws.randrange(FEW)}"
            body = json.dumps({"customer_id": customer, "context": {"hour": turn % 24}})
            made = json.loads(await _exchange(reader, writer, _request("/v1/decisions", body, key)))
            event = {"event_id": f"e-{number}-{turn}", "customer_id": customer, "type": "view", "category": "pantry"}
            await _exchange(reader, writer, _request("/v1/events", json.dumps(event), key))
            outcome = {"outcome_id": f"o-{number}-{turn}", "decision_id": made["decision_id"], "type": "click"}
            await _exchange(reader, writer, _request("/v1/outcomes", json.dumps(outcome), key))
            count += 3
        writer.close()

    async def watch() -> None:
        while time.perf_counter() < until:
            fields = Path(f"/proc/{process}/statm").read_text().split()
            sizes.append(int(fields[1]) * 4096)
            if len(sizes) % 60 == 0:
                print(f"{len(sizes) // 60} min: {sizes[-1] / 1e6:.0f} MB, {count:,} requests", flush=True)
            await asyncio.sleep(1.0)

    await asyncio.gather(watch(), *(client(number) for number in range(CONCURRENCY)))
    return sizes, count


@contextmanager
def server(url: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a server on a database."""
    serve = [sys.executable, "-m", "benchmarks.api_throughput", "--serve", "sqlite", "--database", url]
    with subprocess.Popen(serve, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = next(int(found[1]) for line in process.stdout or () if (found := re.match(r"port (\d+)", line)))
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
