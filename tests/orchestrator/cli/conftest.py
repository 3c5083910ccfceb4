"""The `journey` command in this process, in an empty working directory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli import main

CONFIGS = Path(__file__).parents[3] / "configs"


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def configs() -> Path:
    return CONFIGS


@pytest.fixture
def journey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`journey("train", "--log", log)` runs the command; the working directory is `tmp_path / "work"`."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("JOURNEY_CONFIGS", str(CONFIGS))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("JOURNEY_STORE", raising=False)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["journey", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        code = end.value.code
        return Said(code=code if isinstance(code, int) else 0, out=said.out, err=said.err)

    return run


@pytest.fixture
def refused(journey: Callable[..., Said], tmp_path: Path) -> Callable[..., str]:
    """`refused("train", ...)` is the one message of a command that must fail and leave nothing behind."""

    def run(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        said = journey(*arguments)
        assert said.code == 2, said
        assert said.err.startswith("error: "), said.err
        assert "Traceback" not in said.out + said.err
        assert sorted(tmp_path.rglob("*")) == before
        return said.err

    return run
