"""Looking for texts in a file, whatever is in the file; run as a program, so it imports nothing of ours.

A process that has a database of SQLite open must never open and close its file by itself: closing would let go of every
lock SQLite holds on the file, and another process would write at the same time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Bytes looked at together.
_PIECE = 1 << 20


def holds_any(path: Path, traces: Sequence[str], *, whole: bool = False) -> bool:
    """Whether a file holds one of the texts, also as they stand in JSON; looked for by another process.

    Args:
        path: of the file.
        traces: the texts.
        whole: only as whole texts in JSON, not as parts of others.

    Raises:
        OSError: the file cannot be read, or no process can be started.
    """
    command = [sys.executable, "-I", "-S", __file__, str(path)]
    done = subprocess.run(command, input=json.dumps(_forms(traces, whole)), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise OSError(f"{path} cannot be searched")
    return bool(json.loads(done.stdout))


def _forms(traces: Sequence[str], whole: bool) -> list[str]:
    """The texts, and the two ways in which JSON writes them."""
    quoted = [json.dumps(trace, ensure_ascii=ascii_only) for trace in traces for ascii_only in (False, True)]
    return quoted if whole else [*traces, *(form[1:-1] for form in quoted)]


def _search(path: Path, forms: Sequence[str]) -> bool:
    sought = {form.encode() for form in forms}
    overlap = max(map(len, sought), default=1) - 1
    with path.open("rb") as file:
        piece = file.read(_PIECE)
        while len(piece) > overlap:
            if any(text in piece for text in sought):
                return True
            piece = piece[len(piece) - overlap :] + file.read(_PIECE)
    return any(text in piece for text in sought)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_search(Path(sys.argv[1]), json.load(sys.stdin))))
