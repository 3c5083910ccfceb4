"""Finished blocks of a run on disk, so that an interrupted run continues where it stopped."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from policies.whole_files import whole_file, write_whole
from simulator.errors import RunError
from simulator.rollout.blocks import Unit
from simulator.runs.run_spec import CODE, RunSpec
from simulator.world.results import BlockResult

SPEC = "spec.json"
_GO_BACK = "; it was begun by another version of this package, so to continue it go back to that version"
_ARRAYS = ("daily", "segment_customers", "by_segment", "actions")


def check_folder(folder: Path, spec: RunSpec) -> None:
    """Check that a folder is of this run, or may become it; nothing is written.

    Raises:
        RunError: it holds another run, or something else.
    """
    path = folder / SPEC
    if path.is_file():
        _check_spec(path, spec)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists and is no folder of a run ({SPEC} is missing); choose an empty one")


def sign_folder(folder: Path, spec: RunSpec) -> None:
    """Write into a folder of which run it is; made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / SPEC).is_file():
        write_whole(folder / SPEC, (json.dumps(spec.content, indent=1) + "\n").encode())


class RunFolder:
    """A folder with `spec.json` and one file of plain arrays per finished block.

    Raises:
        RunError: the folder holds another run, or something else.
    """

    def __init__(self, folder: Path, spec: RunSpec) -> None:
        self.folder = folder
        self._spec = spec
        check_folder(folder, spec)
        sign_folder(folder, spec)

    def load(self, unit: Unit) -> list[BlockResult] | None:
        """Results of a finished block, one per policy; none if it is not finished.

        Raises:
            RunError: the file is damaged or of another run.
        """
        path = self._path(unit)
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                about = json.loads(bytes(arrays["about"]))
                results = [_result(about, i, arrays) for i in range(len(about["policies"]))]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise RunError(f"{path} is damaged ({error}); delete it, and the block is run again") from error
        if about["digest"] != self._spec.digest(unit):
            raise RunError(f"{path} is a block of another run; delete it, and the block is run again")
        return results

    def save(self, unit: Unit, results: Sequence[BlockResult]) -> None:
        """Keep the results of a finished block, whole or not at all."""
        about = {
            "digest": self._spec.digest(unit),
            "seed": unit.seed,
            "block": unit.block,
            "customers": unit.customers,
            "policies": [result.policy for result in results],
            "segments": list(results[0].segments),
        }
        arrays = {f"{name}_{i}": getattr(result, name) for i, result in enumerate(results) for name in _ARRAYS}
        path = self._path(unit)
        with whole_file(path) as staging, staging.open("wb") as file:
            np.savez(file, about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8), **arrays)

    def _path(self, unit: Unit) -> Path:
        return self.folder / f"{unit.name}.npz"


def _check_spec(path: Path, spec: RunSpec) -> None:
    try:
        there = json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}); choose an empty folder") from error
    content = there if isinstance(there, dict) else {}
    differences = spec.differences(content)
    if differences:
        other_code = content.get(CODE) != spec.content.get(CODE)
        raise RunError(
            f"{path.parent} holds another run ({differences}); choose another folder, or delete this one to "
            f"start over{_GO_BACK if other_code else ''}"
        )


def _result(about: dict[str, Any], i: int, arrays: Any) -> BlockResult:
    return BlockResult(
        policy=about["policies"][i],
        seed=about["seed"],
        block=about["block"],
        customers=about["customers"],
        segments=tuple(about["segments"]),
        **{name: arrays[f"{name}_{i}"] for name in _ARRAYS},
    )
