"""A saved policy's directory: `policy.json` under its checksum, written whole or not at all.

`policy.json` names the format, the kind of policy, what it is made of, and the checksum of every other
file; its own checksum stands in `SHA256`. Writing goes to a temporary sibling first, so a reader never
sees half a policy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policies.errors import PolicyFormatError

FORMAT = 1
POLICY, SUM = "policy.json", "SHA256"


@contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """A temporary directory that becomes `directory` when the block ends well.

    Raises:
        PolicyFormatError: `directory` has content.
    """
    if directory.exists() and any(directory.iterdir()):
        raise PolicyFormatError(f"{directory} is not empty; save a policy to a new directory")
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield staging
        staging.chmod(0o755)
        if directory.exists():
            directory.rmdir()
        staging.rename(directory)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def write_content(staging: Path, content: Mapping[str, Any], *, kind: str) -> None:
    """Write `policy.json` and its checksum; the files already there are put under theirs."""
    others = {path.name: sha256(path) for path in sorted(staging.iterdir())}
    whole = {"format": FORMAT, "kind": kind, **content, "sha256": others}
    (staging / POLICY).write_text(json.dumps(whole, indent=1) + "\n")
    (staging / SUM).write_text(f"{sha256(staging / POLICY)}  {POLICY}\n")


def read_content(directory: Path, *, kinds: Sequence[str], files: Sequence[str] = ()) -> dict[str, Any]:
    """Read `policy.json` and verify it and these other files of the directory.

    Raises:
        PolicyFormatError: a file is missing, damaged, or of another format or kind.
    """
    _check_there(directory, POLICY)
    _check_there(directory, SUM)
    _verify(directory / POLICY, (directory / SUM).read_bytes().split(b" ", 1)[0].decode("ascii", "replace"))
    content = _read_json(directory / POLICY)
    if content.get("format") != FORMAT or content.get("kind") not in kinds:
        raise PolicyFormatError(
            f"{directory / POLICY}: format {content.get('format')!r} of kind {content.get('kind')!r}; "
            f"this version reads format {FORMAT} of kind {' or '.join(map(repr, kinds))}: train again"
        )
    for name in files:
        _check_there(directory, name)
        _verify(directory / name, str(content.get("sha256", {}).get(name, "nothing")))
    return content


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_there(directory: Path, name: str) -> None:
    if not (directory / name).is_file():
        raise PolicyFormatError(f"{directory} is not a policy: {name} is missing; train one with `journey train`")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise PolicyFormatError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise PolicyFormatError(f"{path} must hold a JSON object")
    return content


def _verify(path: Path, expected: str) -> None:
    if (found := sha256(path)) != expected:
        raise PolicyFormatError(
            f"{path} is damaged: its SHA-256 is {found[:12]}…, recorded {expected[:12]}…; "
            "restore the directory or train again"
        )
