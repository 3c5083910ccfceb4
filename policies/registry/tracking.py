"""MLflow: one run per training, one registered version per policy."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from policies.errors import RegistryError
from policies.registry.store import CHALLENGER, CHAMPION, DEFAULT_MODEL, RegisteredPolicy, Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "journey"
_DESCRIPTION_TAG = "mlflow.note.content"
PARENT_TAG = "mlflow.parentRunId"
MODEL_DESCRIPTION = """**Next best action per customer.** Each version is a Vowpal Wabbit contextual bandit in our
directory format (`policy.json`, `model.vw`, checksums; no pickle).

- `champion`: what the API serves. Move this alias to promote or roll back; the API follows within seconds.
- `challenger`: the newest version, until it is promoted.

The evidence for a version is in its description and in `report.html` of its run.
"""


@dataclass(frozen=True)
class RunContent:
    """What a training run shows.

    Attributes:
        name: run name.
        description: Markdown shown at the top of the run.
        parameters: settings, as text.
        metrics: (name, value, step) triples; names with `/` form chart sections.
        tags: searchable facts.
        dataset: name of the data learned from.
        dataset_digest: its checksum, at most 36 characters.
        dataset_source: where it came from.
    """

    name: str
    description: str
    parameters: dict[str, str]
    metrics: list[tuple[str, float, int]]
    tags: dict[str, str]
    dataset: str
    dataset_digest: str
    dataset_source: str


class Tracker:
    """Writes runs and versions to one store, creating it if needed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._run_id = ""

    @cached_property
    def _client(self) -> MlflowClient:
        return _connect(self.store)

    @contextmanager
    def run(self, content: RunContent) -> Iterator[Path]:
        """A run; files put in the directory yielded become its artifacts when the block ends well.

        The run is marked failed, and keeps nothing, if the block raises.
        """
        run = self._client.create_run(self._experiment(), run_name=content.name)
        self._run_id = run.info.run_id
        try:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder)
                self._client.log_artifacts(self._run_id, folder)
            self._describe(self._run_id, content)
        except BaseException:
            self._client.set_terminated(self._run_id, status="FAILED")
            raise
        self._client.set_terminated(self._run_id)

    def open(self, content: RunContent) -> str:
        """A run that stays open, to be given metrics step by step and then closed.

        Returns:
            Its id; runs tagged with it under `PARENT_TAG` are shown below it.
        """
        run_id: str = self._client.create_run(self._experiment(), run_name=content.name).info.run_id
        self._describe(run_id, content)
        return run_id

    def reopen(self, run_id: str) -> bool:
        """Open a closed run again; false if this store has none of that id."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.update_run(run_id, status="RUNNING")
        except MlflowException:
            return False
        return True

    def log(self, run_id: str, metrics: list[tuple[str, float, int]]) -> None:
        """Give an open run (name, value, step) triples, in one batch per thousand."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        found = [Metric(name, value, now, step) for name, value, step in metrics]
        for start in range(0, len(found), 1000):
            self._client.log_batch(run_id, metrics=found[start : start + 1000])

    def attach(self, run_id: str, name: str, text: str) -> None:
        """Put a file among the artifacts of a run, in the place of one of the same name."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            self._client.log_artifact(run_id, str(path))

    def close(self, run_id: str, *, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
        """Close an open run."""
        self._client.set_terminated(run_id, status=status)

    @property
    def run_id(self) -> str:
        """Id of the newest run written by this tracker."""
        return self._run_id

    def register(
        self, *, artifact: str, card: str, tags: dict[str, str], model: str = DEFAULT_MODEL
    ) -> tuple[RegisteredPolicy, str]:
        """Register a policy directory of the newest run as a new version.

        Args:
            artifact: its path inside the run's artifacts.
            card: Markdown description of the version.
            tags: searchable facts.
            model: registered model, created if needed.

        Returns:
            The version, and the alias it got: `champion` if there was none yet, else `challenger`.
        """
        if not self._client.search_registered_models(f"name = '{model}'"):
            self._client.create_registered_model(model, description=MODEL_DESCRIPTION)
        base = self._client.get_run(self._run_id).info.artifact_uri
        version = self._client.create_model_version(
            model, source=f"{base}/{artifact}", run_id=self._run_id, description=card, tags=tags
        )
        alias = CHALLENGER if CHAMPION in self._client.get_registered_model(model).aliases else CHAMPION
        self._client.set_registered_model_alias(model, alias, version.version)
        registered = self.store.version(model, int(version.version))
        if registered is None:
            raise RegistryError(f"{model} version {version.version} was registered but cannot be read back")
        return registered, alias

    def promote(self, version: int, *, model: str = DEFAULT_MODEL) -> None:
        """Make a version the champion; it is no challenger any more.

        Raises:
            RegistryError: no such version.
        """
        if self.store.version(model, version) is None:
            raise RegistryError(f"{model} in {self.store.directory} has no version {version}; see `journey ui`")
        self._client.set_registered_model_alias(model, CHAMPION, str(version))
        if str(self._client.get_registered_model(model).aliases.get(CHALLENGER)) == str(version):
            self._client.delete_registered_model_alias(model, CHALLENGER)

    def links(self, ui: str, *, model: str = DEFAULT_MODEL) -> dict[str, str]:
        """Deep links for a reviewer into the MLflow UI at `ui`."""
        experiment = f"{ui}/#/experiments/{self._experiment()}/runs?workflowType=machine_learning"
        return {
            "runs": experiment,
            "curves": f"{experiment}&compareRunsMode=CHART",
            "policies": f"{ui}/#/models/{model}",
        }

    def _describe(self, run_id: str, content: RunContent) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

        self.log(run_id, content.metrics)
        tags = {**content.tags, _DESCRIPTION_TAG: content.description}
        self._client.log_batch(
            run_id,
            params=[Param(k, v) for k, v in content.parameters.items()],
            tags=[RunTag(k, v) for k, v in tags.items()],
        )
        dataset = Dataset(content.dataset, content.dataset_digest, "local", content.dataset_source)
        self._client.log_inputs(run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        return self._client.create_experiment(EXPERIMENT, artifact_location=self.store.artifacts.as_uri())


def environment() -> dict[str, str]:
    """Settings MLflow reads when imported or started: no telemetry, no job workers."""
    return {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _connect(store: Store) -> MlflowClient:
    for name, value in environment().items():
        os.environ.setdefault(name, value)
    store.check()
    from mlflow import MlflowClient

    # The first use creates the database and tells about every migration step.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    store.directory.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
