"""Units of work run alike wherever they run."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from simulator.rollout.blocks import Unit
from simulator.runs.tasks import finished

UNITS = [Unit(0, block, 1) for block in range(2)]


@pytest.fixture
def two_threads() -> Iterator[None]:
    with threadpool_limits(2):
        if threads() != {2}:
            pytest.skip("linear algebra has one thread on this machine")
        yield


def threads() -> set[int]:
    """Of linear algebra, in this process."""
    import numpy as np  # noqa: F401 - loads it

    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def threads_of(work: int, unit: Unit) -> set[int]:
    return threads()


def test_without_ray_a_unit_has_one_thread_and_the_caller_as_many_as_before(two_threads: None) -> None:
    assert list(finished(threads_of, 0, UNITS, workers=1, address=None)) == [(unit, {1}) for unit in UNITS]
    assert threads() == {2}


@pytest.mark.slow
def test_in_a_session_that_was_there_before_a_unit_has_one_thread() -> None:
    import ray
    import ray.cloudpickle

    module = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(module)
    two = {"env_vars": dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "2")}
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=two)
    try:
        found = dict(finished(threads_of, 0, UNITS, workers=2, address=None))
        assert found == {unit: {1} for unit in UNITS}
    finally:
        ray.shutdown()
        ray.cloudpickle.unregister_pickle_by_value(module)
