"""`journey scenarios`, `simulate` and `compare` end to end, in this process."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from simulator.world.results import METRICS, UNITS

COMPARE = ("compare", "--seeds", 2, "--customers", 500, "--days", 10, "--workers", 1)
SHY = """
import numpy as np


class Shy:
    "Mostly holds."

    name = "shy"

    def __init__(self, *, actions, columns):
        self.size = len(actions)

    def scores(self, features):
        return np.zeros((len(features), self.size), dtype=np.float32)

    def distribution(self, scores, eligible):
        p = 0.1 * eligible / eligible.sum(axis=1, keepdims=True)
        p[np.arange(len(p)), eligible.argmax(axis=1)] += 0.9
        return p
"""


@pytest.fixture
def mine(journey: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user's in the working directory."""
    Path("my_policy.py").write_text(SHY)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "my_policy:Shy"
    sys.modules.pop("my_policy", None)


def test_scenarios_are_listed_with_what_they_ask(journey: Callable[..., Any], configs: Path) -> None:
    said = journey("scenarios")
    assert said.code == 0, said
    names = [line.split()[0] for line in said.out.splitlines()]
    assert names == sorted(path.stem for path in (configs / "scenarios").glob("*.yaml"))
    assert re.search(r"^baseline +\w+", said.out, re.MULTILINE)


