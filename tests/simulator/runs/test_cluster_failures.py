"""Workers and machines that die while a run goes on: the results stay the same."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.errors import FeatureError
from policies.learning.baselines import RandomPolicy
from simulator.errors import RunError
from simulator.rollout.rollout import Setting
from simulator.runs import tasks
from simulator.runs.cluster import RunProgress, run
from simulator.runs.ray_session import session
from simulator.scenarios import Scenario, load_scenario
from simulator.world.results import BlockResult

pytestmark = pytest.mark.slow
CONFIGS = Path(__file__).parents[3] / "configs"
SMALL: dict[str, Any] = {"seeds": (0, 1), "customers": 300, "block_size": 100, "days": 8}


@dataclass(frozen=True)
class KillsOnce(RandomPolicy):
    """Kills the process it runs in, unless one was killed already; else random."""

    marker: Path = Path()
    how: signal.Signals = signal.SIGKILL

    def scores(self, features: np.ndarray) -> np.ndarray:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return super().scores(features)
        os.kill(os.getpid(), self.how)
        time.sleep(600)
        raise AssertionError("still alive")


@dataclass(frozen=True)
class HangsOn(RandomPolicy):
    """Says where it runs, and never answers on one of the machines; else random."""

    marker: Path = Path()
    node: str = ""

    def scores(self, features: np.ndarray) -> np.ndarray:
        import ray

        if ray.get_runtime_context().get_node_id() == self.node:
            self.marker.touch()
            time.sleep(600)
        return super().scores(features)


@dataclass(frozen=True)
class Complains(RandomPolicy):
    """Raises an error of ours."""

    def scores(self, features: np.ndarray) -> np.ndarray:
        raise FeatureError(f"feature 'spend' of {features.shape[1]} is upside down")


@pytest.fixture(scope="module", autouse=True)
def _policies_of_this_file_travel() -> Iterator[None]:
    """Workers cannot import test files, so these classes travel as a whole."""
    import ray.cloudpickle

    module = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(module)
    yield
    ray.cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(scope="module")
def baseline() -> Scenario:
    return load_scenario("baseline", configs=CONFIGS)


@pytest.fixture(scope="module")
def columns(baseline: Scenario) -> dict[str, Any]:
    core = Setting.of(baseline).core
    return {"actions": core.actions, "columns": core.columns}


@pytest.fixture(scope="module")
def expected(baseline: Scenario, columns: dict[str, Any]) -> list[BlockResult]:
    return run(baseline, {"p": RandomPolicy(**columns)}, **SMALL, workers=1)


def ray_is_up() -> bool:
    import ray

    return bool(ray.is_initialized())


def assert_same(found: list[BlockResult], expected: list[BlockResult]) -> None:
    for one, other in zip(found, expected, strict=True):
        for field in fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_a_killed_worker_changes_nothing(
    baseline: Scenario, columns: dict[str, Any], expected: list[BlockResult], tmp_path: Path
) -> None:
    policy = KillsOnce(**columns, marker=tmp_path / "killed")
    assert_same(run(baseline, {"p": policy}, **SMALL, workers=2), expected)
    assert (tmp_path / "killed").exists()


GIVEN_UP = r"^seed 0, block \d: lost its worker 1 times; smaller blocks need less memory, and a policy that crashes is"


def test_a_block_that_brings_its_worker_down_again_and_again_is_given_up(
    baseline: Scenario, columns: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RETRIES", 0)
    with pytest.raises(RunError, match=GIVEN_UP):
        run(baseline, {"p": KillsOnce(**columns, marker=tmp_path / "killed")}, **SMALL, workers=2)
    assert not ray_is_up()


def test_a_block_that_needs_more_memory_than_there_is_is_given_up(
    baseline: Scenario, columns: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(tasks, "RETRIES", 0)
    hungry = {"memory_usage_threshold": 0.0, "memory_monitor_refresh_ms": 50}
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, _system_config=hungry)
    try:
        policy = HangsOn(**columns, marker=tmp_path / "begun", node=ray.get_runtime_context().get_node_id())
        with pytest.raises(RunError, match=GIVEN_UP):
            run(baseline, {"p": policy}, **{**SMALL, "seeds": (0,)}, workers=2)
    finally:
        ray.shutdown()


def test_an_error_of_a_policy_arrives_as_it_was_raised(baseline: Scenario, columns: dict[str, Any]) -> None:
    with session(workers=1, address=None) as ray:
        with pytest.raises(FeatureError, match=r"^feature 'spend' of \d+ is upside down$"):
            run(baseline, {"p": Complains(**columns)}, **SMALL, workers=2)
        assert ray.is_initialized()  # a session that was there before is left as it was
    assert not ray.is_initialized()


def test_a_lost_machine_changes_nothing(
    baseline: Scenario, columns: dict[str, Any], expected: list[BlockResult], tmp_path: Path
) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        policy = HangsOn(**columns, marker=tmp_path / "begun", node=lost.node_id)
        lose: list[Any] = [lost]

        def progress(now: RunProgress) -> None:
            if now.blocks and lose:
                deadline = time.monotonic() + 60
                while not policy.marker.exists() and time.monotonic() < deadline:
                    time.sleep(0.05)
                assert policy.marker.exists(), "no block began on the machine that is to be lost"
                cluster.remove_node(lose.pop(), allow_graceful=False)

        found = run(baseline, {"p": policy}, **SMALL, address=cluster.address, progress=progress)
        assert_same(found, expected)
        assert not lose
    finally:
        cluster.shutdown()


def test_an_address_without_a_cluster_is_refused(baseline: Scenario, columns: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=r"no Ray cluster at 127\.0\.0\.1:1 "):
        run(baseline, {"p": RandomPolicy(**columns)}, **SMALL, address="127.0.0.1:1")
