"""A rollout's log on disk: a directory of two Parquet files that any tool can read.

`decisions.parquet` has one row per decision in the order they were made: customer, day, slot, action, propensity,
eligible (one bit per action, most significant first) and features. `money.parquet` has one row per customer: margin and
worth, with one number per day. What has many numbers per row is bytes of fixed width, float32 one after another, little
end first, because lists of numbers take four times as long to write:

    table = pyarrow.parquet.read_table("decisions.parquet")
    features = numpy.frombuffer(b"".join(table["features"].to_pylist()), dtype="<f4").reshape(len(table), -1)

Both are written to a temporary sibling first, so a reader never sees half of a log. They are not compressed: the next
step reads them once.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from policies.arrays import BoolArray, Float32Array
from policies.whole_files import put_in_place
from simulator.errors import LogError
from simulator.rollout.log import RolloutLog

ByteArray = NDArray[np.uint8]

DECISIONS, MONEY = "decisions.parquet", "money.parquet"
_FILES = (DECISIONS, MONEY)
_PLAIN = ("customer", "day", "slot", "action", "propensity", "done")
_ACTIONS, _ACTION_IDS, _COLUMNS = b"actions", b"action_ids", b"columns"


def save_log(log: RolloutLog, directory: Path, *, actions: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
    """Write a log, in the place of one that is there.

    Several processes may write the same log at once, for instance when a block is started anew while the worker that
    was taken for lost still runs: one of them is kept, since they all write the same.

    Args:
        log: of one block under one policy.
        directory: made, or replaced as a whole.
        actions: ids of the A actions, kept in the file for readers; none if not known.
        columns: names of the F features, likewise.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f"{_staging_prefix(directory)}{os.getpid()}-", dir=directory.parent))
    try:
        _write(_decisions(log, actions=actions, columns=columns), staging / DECISIONS)
        _write(pa.table({"margin": _rows(log.margin), "worth": _rows(log.worth)}), staging / MONEY)
        staging.chmod(0o755)
        _put(staging, directory)
        _clear_left_behind(directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def is_log(directory: Path) -> bool:
    """Whether a log is there."""
    return all((directory / name).is_file() for name in _FILES)


def load_log(directory: Path) -> RolloutLog:
    """Read a log written by `save_log`.

    Raises:
        LogError: it is missing or damaged.
    """
    for name in _FILES:
        if not (directory / name).is_file():
            raise LogError(f"{directory} is not a log: {name} is missing; make one with `journey simulate`")
    try:
        decisions, money = pq.read_table(directory / DECISIONS), pq.read_table(directory / MONEY)
        actions = int(decisions.schema.metadata[_ACTIONS])
        return RolloutLog(
            **{name: decisions[name].to_numpy() for name in _PLAIN},
            eligible=_unpacked(decisions["eligible"], actions),
            features=_matrix(decisions["features"]),
            margin=_matrix(money["margin"]),
            worth=_matrix(money["worth"]),
        )
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        raise LogError(f"{directory} is a damaged log ({error}); simulate it again") from error


def _put(staging: Path, directory: Path) -> None:
    """Put a log in its place, unless another writer of the same log does so at this moment."""
    while True:
        try:
            if directory.exists() and any(path.name not in _FILES for path in directory.iterdir()):
                raise LogError(f"{directory} holds other files than a log; choose another directory")
            put_in_place(staging, directory)
            return
        except FileNotFoundError:  # the old one was just put aside by another writer
            if not staging.exists():
                raise
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return  # another writer was faster, with the same content


def _staging_prefix(directory: Path) -> str:
    return f".{directory.name}-{socket.gethostname()}-"


def _clear_left_behind(directory: Path) -> None:
    """Remove what writers of this log on this machine left when they were killed."""
    prefix = _staging_prefix(directory)
    for path in directory.parent.iterdir():
        writer = re.fullmatch(r"(\d+)-.*", path.name.removeprefix(prefix))
        if path.name.startswith(prefix) and writer and not _runs(int(writer[1])):
            shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _decisions(log: RolloutLog, *, actions: Sequence[str], columns: Sequence[str]) -> pa.Table:
    arrays: dict[str, Any] = {name: getattr(log, name) for name in _PLAIN}
    arrays |= {"eligible": _packed(log.eligible), "features": _rows(log.features)}
    about = {_ACTIONS: str(log.eligible.shape[1]), _ACTION_IDS: ",".join(actions), _COLUMNS: ",".join(columns)}
    return pa.table(arrays).replace_schema_metadata(about)


def _write(table: pa.Table, path: Path) -> None:
    # Dictionaries and statistics of numbers that hardly repeat cost more than they save.
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)


def _rows(matrix: Float32Array | ByteArray) -> Any:
    """The bytes of each row of a matrix (n, k), as a column of fixed width."""
    rows: Any = np.ascontiguousarray(matrix)
    width = rows.shape[1] * rows.itemsize
    return pa.Array.from_buffers(pa.binary(width), len(rows), [None, pa.py_buffer(rows)])


def _bytes(column: Any) -> ByteArray:
    """What `_rows` made; uint8 (n, width)."""
    width = column.type.byte_width
    parts = [np.empty((0, width), dtype=np.uint8)]
    for chunk in column.chunks:
        flat = np.frombuffer(chunk.buffers()[1], dtype=np.uint8)
        parts.append(flat[chunk.offset * width :][: len(chunk) * width].reshape(-1, width))
    return np.concatenate(parts)


def _matrix(column: Any) -> Float32Array:
    matrix: Float32Array = _bytes(column).view(np.float32)
    return matrix


def _packed(eligible: BoolArray) -> Any:
    """A bit per action, for each row of bool (n, A)."""
    return _rows(np.packbits(eligible, axis=1))


def _unpacked(column: Any, actions: int) -> BoolArray:
    return np.unpackbits(_bytes(column), axis=1, count=actions).astype(bool)
