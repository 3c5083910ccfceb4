"""`journey ablate` end to end, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import simulator.runs.cluster
import simulator.training.ablations
from simulator.scenarios import Scenario
from simulator.training.plan import TrainingPlan

SIZES = ("--iterations", 1, "--train-customers", 60, "--customers", 40, "--days", 3, "--block-size", 20)
PROGRESS = (": iteration ", ": live through ")
ABLATE = ("ablate", *SIZES, "--seeds", 2, "--workers", 1, "--out", "ablations")


def told(out: str) -> list[str]:
    """What was printed, but for lines of progress."""
    return [line for line in out.splitlines() if not any(word in line for word in PROGRESS)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two ablations only; what is trained and compared, where a line `stop at ...` put into it is like Ctrl-C."""
    monkeypatch.setattr(simulator.training.ablations, "ABLATIONS", simulator.training.ablations.ABLATIONS[:2])
    train, run_block = simulator.training.ablations.train, simulator.runs.cluster.run_block
    done: list[str] = []

    def note(what: str) -> None:
        done.append(what)
        if f"stop at {what}" in done:
            raise KeyboardInterrupt

    def noted_train(world: Scenario, plan: TrainingPlan, *, folder: Path, **settings: Any) -> Any:
        note(f"train {folder.parent.name}")
        return train(
            world, replace(plan, days=80, evaluation_customers=40, evaluation_days=2), folder=folder, **settings
        )

    def noted_block(*args: Any, **settings: Any) -> Any:
        if settings["days"] == 3:
            note(f"block {settings['seed']}.{settings['block']}")
        return run_block(*args, **settings)

    monkeypatch.setattr(simulator.training.ablations, "train", noted_train)
    monkeypatch.setattr(simulator.runs.cluster, "run_block", noted_block)
    return done


@pytest.mark.slow
def test_ablations_go_on_where_they_were_stopped(journey: Callable[..., Any], calls: list[str]) -> None:
    calls.append("stop at block 1.0")
    stopped = journey(*ABLATE)
    assert stopped.code == 130, stopped
    assert stopped.err.count("\n") == 1
    assert "0 of 2 ablations are finished" in stopped.err
    assert "kept in ablations; run the same again to continue" in stopped.err
    assert calls[1:] == ["train full", "block 0.0", "block 0.1", "block 1.0"]

    calls[:] = ["stop at train critic"]
    stopped = journey(*ABLATE)
    assert stopped.code == 130, stopped
    assert "1 of 2 ablations are finished, and what 'without critic' got to" in stopped.err
    assert calls[1:] == ["block 1.0", "block 1.1", "train critic"]

    calls.clear()
    finished = journey(*ABLATE)
    assert finished.code == 0, finished
    assert calls == ["train critic", "block 0.0", "block 0.1", "block 1.0", "block 1.1"]
    lines = told(finished.out)
    assert [line.split(":")[0] for line in lines[:2]] == ["full policy", "without critic"]
    assert all("margin per customer" in line and "more than hold" in line for line in lines[:2])
    assert "full policy minus it" in lines[1]
    rows = [line for line in Path("ablations/ablations.md").read_text().splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert "\n".join(rows) in finished.out
    kept = json.loads(Path("ablations/ablations.json").read_text())
    assert (kept["spec"]["seeds"], kept["spec"]["compared"]["days"]) == ([0, 1], 3)
    assert [one["name"] for one in kept["ablations"]] == ["full", "critic"]
    assert lines[0] in stopped.out  # the same numbers, read from disk

    calls.clear()
    again = journey(*ABLATE)
    assert (again.code, told(again.out), calls) == (0, lines, [])
    other = journey(*ABLATE, "--days", 4)
    assert other.code == 2
    assert "ablations holds another run (compared.days: 3 there, 4 here)" in other.err


def test_a_folder_of_something_else_is_refused(refused: Callable[..., str]) -> None:
    Path("ablations").mkdir()
    Path("ablations/mine.txt").touch()
    assert "ablations exists and is no folder of a run (spec.json is missing); choose an empty one" in refused(*ABLATE)
