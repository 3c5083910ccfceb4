"""Who may import whom, read from the source; and what starting fast means."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
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
    "simulator": ("simulator/", "orchestrator/cli/"),
    "orchestrator": ("orchestrator/", "simulator/"),
}


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
        ("orchestrator/service/x.py", "import fastapi"),
        ("orchestrator/cli/x.py", "import ray"),
        ("simulator/x.py", "from joblib import load"),
        ("policies/x.py", "import importlib\nimportlib.import_module('orchestrator.cli')"),
    ],
)
def test_the_check_sees_forbidden_imports_wherever_they_hide(path: str, source: str) -> None:
    assert len(broken_rules(path, source)) == 1


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
