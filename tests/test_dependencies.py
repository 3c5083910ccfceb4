"""Who may import whom, read from the source; and what starting fast means."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("policies", "orchestrator", "simulator")
FORBIDDEN_EVERYWHERE = ("pickle", "cloudpickle", "dill", "joblib", "shelve")
# Package: the only places that may import it, as path prefixes.
ALLOWED_IN = {
    "ray": ("simulator/",),
    "gymnasium": ("simulator/",),
    "mlflow": ("policies/registry/",),
    "fastapi": ("orchestrator/api/",),
    "starlette": ("orchestrator/api/",),
    "uvicorn": ("orchestrator/api/",),
    "httpx2": ("orchestrator/client/",),
    "simulator": ("simulator/",),
    "orchestrator": ("orchestrator/", "simulator/"),
}
# The order in which data flows: a place may import those before it and itself, never one after it.
ORDER = {
    "policies": (
        *("errors", "arrays", "whole_files", "hashing", "actions", "feedback", "policy", "policy_directory"),
        *("policy_check", "fingerprint", "exploration", "vw", "evaluation", "learning", "registry", "review"),
    ),
    "orchestrator": (
        *("database_urls", "errors", "config", "ingest", "profiles", "eligibility", "load", "decision", "storage"),
        *("log", "access", "audit", "privacy", "experiments", "serving", "importers", "api", "client", "cli"),
    ),
    "simulator": (
        *("errors", "world", "scenarios", "rollout", "runs", "comparison", "training", "reports", "calibration"),
        *("envs", "exports", "cli"),
    ),
}
MOST_MODULES = 15


def modules() -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def imports(source: str) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, also inside functions, under `if TYPE_CHECKING` and by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"}:
                yield node.lineno, str(node.args[0].value)


def broken_rules(path: str, source: str) -> list[str]:
    found = []
    for line, module in imports(source):
        top = module.split(".")[0]
        if top in FORBIDDEN_EVERYWHERE or not path.startswith(ALLOWED_IN.get(top, ("",))):
            found.append(f"{path}:{line} imports {module}")
    return found


@pytest.mark.parametrize("path", modules())
def test_a_module_imports_only_what_its_place_allows(path: str) -> None:
    assert broken_rules(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("policies/x.py", "import simulator.response"),
        ("policies/x.py", "def f():\n    from orchestrator.config import load_retailer"),
        ("policies/x.py", "if TYPE_CHECKING:\n    import orchestrator"),
        ("policies/review/x.py", "import mlflow.tracking as t"),
        ("orchestrator/x.py", "from simulator import response"),
        ("orchestrator/serving/x.py", "import fastapi"),
        ("orchestrator/cli/x.py", "import ray"),
        ("orchestrator/cli/x.py", "def f():\n    from simulator.runs.cluster import run"),
        ("simulator/x.py", "from joblib import load"),
        ("policies/x.py", "import importlib\nimportlib.import_module('orchestrator.cli')"),
    ],
)
def test_the_check_sees_forbidden_imports_wherever_they_hide(path: str, source: str) -> None:
    assert len(broken_rules(path, source)) == 1


def place(module: str) -> str:
    """Which entry of ORDER a module, given by its path, belongs to."""
    return Path(module).with_suffix("").parts[1]


def imported_modules(path: str) -> set[str]:
    """Paths of our own modules that a module names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        named = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            submodules = {alias.name: module_path(f"{node.module}.{alias.name}") for alias in node.names}
            found |= {module for module in submodules.values() if module}
            if not all(submodules.values()):
                named = [str(node.module)]
        found |= {module for name in named if (module := module_path(name))}
    return found - {path}


def module_path(name: str) -> str | None:
    """Path of one of our own modules by its dotted name."""
    if name.split(".", maxsplit=1)[0] not in PACKAGES:
        return None
    path = name.replace(".", "/")
    return next((p for p in (f"{path}.py", f"{path}/__init__.py") if (ROOT / p).is_file()), None)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_follow_the_order_of_folders(package: str) -> None:
    order = (*ORDER[package], "__init__")  # the front door knows everything, and nobody inside comes in by it
    paths = [path for path in modules() if path.startswith(f"{package}/")]
    assert {place(path) for path in paths} == set(order)
    backwards = [
        f"{path} imports {target}"
        for path in paths
        for target in imported_modules(path)
        if target.startswith(f"{package}/") and order.index(place(target)) > order.index(place(path))
    ]
    assert backwards == []


def test_no_imports_run_in_a_circle() -> None:
    """Nor do deferred ones, and those for types only."""
    TopologicalSorter({path: imported_modules(path) for path in modules()}).prepare()


def test_a_folder_can_be_looked_over() -> None:
    sizes = Counter(str(Path(path).parent) for path in modules())
    assert {folder: n for folder, n in sizes.items() if n > MOST_MODULES} == {}


def loaded_by(code: str, *packages: str) -> list[str]:
    """Which of the packages are loaded once `code` has run in a fresh interpreter."""
    asked = f"{code}\nimport sys\nprint(*(name for name in {packages!r} if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_a_policy_decides_without_heavy_packages() -> None:
    heavy = ("mlflow", "pandas", "matplotlib", "ray", "fastapi", "orchestrator", "simulator")
    assert loaded_by("import policies.vw.policy, policies.registry.store", *heavy) == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import contextlib, io, sys\n"
        "from orchestrator.cli import main\n"
        "sys.argv = ['journey', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "assert 'Usage' in out.getvalue() and 'promote' in out.getvalue()\n"
    )
    heavy = ("mlflow", "pandas", "matplotlib", "vowpal_wabbit_next", "fastapi", "ray", "pyarrow", "sqlalchemy")
    assert loaded_by(code, *heavy) == []


def test_the_api_serves_without_mlflow() -> None:
    """The serving process reads the champion from MLflow's database itself: two seconds and 260 MB less."""
    assert loaded_by("import orchestrator.api.serve, policies.registry.store", "mlflow", "matplotlib", "ray") == []
