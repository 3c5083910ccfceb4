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


def holds_any(path: Path, traces: Sequence[str]) -> bool:
    """Whether a file holds one of the texts, also as they stand in JSON; looked for by another process.

    Raises:
        OSError: the file cannot be read, or no process can be started.
    """
    command = [sys.executable, "-I", "-S", __file__, str(path)]
    done = subprocess.run(command, input=json.dumps(list(traces)), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise OSError(f"{path} cannot be searched")
    return bool(json.loads(done.stdout))


def _search(path: Path, traces: Sequence[str]) -> bool:
    sought = {form.encode() for trace in traces for form in (trace, json.dumps(trace, ensure_ascii=False)[1:-1])}
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
