"""What users of the packages import: one sorted list each, all of it there, and nothing loaded before it is used."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.test_dependencies import loaded_by

ROOT = Path(__file__).parents[1]
DOORS = ("policies", "simulator", "orchestrator.client")

door = pytest.mark.parametrize("name", DOORS)


def in_order(names: set[str]) -> list[str]:
    """As ruff sorts: constants, classes, the rest."""
    return sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))


@door
def test_every_name_is_there_and_the_list_is_sorted(name: str) -> None:
    module = importlib.import_module(name)
    assert list(module.__all__) == in_order(set(module.__all__))
    for public in module.__all__:
        assert getattr(module, public).__module__.startswith(name)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


@door
def test_nothing_else_is_public(name: str) -> None:
    module = importlib.import_module(name)
    public = {n for n, value in vars(module).items() if not n.startswith("_") and not hasattr(value, "__path__")}
    submodules = {path.stem for path in (ROOT / name.replace(".", "/")).iterdir()}
    assert public - submodules <= {*module.__all__, "annotations", "import_module", "TYPE_CHECKING", "Any"}


@pytest.mark.parametrize("name", ["policies", "simulator"])
def test_types_are_told_of_the_same_names_as_programs(name: str) -> None:
    tree = ast.parse((ROOT / name / "__init__.py").read_text())
    typed = {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    module = importlib.import_module(name)
    assert in_order(set(typed)) == module.__all__
    for public, place in typed.items():
        assert getattr(importlib.import_module(place), public) is getattr(module, public)


def test_the_doors_open_without_loading_what_is_behind() -> None:
    heavy = ("numpy", "pandas", "mlflow", "ray", "fastapi", "vowpal_wabbit_next", "gymnasium", "sqlalchemy")
    assert loaded_by("import policies, simulator", *heavy) == []
