"""Logged feedback: what is refused, what is stored, how it is split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from policies.actions import ActionFeature, ActionSet, PairFeature
from policies.errors import FeedbackError
from policies.feedback import LoggedFeedback, customer_hash


def make_log(rows: int = 6, *, actions: int = 10) -> LoggedFeedback:
    random = np.random.default_rng(0)
    eligible = random.random((rows, actions)) < 0.5
    action = random.integers(actions, size=rows)
    eligible[np.arange(rows), action] = True
    ids = tuple(f"a{i}" for i in range(actions))
    return LoggedFeedback(
        columns=("age", "größe"),
        features=random.standard_normal((rows, 2)).astype(np.float32),
        actions=ActionSet(
            ids=ids,
            features=tuple((ActionFeature("A", i, 0.1),) for i in ids),
            pairs=tuple((PairFeature("P", "p", "age"),) for _ in ids),
        ),
        eligible=eligible,
        action=action,
        propensity=random.uniform(0.1, 1, rows),
        reward=random.standard_normal(rows),
        customer=np.array([f"customer {i // 2}" for i in range(rows)], dtype=object),
        reward_name="spend",
        outcomes={"visit": random.integers(2, size=rows).astype(float)},
        source="made up",
    )


def assert_equal(one: LoggedFeedback, two: LoggedFeedback) -> None:
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(two, name))
            assert value.dtype == getattr(two, name).dtype
        elif name == "outcomes":
            assert {k: v.tolist() for k, v in value.items()} == {k: v.tolist() for k, v in two.outcomes.items()}
        else:
            assert value == getattr(two, name)


@pytest.mark.parametrize("rows", [0, 1, 6])
@pytest.mark.parametrize("actions", [1, 8, 10])
def test_a_log_survives_its_directory(rows: int, actions: int, tmp_path: Path) -> None:
    log = make_log(rows, actions=actions)
    log.save(tmp_path / "deep" / "log")
    assert_equal(LoggedFeedback.load(tmp_path / "deep" / "log"), log)


def test_saving_replaces_a_log_and_leaves_nothing_else(tmp_path: Path) -> None:
    make_log(4).save(tmp_path / "log")
    make_log(6).save(tmp_path / "log")
    assert len(LoggedFeedback.load(tmp_path / "log")) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_a_folder_that_is_no_log_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    with pytest.raises(FeedbackError, match="is not a feedback log; choose an empty directory"):
        make_log().save(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "meow"
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("failing", ["write_table", "first rename", "second rename"])
def test_interrupted_saving_leaves_the_old_log(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = make_log(4)
    old.save(tmp_path / "log")

    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    rename, renames = Path.rename, []

    def interrupt_second(self: Path, target: Path) -> Path:
        renames.append(target)
        if len(renames) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    if failing == "write_table":
        monkeypatch.setattr(pq, "write_table", interrupt)
    else:
        monkeypatch.setattr(Path, "rename", interrupt if failing == "first rename" else interrupt_second)
    with pytest.raises(KeyboardInterrupt):
        make_log(6).save(tmp_path / "log")
    monkeypatch.undo()
    assert_equal(LoggedFeedback.load(tmp_path / "log"), old)
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_a_file_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("mine")
    with pytest.raises(FeedbackError, match="is not a feedback log; choose"):
        make_log().save(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "mine"


def damage_parquet(folder: Path) -> None:
    data = bytearray((folder / "feedback.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "feedback.parquet").write_bytes(bytes(data))


def truncate_parquet(folder: Path) -> None:
    file = folder / "feedback.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def edit_meta(folder: Path, **changes: Any) -> None:
    meta = json.loads((folder / "log.json").read_text()) | changes
    (folder / "log.json").write_text(json.dumps({k: v for k, v in meta.items() if v is not None}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_parquet, "does not match its checksum"),
        (truncate_parquet, "does not match its checksum"),
        (lambda f: (f / "feedback.parquet").unlink(), "is not a feedback log"),
        (lambda f: (f / "log.json").unlink(), "is not a feedback log"),
        (lambda f: (f / "log.json").write_text("{"), "is not valid JSON"),
        (lambda f: (f / "log.json").write_text("[]"), r"log\.json"),
        (lambda f: (f / "log.json").write_bytes(b"\xff"), r"log\.json"),
        (lambda f: edit_meta(f, format=9), "format 9, this version reads 1"),
        (lambda f: edit_meta(f, sha256=None), r"log\.json"),
        (lambda f: edit_meta(f, columns=["age", "other"]), r"log\.json"),
        (lambda f: edit_meta(f, actions={}), r"log\.json"),
    ],
)
def test_damaged_logs_are_refused(damage: Any, message: str, tmp_path: Path) -> None:
    make_log().save(tmp_path / "log")
    damage(tmp_path / "log")
    with pytest.raises(FeedbackError, match=message):
        LoggedFeedback.load(tmp_path / "log")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("features", np.zeros((6, 3), np.float32), r"features has shape \(6, 3\), expected \(6, 2\)"),
        ("features", np.full((6, 2), np.nan, np.float32), "features must be finite; wrong in 6 rows, first in row 0"),
        ("eligible", np.zeros((6, 10), bool), "action must be an eligible action of its row; wrong in 6 rows"),
        ("action", np.full(6, 10), "action must be an action index; wrong in 6 rows, first in row 0, found .*10"),
        ("action", np.full(6, -1), "action must be an action index"),
        ("propensity", np.zeros(6), r"propensity must be in \(0, 1\]"),
        ("propensity", np.array([0.5] * 5 + [1.5]), r"propensity must be .* row 5, found .*1\.5"),
        ("propensity", np.full(6, np.nan), "propensity must be"),
        ("reward", np.array([0, 0, np.inf, 0, 0, 0]), "reward must be finite; wrong in 1 rows, first in row 2, found"),
        ("customer", np.array(["x"] * 5, dtype=object), r"customer has shape \(5,\), expected \(6,\)"),
        ("outcomes", {"visit": np.zeros(5)}, r"outcome 'visit' has shape \(5,\)"),
        ("outcomes", {"visit": np.full(6, np.nan)}, "visit must be finite"),
    ],
)
def test_bad_values_are_refused_with_field_row_and_value(field: str, value: Any, message: str) -> None:
    with pytest.raises(FeedbackError, match=message):
        replace(make_log(), **{field: value})


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(50, 200), share=st.floats(0.2, 0.8), salt=st.text(max_size=4))
def test_a_split_is_by_customer_and_whole(rows: int, share: float, salt: str) -> None:
    log = make_log(rows)
    first, second = log.split(share, salt=salt)
    assert not set(first.customer) & set(second.customer)
    assert len(first) + len(second) == rows
    assert set(first.customer) | set(second.customer) == set(log.customer)


def test_a_split_does_not_depend_on_the_other_customers() -> None:
    log = make_log(400)
    first, _ = log.split(0.5)
    part, _ = log.take(np.arange(100, 300)).split(0.5)
    assert set(part.customer) == set(first.customer) & set(log.customer[100:300])
    assert set(log.split(0.5, salt="other")[0].customer) != set(first.customer)


def test_shares_of_a_split_are_kept() -> None:
    hashes = customer_hash(np.arange(20_000).astype(str).astype(object), salt="s")
    assert abs((hashes < 0.3).mean() - 0.3) < 0.015
    assert ((hashes >= 0) & (hashes < 1)).all()


@pytest.mark.parametrize(
    ("share", "message"), [(0, "between 0 and 1"), (1.0, "between 0 and 1"), (1e-9, "one part empty")]
)
def test_impossible_splits_are_refused(share: float, message: str) -> None:
    with pytest.raises(FeedbackError, match=message):
        make_log().split(share)


def test_another_outcome_can_be_the_reward() -> None:
    log = make_log()
    visit = log.with_reward("visit")
    assert visit.reward_name == "visit"
    np.testing.assert_array_equal(visit.reward, log.outcomes["visit"])
    assert log.with_reward("spend") is log
    with pytest.raises(FeedbackError, match="unknown reward 'visits'; this log has: spend, visit"):
        log.with_reward("visits")
