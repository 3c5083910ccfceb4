"""Ray, started quietly for one run, or joined where it runs already."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from simulator.errors import RunError

OBJECT_STORE = 512 * 2**20  # bytes; Ray refuses much less, and results are small
PATIENCE = 10.0  # seconds to reach a cluster's address
# Read by Ray when it is imported and started: nothing is reported home, and `uv run` is left alone.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
# One task, one core: more threads would only wait for each other. (That sums are rounded alike in a session that was
# there before, or without Ray, is for `simulator.runs.tasks` to see to.)
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@contextmanager
def session(*, workers: int, address: str | None) -> Iterator[Any]:
    """The `ray` module, connected; what was started here is shut down at the end, whatever ends it.

    A session the process has already is used and left as it is.

    Args:
        workers: cores to use where Ray is started here.
        address: of a running cluster to join; none starts one on this machine.

    Raises:
        RunError: Ray is not installed, or there is no cluster at the address.
    """
    with _environment(QUIET):
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, workers=workers, address=address)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def cores(ray: Any) -> int:
    """Cores of all nodes as they are now; nodes may come and go."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _connect(ray: Any, *, workers: int, address: str | None) -> None:
    quiet = {"logging_level": "ERROR", "log_to_driver": False, "runtime_env": {"env_vars": ONE_THREAD}}
    if address is None:
        # Without "local", Ray would join whatever cluster happens to run on this machine.
        ray.init("local", num_cpus=workers, include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
        return
    try:
        _knock(address)
        ray.init(address, **quiet)
    except OSError as error:
        raise RunError(
            f"no Ray cluster at {address} ({error}); start one with `ray start --head`, or leave the address out"
        ) from error


def _knock(address: str) -> None:
    """See that something listens at host:port; Ray itself would keep on trying for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise RunError(
            "Ray is not installed: install journey-orchestrator[simulate], or use one worker, which needs no Ray"
        ) from error
    return ray


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Environment variables, set where they are not, for as long as the block runs."""
    new = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]
