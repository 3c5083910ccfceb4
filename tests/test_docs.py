"""What README and docs show runs as it stands, and what they point at is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FRONT_DOORS = {"policies", "simulator", "orchestrator.client"}
RESEARCHER = "docs/researcher.md"
KEEPS_THE_TERMINAL = re.compile(r"^journey (serve|ui|demo)\b(?!.*(--exit|&$))", flags=re.M)
FOLDERS = ("policies", "orchestrator", "simulator", "configs", "tests", "benchmarks", "docs")
# Examples that name other packages of ours on purpose: registering the Gymnasium environment is an import.
REGISTERS = "simulator.envs"

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.S)


def example(containing: str, page: str) -> str:
    (found,) = [block for block in blocks(ROOT / page, "python") if containing in block]
    return found


def run_python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def anchors(path: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_ten_lines_compare_two_policies() -> None:
    said = run_python(example("load_scenario(", RESEARCHER))
    assert "hold" in said
    assert "random" in said
    assert "Margin, money per customer" in said


def test_the_policy_of_ones_own_behaves_as_a_policy_must(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(example('name = "favourite"', RESEARCHER))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + example("load_scenario(", RESEARCHER).replace(
        '["hold", "random"]', '["hold", "mine:Policy"]'
    )
    assert "favourite" in run_python(code)


@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "extending.md"], ids=lambda path: path.name)
def test_examples_come_in_by_the_front_doors(path: Path) -> None:
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ours = {name for name in names if name.split(".")[0] in {"policies", "orchestrator", "simulator"}}
            assert ours <= FRONT_DOORS | {REGISTERS}, block


@page
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@page
def test_files_that_are_named_are_there(path: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@page
def test_nothing_is_typed_after_a_command_that_keeps_the_terminal(path: Path) -> None:
    for block in blocks(path, "sh"):
        commands = [line for line in block.splitlines() if line and not line.startswith((" ", "#"))]
        assert not any(KEEPS_THE_TERMINAL.match(command) for command in commands[:-1]), block


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
