"""Which code results come from: what is kept of a run must not be continued by code that would live it otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Everything between a scenario and its results, as folders and files beside each other: in a checkout and installed.
DECIDING = (
    "simulator",
    "policies",
    "orchestrator/profiles",
    "orchestrator/config",
    "orchestrator/decision/core.py",
    "orchestrator/eligibility/eligible_actions.py",
)
_HOME = Path(__file__).parents[2]


@cache
def code_digest(home: Path = _HOME) -> str:
    """SHA-256 over the Python sources that decide results, by path and content, in hexadecimal.

    Args:
        home: the folder that holds the packages; read once per process, as they were when they were first asked for.
    """
    digest = hashlib.sha256()
    for path in sorted(_sources(home), key=lambda path: path.relative_to(home).as_posix()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(home).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources(home: Path) -> Iterator[Path]:
    for name in DECIDING:
        place = home / name
        yield from place.rglob("*.py") if place.is_dir() else [place]
