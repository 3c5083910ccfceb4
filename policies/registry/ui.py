"""The MLflow UI on our store, as a child process bound to 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from policies.errors import RegistryError
from policies.registry.store import DEFAULT_MODEL, Store
from policies.registry.tracking import Tracker, environment

_START_SECONDS = 90


class MlflowUI:
    """Runs the UI while the `with` block lasts.

    Raises:
        RegistryError: it did not answer in time.
    """

    def __init__(self, store: Path, *, port: int, model: str = DEFAULT_MODEL) -> None:
        self._store = Store(store)
        self._port = port
        self._model = model
        self.url = f"http://127.0.0.1:{port}"
        self.links: dict[str, str] = {}

    def __enter__(self) -> MlflowUI:
        if not self._store.database.exists():
            raise RegistryError(f"{self._store.directory} holds no MLflow store yet; make one with `journey train`")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                raise RegistryError(f"port {self._port} is taken, perhaps by another `journey ui`; choose another port")
        self.links = Tracker(self._store).links(self.url, model=self._model)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--backend-store-uri", self._store.uri, "--host", "127.0.0.1", "--port", str(self._port)),
            ],
            env={**os.environ, **environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self) -> None:
        """Wait until the UI ends or Ctrl-C."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            return

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RegistryError(
                    f"the MLflow UI ended at once; is port {self._port} taken? choose another with --port"
                )
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1):  # noqa: S310 - our own http address
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RegistryError(f"the MLflow UI did not answer within {_START_SECONDS} s on {self.url}")

    def _stop(self) -> None:
        # The server has workers of its own: its whole process group goes, and nothing else.
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
