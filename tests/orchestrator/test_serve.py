"""`journey serve` as it is run: a process of its own that follows the registry's champion."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from orchestrator.decision.core import DecisionCore
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from policies.feedback import MONEY, LoggedFeedback
from policies.learning.training import TrainingSettings, train
from policies.registry.store import Store
from policies.registry.tracking import Tracker
from policies.review.publish import publish

ROOT = Path(__file__).parents[2]
JOURNEY = (sys.executable, "-c", "from orchestrator.cli import main; main()")
ENVIRONMENT = {**os.environ, "JOURNEY__SERVING__CHAMPION_POLL_SECONDS": "0.02"}


def serve_arguments(store: Path, database: str) -> list[str]:
    config = str(ROOT / "configs" / "retail")
    return [*JOURNEY, "serve", "--dev", "--config", config, "--store", str(store), "--database", database]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two versions of a policy for the retail configuration; the first is champion."""
    retailer = load_retailer(ROOT / "configs" / "retail", environment={})
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    random, n, A = np.random.default_rng(0), 400, len(core.actions)
    log = LoggedFeedback(
        columns=core.columns,
        features=random.random((n, len(core.columns))).astype(np.float32),
        actions=core.actions,
        eligible=np.ones((n, A), dtype=bool),
        action=random.integers(0, A, n),
        propensity=np.full(n, 1 / A),
        reward=random.random(n),
        customer=np.array([f"c{i}" for i in range(n)], dtype=object),
        reward_name=MONEY,
    )
    settings = TrainingSettings(learning_rates=(0.1,), interactions=("PA",))
    result = train(log, settings, progress=lambda *_: None)
    made = Store(tmp_path / "mlruns")
    for name in ("one", "two"):
        publish(result, log, settings, store=made, model="journey-policy", name=name)
    return made


class Stream:
    """Clients that ask all the time and remember who answered, and what went wrong."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.versions: list[str] = []
        self.wrong: list[Any] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx2.Client(base_url=self.url, timeout=20) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/v1/decisions", json={"customer_id": "c-1"})
                except httpx2.HTTPError as error:
                    self.wrong.append(error)
                    return
                if answer.status_code == 200:
                    self.versions.append(answer.json()["policy_version"])
                else:
                    self.wrong.append(answer.text)

    def until(self, done: Callable[[], bool]) -> None:
        """Wait while clients ask."""
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, self.versions[-1:]
            assert not self.wrong
            self._threads[0].join(0.005)

    def served_by(self, version: str, *, times: int = 20) -> None:
        """Wait until this version, and for some answers no other, has answered."""
        start = len(self.versions)
        self.until(lambda: self.versions[start:][-times:] == [version] * times)


@pytest.fixture
def running(store: Store, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """URL of `journey serve` on the store, and its log as it grows."""
    port = free_port()
    command = [*serve_arguments(store.directory, f"sqlite:///{tmp_path / 'journey.db'}"), "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        lines: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if re.search(r"running on http", line):
                break
        else:
            pytest.fail("journey serve did not start:\n" + "".join(lines))
        reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
        reader.start()
        try:
            yield f"http://127.0.0.1:{port}", lines
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()
            reader.join()


@pytest.mark.slow
def test_the_champion_changes_under_load_and_no_request_fails(running: tuple[str, list[str]], store: Store) -> None:
    url, lines = running
    event = {"event_id": "e-1", "customer_id": "c-1", "type": "visit"}
    assert httpx2.post(f"{url}/v1/events", json=event, timeout=20).status_code == 200
    tracker, one, two = Tracker(store), "journey-policy/1", "journey-policy/2"
    registered = store.version("journey-policy", 2)
    assert registered is not None
    model = registered.directory / "model.vw"
    with Stream(url) as stream:
        stream.served_by(one)
        tracker.promote(2)
        stream.served_by(two)
        tracker.promote(1)
        stream.served_by(one)
        # A damaged version is refused and the one before keeps serving.
        good = model.read_bytes()
        model.write_bytes(good[: len(good) // 2])
        tracker.promote(2)
        stream.until(lambda: any("champion not served" in line for line in lines))
        start = len(stream.versions)
        stream.until(lambda: len(stream.versions) > start + 100)
        assert set(stream.versions[start:]) == {one}
        # Repaired and promoted again, it serves.
        model.write_bytes(good)
        tracker.promote(1)
        stream.served_by(one, times=100)
        tracker.promote(2)
        stream.served_by(two)
    assert stream.wrong == []
    assert set(stream.versions) == {one, two}
    refusals = [json.loads(line) for line in lines if "champion not served" in line]
    assert [r["version"] for r in refusals] == [two]
    assert "is damaged" in refusals[0]["exception"]


UNUSABLE = ("a directory", "no database", "another program's", "under a file", "other profiles", "older")


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_database_is_one_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "it.db"
    if what == "a directory":
        path.mkdir()
    elif what == "no database":
        path.write_bytes(b"no database" * 500)
    elif what == "another program's":
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (x)")
    elif what == "older":
        open_database(f"sqlite:///{path}").dispose()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE alembic_version SET version_num = '0000'")
    elif what == "other profiles":
        open_database(f"sqlite:///{path}").dispose()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("INSERT INTO customers VALUES ('c', x'00', 'other columns', 0)")
    else:
        path.write_text("in the way")
        path /= "journey.db"
    command = [*serve_arguments(tmp_path / "mlruns", f"sqlite:///{path}"), "--port", str(free_port())]
    said = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 2, said
    assert said.stdout == ""
    (line,) = said.stderr.splitlines()
    assert line.startswith("error: ")
    assert "it.db" in line
    assert ("journey db upgrade" in line) == (what == "older")
