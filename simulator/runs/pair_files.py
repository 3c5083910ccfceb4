"""CounterfactualPairs of finished blocks on disk, as plain arrays, so that a training continues where it stopped."""

from __future__ import annotations

import io
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np

from policies.whole_files import write_whole
from simulator.errors import RunError
from simulator.rollout.blocks import Unit
from simulator.rollout.counterfactual_pairs import CounterfactualPairs
from simulator.runs.run_spec import RunSpec


class TwinFolder:
    """A folder with one file per finished block of twins.

    Args:
        folder: made if needed.
        spec: of the training.
    """

    def __init__(self, folder: Path, spec: RunSpec) -> None:
        self._folder, self._spec = folder, spec
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, unit: Unit) -> CounterfactualPairs | None:
        """CounterfactualPairs of a finished block; none if it is not finished.

        Raises:
            RunError: the file is damaged or of another training.
        """
        path = self._path(unit)
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                digest = str(arrays["digest"])
                twins = CounterfactualPairs(**{field.name: arrays[field.name] for field in fields(CounterfactualPairs)})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RunError(f"{path} is damaged ({error}); delete it, and the block is lived through again") from error
        if digest != self._spec.digest(unit):
            raise RunError(f"{path} is a block of another training; delete it, and the block is lived through again")
        return twins

    def save(self, unit: Unit, twins: CounterfactualPairs) -> None:
        """Keep the twins of a finished block, whole or not at all."""
        content = io.BytesIO()
        arrays = {field.name: getattr(twins, field.name) for field in fields(twins)}
        np.savez(content, digest=np.array(self._spec.digest(unit)), **arrays)
        write_whole(self._path(unit), content.getvalue())

    def _path(self, unit: Unit) -> Path:
        return self._folder / f"{unit.name}.npz"
