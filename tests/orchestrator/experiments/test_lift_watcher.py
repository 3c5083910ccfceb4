"""What groups are worth is measured by another process; what goes wrong there is said."""

import time

from structlog.testing import capture_logs

from orchestrator.experiments import lift_watcher
from orchestrator.experiments.lift_watcher import LiftWatcher


def trouble(retailer, database):
    told = []
    watcher = LiftWatcher(
        database=database,
        goals=retailer.goals,
        experiment="",
        window=1.0,
        every=0.01,
        clock=lambda: 1.8e9,
        tell=told.append,
    )
    with capture_logs() as lines:
        watcher.start()
        try:
            deadline = time.monotonic() + 90
            while len(lines) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            watcher.stop()
    assert not told
    assert {line["event"] for line in lines} == {"lift not measured"}
    return lines[0]["reason"]


def test_why_nothing_is_measured_is_logged_and_it_is_tried_again(retailer, tmp_path, monkeypatch):
    monkeypatch.setattr(lift_watcher, "_POLITE", 0)  # behind other tests it would wait for minutes
    assert "no such file" in trouble(retailer, f"sqlite:///{tmp_path}/nothing.db")


def test_a_measurement_that_takes_too_long_is_ended(retailer, tmp_path, monkeypatch):
    monkeypatch.setattr(lift_watcher, "_LONGEST", 0.0)
    assert trouble(retailer, f"sqlite:///{tmp_path}/nothing.db") == "TimeoutExpired"


def test_a_process_that_cannot_be_started_is_no_end(retailer, tmp_path, monkeypatch):
    monkeypatch.setattr(lift_watcher.sys, "executable", str(tmp_path / "no-python"))
    assert trouble(retailer, f"sqlite:///{tmp_path}/nothing.db") == "FileNotFoundError"
