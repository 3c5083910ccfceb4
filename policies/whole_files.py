"""Files and directories that appear whole or not at all, whatever interrupts the writing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write instead; it takes the place of `path` at the end of the block, or is removed after an error."""
    staging = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield staging
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as staging:
        staging.write_bytes(content)


def put_in_place(staging: Path, directory: Path) -> None:
    """Put a finished directory in the place of another; whatever interrupts leaves the old one there.

    If another process puts one there at the same moment, this may raise OSError, and leaves that one there.

    Args:
        staging: beside `directory`, on the same disk.
        directory: replaced if it exists; whether it may be is for the caller to check.
    """
    if not directory.exists():
        staging.rename(directory)
        return
    aside = staging.with_name(f"{staging.name}-old")
    directory.rename(aside)
    try:
        staging.rename(directory)
    except BaseException:
        if directory.exists():  # another process was faster
            shutil.rmtree(aside)
        else:
            aside.rename(directory)
        raise
    shutil.rmtree(aside)
