"""The code results come from is told by one digest: whatever decides them changes it, and nothing else does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simulator.runs.code_version import code_digest, import_closure

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
        "simulator/training/learning.py",
        "policies/vw/policy.py",
        "orchestrator/profiles/features.py",
        "orchestrator/config/catalogue.py",
        "orchestrator/decision/core.py",
        "orchestrator/eligibility/__init__.py",
        "orchestrator/eligibility/eligible_actions.py",
        "orchestrator/eligibility/rules/caps.py",
    ],
)
def test_a_change_of_what_decides_results_shows(name: str, copied: Path) -> None:
    append(copied / name, "\n")
    assert code_digest(copied) != code_digest()


@pytest.mark.parametrize("name", ["orchestrator/api/app.py", "simulator/cli/demo.py", "simulator/reports/__init__.py"])
def test_a_change_of_what_decides_nothing_does_not_show(name: str, copied: Path) -> None:
    append(copied / name, "\n")
    assert code_digest(copied) == code_digest()


@pytest.mark.parametrize(
    "statement",
    [
        "import simulator.world.weather",
        "from simulator.world import weather",
        "from simulator.world.weather import rain",
        "def later():\n    from simulator.world.weather import rain",
    ],
)
def test_a_module_shows_once_it_is_imported(statement: str, tmp_path: Path, copied: Path) -> None:
    digests = set()
    for weather in ("rain = 0\n", "rain = 1\n"):
        home = tmp_path / weather[-2]
        shutil.copytree(copied, home)
        append(home / "simulator" / "world" / "weather.py", weather)
        assert code_digest(home) == code_digest()  # nobody imports it yet
        code_digest.cache_clear()
        append(home / "simulator" / "world" / "day.py", f"\n{statement}\n")
        digests.add(code_digest(home))
    assert len(digests) == 2


def test_a_package_that_is_passed_through_shows(copied: Path) -> None:
    """To import `simulator.world.day`, Python runs `simulator.world` first, and what that imports."""
    append(copied / "simulator" / "world" / "__init__.py", "\nfrom orchestrator.api import app\n")
    assert "orchestrator/api/app.py" in import_closure(copied)


def test_a_missing_root_is_no_reason_to_digest_less(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"simulator\.\w+\.\w+ is no module"):
        code_digest(tmp_path)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)
