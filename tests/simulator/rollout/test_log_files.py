"""A rollout's log survives its files, and anybody can read them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from simulator.errors import LogError
from simulator.rollout.log import RolloutLog
from simulator.rollout.log_files import load_log, save_log


def some_log(*, n: int = 50, actions: int = 11, customers: int = 7, days: int = 3, seed: int = 0) -> RolloutLog:
    random = np.random.default_rng(seed)
    return RolloutLog(
        customer=random.integers(customers, size=n),
        day=np.sort(random.integers(days, size=n)),
        slot=random.integers(3, size=n).astype(np.int8),
        action=random.integers(actions, size=n),
        propensity=random.random(n),
        done=random.random(n) < 0.5,
        eligible=random.random((n, actions)) < 0.5,
        features=random.standard_normal((n, 5)).astype(np.float32),
        margin=random.standard_normal((customers, days)).astype(np.float32),
        worth=random.standard_normal((customers, days)).astype(np.float32),
    )


def assert_same(one: RolloutLog, other: RolloutLog) -> None:
    for field in fields(RolloutLog):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert a.dtype == b.dtype, field.name
        np.testing.assert_array_equal(a, b, err_msg=field.name)


@pytest.mark.parametrize(("n", "actions"), [(50, 11), (50, 8), (1, 1), (0, 47)])
def test_a_log_survives_its_files(n: int, actions: int, tmp_path: Path) -> None:
    log = some_log(n=n, actions=actions)
    save_log(log, tmp_path / "logs" / "one")
    assert_same(load_log(tmp_path / "logs" / "one"), log)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["one"]


def test_any_tool_reads_the_decisions(tmp_path: Path) -> None:
    log = some_log()
    save_log(log, tmp_path / "log", actions=("hold", "mail"), columns=("recency", "spend"))
    table = pq.read_table(tmp_path / "log" / "decisions.parquet")
    features = np.frombuffer(b"".join(table["features"].to_pylist()), dtype="<f4").reshape(len(table), -1)
    assert features.tolist() == log.features.tolist()
    assert [bool(table["eligible"][3].as_py()[0] & 128 >> action) for action in range(8)] == log.eligible[
        3, :8
    ].tolist()
    assert table.schema.metadata[b"action_ids"] == b"hold,mail"
    assert table.schema.metadata[b"columns"] == b"recency,spend"
    money = pq.read_table(tmp_path / "log" / "money.parquet")
    assert np.frombuffer(money["margin"][2].as_py(), dtype="<f4").tolist() == log.margin[2].tolist()


def test_a_log_replaces_an_older_one(tmp_path: Path) -> None:
    save_log(some_log(seed=0), tmp_path / "log")
    save_log(some_log(seed=1), tmp_path / "log")
    assert_same(load_log(tmp_path / "log"), some_log(seed=1))
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("before", range(1, 4))
def test_of_two_writers_at_once_both_return_and_one_log_is_there(
    before: int, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer does all its work just before a rename of the first."""
    if there:
        save_log(some_log(seed=0), tmp_path / "log")
    rename, renames = Path.rename, iter(range(1, 100))

    def interleaved(self: Path, target: Path) -> Path:
        if next(renames) == before:
            save_log(some_log(seed=1), tmp_path / "log")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interleaved)
    save_log(some_log(seed=1), tmp_path / "log")
    assert_same(load_log(tmp_path / "log"), some_log(seed=1))
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_an_old_log_that_another_writer_has_just_put_aside_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_log(some_log(seed=0), tmp_path / "log")
    rename, renames = Path.rename, iter(range(1, 100))

    def interleaved(self: Path, target: Path) -> Path:
        if next(renames) == 1:
            rename(tmp_path / "log", tmp_path / "of the other")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interleaved)
    save_log(some_log(seed=1), tmp_path / "log")
    assert_same(load_log(tmp_path / "log"), some_log(seed=1))


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet
from simulator.rollout.log_files import load_log, save_log

log = load_log(Path(sys.argv[1]))
pyarrow.parquet.write_table = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
save_log(log, Path(sys.argv[2]))
"""


def test_what_a_killed_writer_left_is_cleared_when_the_log_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    save_log(some_log(), tmp_path / "given")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "given"), str(folder / "log")]
    assert subprocess.run(command, cwd=Path(__file__).parents[3], check=False).returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    ours = folder / f"{left.name.rsplit('-', 2)[0]}-{os.getpid()}-mine"
    ours.mkdir()  # of a writer that still runs
    (folder / ".log-book").mkdir()
    save_log(some_log(), folder / "log")
    assert {path.name for path in folder.iterdir()} == {"log", ours.name, ".log-book"}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(LogError, match="holds other files than a log"):
        save_log(some_log(), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_interrupted_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_log(some_log(), tmp_path / "log")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["decisions.parquet", "money.parquet"])
def test_missing_and_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    save_log(some_log(), tmp_path / "log")
    file = tmp_path / "log" / name
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(LogError, match=r"is a damaged log .* simulate it again"):
        load_log(tmp_path / "log")
    file.unlink()
    with pytest.raises(LogError, match=f"{name} is missing"):
        load_log(tmp_path / "log")
