"""`journey import`: good files become logs; bad ones become one message and nothing else."""

from __future__ import annotations

import gzip
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policies.feedback import LoggedFeedback

Journey = Callable[..., Any]
Refused = Callable[..., str]


def lines(file: Path, n: int) -> str:
    with gzip.open(file, "rt") as text:
        return "".join(itertools.islice(text, n))


@pytest.fixture
def hillstrom(data_dir: Path) -> Path:
    return data_dir / "hillstrom" / "hillstrom_dev.csv.gz"


def test_the_mail_test_becomes_a_log(journey: Journey, hillstrom: Path, tmp_path: Path) -> None:
    said = journey("import", "hillstrom", hillstrom, "--out", tmp_path / "log")
    assert said.code == 0
    assert "31,658 decisions of 31,658 customers" in said.out
    assert "0.18456" in said.out  # visits with the men's mail
    log = LoggedFeedback.load(tmp_path / "log")
    assert (len(log), log.reward_name) == (31_658, "visit")


def test_the_open_bandit_data_becomes_a_log(journey: Journey, data_dir: Path, tmp_path: Path) -> None:
    said = journey("import", "obd", data_dir / "obd", "--campaign", "men", "--out", tmp_path / "log")
    assert said.code == 0
    assert LoggedFeedback.load(tmp_path / "log").reward.sum() == 46


DSJSON = (
    '{{"_label_cost":{cost},"_label_probability":0.5,"_label_Action":{action},"_labelIndex":{index},'
    '"a":[1,2],"p":[0.5,0.5],"EventId":"{i}","c":{{"age":3,"_multi":[{{"id":"x"}},{{"id":"y"}}]}}}}\n'
)


def test_a_decision_service_log_becomes_a_log(journey: Journey, tmp_path: Path) -> None:
    file = tmp_path / "log.dsjson"
    file.write_text("".join(DSJSON.format(cost=-(i % 2), action=i % 2 + 1, index=i % 2, i=i) for i in range(10)))
    said = journey("import", "dsjson", file, "--out", tmp_path / "log")
    assert said.code == 0, said
    log = LoggedFeedback.load(tmp_path / "log")
    assert log.reward.tolist() == [0, 1] * 5
    assert log.action.tolist() == [0, 1] * 5


def test_importing_again_replaces_the_log(journey: Journey, hillstrom: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.csv"
    for rows in (50, 20):
        small.write_text(lines(hillstrom, rows + 1))
        assert journey("import", "hillstrom", small, "--out", tmp_path / "log").code == 0
        assert len(LoggedFeedback.load(tmp_path / "log")) == rows


def test_a_directory_that_is_no_log_is_never_replaced(refused: Refused, hillstrom: Path, tmp_path: Path) -> None:
    precious = tmp_path / "work" / "thesis.txt"
    precious.write_text("years of work")
    small = tmp_path / "small.csv"
    small.write_text(lines(hillstrom, 20))
    assert "is not a feedback log" in refused("import", "hillstrom", small, "--out", precious.parent)
    assert precious.read_text() == "years of work"


@pytest.fixture
def bad_file(hillstrom: Path, tmp_path: Path) -> Callable[[str], Path]:
    def make(kind: str) -> Path:
        path = tmp_path / f"{kind}.csv.gz"
        text = lines(hillstrom, 200)
        if kind == "truncated":
            path.write_bytes(hillstrom.read_bytes()[:20_000])
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind == "header only":
            path.write_bytes(gzip.compress(text.splitlines()[0].encode()))
        elif kind == "without segment":
            path.write_bytes(gzip.compress(text.replace("segment", "segmnt").encode()))
        elif kind == "not a csv":
            path = path.with_suffix("")
            path.write_bytes(bytes(range(256)) * 50)
        elif kind == "a directory":
            path.mkdir()
        elif kind == "another arm":
            path.write_bytes(gzip.compress(text.replace("Mens E-Mail", "Kids E-Mail").encode()))
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such file"),
        ("truncated", "damaged"),
        ("empty", "empty"),
        ("header only", "no rows"),
        ("without segment", "did you mean 'segmnt'"),
        ("not a csv", "damaged"),
        ("a directory", "damaged"),
        ("another arm", "column segment must be one of No E-Mail"),
    ],
)
def test_a_bad_mail_test_is_one_line_and_leaves_nothing(
    refused: Refused, bad_file: Callable[[str], Path], tmp_path: Path, kind: str, says: str
) -> None:
    file = bad_file(kind)
    message = refused("import", "hillstrom", file, "--out", tmp_path / "deep" / "log")
    assert says in message
    assert file.name in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--campaign", "kids"], "no campaign 'kids'"),
        (["--behaviour", "rnd"], "unknown behaviour 'rnd'; the data set has: random, bts"),
    ],
)
def test_what_the_open_bandit_data_does_not_have_is_told(
    refused: Refused, data_dir: Path, arguments: list[str], says: str
) -> None:
    assert says in refused("import", "obd", data_dir / "obd", *arguments)


def test_an_open_bandit_folder_with_a_truncated_file_is_refused(
    refused: Refused, data_dir: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(data_dir / "obd" / "random" / "men", tmp_path / "obd" / "random" / "men"))
    folder.chmod(0o755)
    log = folder / "men.csv.gz"
    log.chmod(0o644)
    log.write_bytes(log.read_bytes()[:5_000])
    assert "damaged" in refused("import", "obd", tmp_path / "obd", "--campaign", "men")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "no decision"),
        (b"{not json}\n", "line 1"),
        (b'{"c": {}}\n', "no decision with a label"),
        (DSJSON.format(cost=0, action=1, index=0, i=0).encode()[:-30], "line 1"),
        (b"\xff\xfe\x00 binary", "line 1"),
    ],
)
def test_a_bad_decision_service_log_is_refused_with_its_line(
    refused: Refused, tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "log.dsjson"
    if content is not None:
        file.write_bytes(content)
    message = refused("import", "dsjson", file)
    assert says in message
    assert "log.dsjson" in message
