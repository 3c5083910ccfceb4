"""The code results come from is told by one digest: whatever decides them changes it, and nothing else does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simulator.runs.code_version import code_digest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The packages, copied as an installation would."""
    home = tmp_path / "site-packages"
    for package in ("simulator", "policies", "orchestrator"):
        shutil.copytree(ROOT / package, home / package, ignore=shutil.ignore_patterns("__pycache__"))
    return home


def test_where_the_packages_are_installed_does_not_matter(copied: Path) -> None:
    assert code_digest(copied) == code_digest()


@pytest.mark.parametrize(
    "name",
    [
        "simulator/world/day.py",
        "simulator/rollout/rollout.py",
        "policies/vw/policy.py",
        "orchestrator/profiles/features.py",
        "orchestrator/config/catalogue.py",
        "orchestrator/decision/core.py",
        "orchestrator/eligibility/eligible_actions.py",
    ],
)
def test_a_change_of_what_decides_results_shows(name: str, copied: Path) -> None:
    path = copied / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert code_digest(copied) != code_digest()


def test_a_module_that_moves_or_comes_shows(copied: Path) -> None:
    found = {code_digest()}
    for i, change in enumerate(("moved", "added")):
        home = copied.with_name(f"{change} {i}")
        shutil.copytree(copied, home)
        if change == "moved":
            (home / "policies" / "draws.py").rename(home / "policies" / "drawn.py")
        else:
            (home / "simulator" / "world" / "weather.py").touch()
        found.add(code_digest(home))
    assert len(found) == 3


def test_the_service_and_compiled_files_do_not_show(copied: Path) -> None:
    (copied / "orchestrator" / "api" / "app.py").write_text("")
    (copied / "simulator" / "__pycache__").mkdir()
    (copied / "simulator" / "__pycache__" / "rollout.cpython-312.pyc").touch()
    assert code_digest(copied) == code_digest()
