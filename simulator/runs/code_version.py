"""Which code results come from: what is kept of a run must not be continued by code that would live it otherwise."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

# Where a block is lived, and where policies are trained: results come from these modules and whatever they import.
ROOTS = ("simulator.rollout.blocks", "simulator.training.training", "simulator.training.ablations")
PACKAGES = ("orchestrator", "policies", "simulator")
_HOME = Path(__file__).parents[2]


@cache
def code_digest(home: Path = _HOME) -> str:
    """SHA-256 over the sources that results come from, by path and content, in hexadecimal.

    Args:
        home: the folder that holds the packages; read once per process, as they were when they were first asked for.
    """
    digest = hashlib.sha256()
    for path, source in sorted(import_closure(home).items()):
        digest.update(f"{path} {len(source)}\n".encode())
        digest.update(source)
    return digest.hexdigest()


def import_closure(home: Path = _HOME, *, roots: tuple[str, ...] = ROOTS) -> dict[str, bytes]:
    """Source by path of every module of ours that Python runs for the roots, wherever in a module an import stands.

    Args:
        home: the folder that holds the packages.
        roots: dotted names of the modules to begin with.

    Returns:
        Content by path relative to `home`, with `/` between its parts.

    Raises:
        FileNotFoundError: a root is missing.
    """
    found: dict[str, bytes] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        path = _path(home, name)
        if path is None:
            if name in roots:
                raise FileNotFoundError(f"{name} is no module in {home}")
            continue  # a name that a module defines
        if path in found:
            continue
        found[path] = (home / path).read_bytes()
        waiting += _imports(found[path])
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # Python runs the package's __init__ first
    return found


def _path(home: Path, name: str) -> str | None:
    path = name.replace(".", "/")
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if (home / file).is_file()), None)


def _imports(source: bytes) -> Iterator[str]:
    """Dotted names a module imports from our packages; of `from a import b` both `a` and `a.b`, which may be one."""
    waiting: list[Any] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse  # what only checkers of types read does not run
            continue
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):  # of statements; expressions hold no import
            inside = getattr(node, part, ())
            waiting += inside if isinstance(inside, list) else ()
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)