def test_a_scenario_that_is_wrong_hides_no_other(
    journey: Callable[..., Any], configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(configs, tmp_path / "configs")
    (tmp_path / "configs" / "scenarios" / "bad.yaml").write_text("description: x\nworld: {email.unsubscrib: 0.004}\n")
    monkeypatch.setenv("JOURNEY_CONFIGS", str(tmp_path / "configs"))
    said = journey("scenarios")
    assert said.code == 2
    assert re.search("^bad +cannot be used", said.out, re.MULTILINE)
    assert "store_led" in said.out
    assert "did you mean 'unsubscribe'" in said.err


def test_the_reference_is_chosen_among_those_who_take_part(journey: Callable[..., Any]) -> None:
    policies = ("--policies", "hold,random")
    said = journey(*COMPARE, *policies, "--reference", "random")
    assert said.code == 0, said
    assert "random minus it" in said.out
    refused = journey(*COMPARE, *policies, "--reference", "rondom")
    assert refused.code == 2
    assert "--reference 'rondom' does not take part; did you mean 'random'?" in refused.err


def test_a_comparison_with_a_users_policy_is_printed_written_and_logged(journey: Callable[..., Any], mine: str) -> None:
    said = journey(*COMPARE, "--policies", f"hold,random,{mine}", "--out", "report")
    assert said.code == 0, said
    assert "3 policies, each lived through by the same 1,000 customers for 10 days: 2 seeds" in said.out
    html = Path("report/report.html").read_text()
    assert "Comparison: baseline" in html
    assert "Mostly holds." in html  # what its docstring says
    assert "configs/scenarios/baseline.yaml" in html
    assert html.count("Only 2 independent units") == 1
    assert "not enough units to settle anything" in said.out
    assert all(f">{name}<" in html or name in html for name in ("hold", "random", "shy"))
    table = pd.read_parquet("report/comparison.parquet").set_index("policy")
    assert set(table.index) == {"hold", "random", "shy"}
    spec = json.loads(Path("report/spec.json").read_text())
    assert (spec["seeds"], spec["reference"], spec["days"]) == ([0, 1], "hold", 10)
    with closing(sqlite3.connect("mlruns/mlflow.db")) as store:
        runs = store.execute("SELECT name, artifact_uri FROM runs WHERE status = 'FINISHED'").fetchall()
        metrics = dict(store.execute("SELECT key, value FROM latest_metrics").fetchall())
    assert [name[: len("compare baseline 20")] for name, _ in runs] == ["compare baseline 20"]  # and the rest of a date
    for name in ("hold", "random", "shy"):
        assert metrics[f"margin/{name}"] == pytest.approx(table.loc[name, "margin"])
    assert (Path(runs[0][1].removeprefix("file://")) / "report.html").read_text() == html


def test_a_comparison_is_continued_only_when_asked_and_only_the_same(journey: Callable[..., Any]) -> None:
    policies = ("--policies", "hold,random", "--out", "report")
    first = journey(*COMPARE, *policies)
    assert first.code == 0, first
    again = journey(*COMPARE, *policies)
    assert again.code == 2
    assert "report holds an earlier run; add --resume to continue it" in again.err
    resumed = journey(*COMPARE, *policies, "--resume")
    assert resumed.code == 0, resumed
    assert "live through 2 blocks: 20,000 customer-days to go\n" in first.out
    assert "live through 2 blocks: nothing left to do\n" in resumed.out
    said = [re.sub("live through .*\n", "", out.split("wrote")[0]) for out in (first.out, resumed.out)]
    assert said[0] == said[1]
    other = journey(*COMPARE, *policies, "--resume", "--days", 11)
    assert other.code == 2
    assert "holds another run (days: 10 there, 11 here)" in other.err


def test_ctrl_c_says_how_to_continue(journey: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import simulator.runs.cluster

    lived = simulator.runs.cluster.run_block
    calls: list[int] = []

    def interrupted(*args: Any, **settings: Any) -> Any:
        calls.append(settings["seed"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return lived(*args, **settings)

    monkeypatch.setattr(simulator.runs.cluster, "run_block", interrupted)
    policies = ("--policies", "hold,random", "--out", "report")
    said = journey(*COMPARE, *policies)
    assert said.code == 130
    assert "1 of 2 blocks are finished and kept in report/blocks; run the same again with it" in said.err
    assert "--resume" in said.err
    assert journey(*COMPARE, *policies, "--resume").code == 0
    assert calls == [0, 1, 1]


def test_simulate_keeps_every_decision(journey: Callable[..., Any]) -> None:
    said = journey("simulate", "--policy", "random", "--customers", 300, "--days", 8, "--out", "logs", "--workers", 1)
    assert said.code == 0, said
    decisions = pq.read_table("logs/logs/random/seed-0-block-0/decisions.parquet")
    per_customer = float(re.search(r"decisions +([\d.]+)", said.out)[1])
    assert per_customer == pytest.approx(decisions.num_rows / 300, abs=1e-3)
    assert "money in USD" in said.out
    for metric in METRICS:
        assert re.search(rf"^  {metric} +-?[\d.]+  {re.escape(UNITS[metric])}$", said.out, re.MULTILINE)
    assert pq.read_table("logs/logs/random/seed-0-block-0/money.parquet").num_rows == 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policies", "hold,journey"), "run `journey train --scenario baseline` first"),
        (("--policies", "hold,jurney"), "did you mean 'journey'?"),
        (("--policies", "hold"), "a comparison needs two or more"),
        (("--policies", "hold,random", "--scenario", "basline"), "did you mean 'baseline'?"),
        (("--policies", "hold,nowhere:Class"), "cannot import 'nowhere'"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    refused: Callable[..., str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused("compare", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "--policies", "hold,random", "--resume"), "--resume continues the run in --out"),
        (("compare", "--policies", "hold,random", "--resume", "--out", "new"), "--resume: new holds no run"),
        (("simulate", "--policy", "random", "--resume", "--out", "new"), "--resume: new holds no run"),
        (("simulate", "--policy", "hold,random", "--out", "new"), "--policy hold,random: give one policy"),
        (("simulate", "--policy", ":", "--out", "new"), "give a module and a class"),
        (("train", "--scenario", "baseline", "--resume", "--out", "new"), "--resume: new holds no run"),
        (("train", "--scenario", "baseline", "--line-up", "."), "holds no line-up"),
        (("ablate", "--scenario", "basline", "--out", "new"), "did you mean 'baseline'?"),
    ],
)
def test_what_could_only_go_wrong_later_is_refused_at_once(
    refused: Callable[..., str], arguments: tuple[str, ...], message: str
) -> None:
    if "." in arguments:
        Path("mine.txt").touch()
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("simulate --policy hold --out new", "--days", "0"),
        ("simulate --policy hold --out new", "--customers", "0"),
        ("simulate --policy hold --out new", "--seed", "-1"),
        ("simulate --policy hold", "--out", "file"),
        ("compare", "--days", "0"),
        ("compare", "--customers", "0"),
        ("compare", "--out", "file"),
        ("compare", "--line-up", "file"),
        ("compare", "--store", "file"),
        ("train --scenario baseline", "--out", "file"),
        ("train --scenario baseline", "--line-up", "file"),
        ("ablate --out new", "--days", "0"),
        ("ablate", "--out", "file"),
        ("calibrate", "--data", "file"),
        ("fidelity", "--out", "file"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_option(
    journey: Callable[..., Any], command: str, option: str, value: str
) -> None:
    Path("file").touch()
    said = journey(*command.split(), option, value)
    assert said.code == 2, said
    assert f"Invalid value for '{option}'" in said.err
    assert [path.name for path in Path().iterdir()] == ["file"]
