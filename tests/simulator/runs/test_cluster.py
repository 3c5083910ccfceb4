"""Runs of many blocks: the same results however they are run, continued where they stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.learning.baselines import FixedPolicy, RandomPolicy
from policies.policy import Policy
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings
from simulator.errors import RunError
from simulator.rollout.blocks import Unit, log_directory, run_block, units_of
from simulator.rollout.log import RolloutLog
from simulator.rollout.log_files import load_log
from simulator.rollout.rollout import Setting
from simulator.runs.cluster import RunProgress, run
from simulator.scenarios import Scenario, load_scenario
from simulator.world.results import BlockResult

CONFIGS = Path(__file__).parents[3] / "configs"
SMALL: dict[str, Any] = {"seeds": (0, 1), "customers": 250, "block_size": 100, "days": 8}
UNITS = units_of((0, 1), customers=250, block_size=100)


@pytest.fixture(scope="module")
def baseline() -> Scenario:
    return load_scenario("baseline", configs=CONFIGS)


@pytest.fixture(scope="module")
def policies(baseline: Scenario) -> dict[str, Policy]:
    core = Setting.of(baseline).core
    vw = VWPolicy(VWSettings(space=FeatureSpace.of_customer(core.columns)), core.actions)
    random = np.random.default_rng(0)
    vw.learn_rows(
        random.random((300, len(core.columns))).astype(np.float32),
        eligible=np.full(300, len(core.actions)),
        action=random.integers(len(core.actions), size=300),
        propensity=np.full(300, 0.1),
        reward=random.standard_normal(300),
    )
    return {
        "journey": vw,
        "hold": FixedPolicy(core.actions, core.columns, "hold"),
        "random": RandomPolicy(core.actions, core.columns),
    }


@pytest.fixture(scope="module")
def expected(baseline: Scenario, policies: dict[str, Policy]) -> list[BlockResult]:
    return run(baseline, policies, **SMALL, workers=1)


def assert_same(found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Equal to the last bit: every array of results or logs."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for field in fields(one):
            a, b = getattr(one, field.name), getattr(other, field.name)
            if isinstance(a, np.ndarray):
                assert a.dtype == b.dtype, field.name
                np.testing.assert_array_equal(a, b, err_msg=field.name)
            else:
                assert a == b, field.name


def logs(folder: Path, names: Sequence[str]) -> list[RolloutLog]:
    return [load_log(log_directory(folder, policy=name, unit=unit)) for name in names for unit in UNITS]


def stop_after(blocks: int) -> Callable[[RunProgress], None]:
    def progress(now: RunProgress) -> None:
        if now.blocks == blocks:
            raise KeyboardInterrupt

    return progress


def test_results_come_by_policy_seed_and_block(expected: list[BlockResult]) -> None:
    keys = [(r.policy, r.seed, r.block, r.customers) for r in expected]
    sizes = ((0, 100), (1, 100), (2, 50))
    assert keys == [(p, s, b, n) for p in ("journey", "hold", "random") for s in (0, 1) for b, n in sizes]


def test_a_block_is_the_same_alone_and_under_other_policies(
    baseline: Scenario, policies: dict[str, Policy], expected: list[BlockResult]
) -> None:
    """No policy sees what another one did, and no block what happened in another."""
    alone = run_block(baseline, {"random": policies["random"]}, seed=1, block=2, customers=50, days=8, log_folder=None)
    assert_same(alone, expected[-1:])


def test_blocks_and_seeds_are_different_populations(expected: list[BlockResult]) -> None:
    held = [r.daily.tobytes() for r in expected if r.policy == "hold"]
    assert len(set(held)) == len(held)


def test_progress_counts_what_is_lived(baseline: Scenario, policies: dict[str, Policy]) -> None:
    told: list[RunProgress] = []
    run(baseline, {"hold": policies["hold"]}, **SMALL, workers=1, progress=told.append)
    assert told[0] == RunProgress(blocks=0, all_blocks=6, customer_days=0, all_customer_days=2 * 250 * 8)
    assert [now.blocks for now in told] == list(range(7))
    assert [now.customer_days for now in told] == [0, 800, 1600, 2000, 2800, 3600, 4000]


def test_an_interrupted_run_continues_where_it_stopped(
    baseline: Scenario, policies: dict[str, Policy], expected: list[BlockResult], tmp_path: Path
) -> None:
    folders = {"folder": tmp_path / "run", "log_folder": tmp_path / "logs"}
    with pytest.raises(KeyboardInterrupt, match=r"1 of 6 blocks are finished and kept in .*/run; run the same again"):
        run(baseline, policies, **SMALL, **folders, workers=1, progress=stop_after(1))
    told: list[RunProgress] = []
    assert_same(run(baseline, policies, **SMALL, **folders, workers=1, progress=told.append), expected)
    assert (told[0].blocks, told[0].all_customer_days) == (1, 3 * 8 * 400)
    assert len(logs(tmp_path / "logs", [*policies])) == len(expected)
    told.clear()
    assert_same(run(baseline, policies, **SMALL, **folders, workers=1, progress=told.append), expected)
    assert told == [RunProgress(blocks=6, all_blocks=6, customer_days=0, all_customer_days=0)]


@pytest.mark.parametrize("lost", ["one file of a log", "one log", "the whole folder"])
def test_a_finished_block_whose_log_is_lost_is_lived_again(
    lost: str, baseline: Scenario, policies: dict[str, Policy], expected: list[BlockResult], tmp_path: Path
) -> None:
    two = {name: policies[name] for name in ("hold", "random")}
    folders = {"folder": tmp_path / "run", "log_folder": tmp_path / "logs"}
    run(baseline, two, **SMALL, **folders, workers=1)
    first = logs(tmp_path / "logs", [*two])
    log = log_directory(tmp_path / "logs", policy="random", unit=UNITS[1])
    if lost == "one file of a log":
        (log / "money.parquet").unlink()
    else:
        shutil.rmtree(log if lost == "one log" else tmp_path / "logs")
    told: list[RunProgress] = []
    assert_same(run(baseline, two, **SMALL, **folders, workers=1, progress=told.append), expected[6:])
    assert told[0].blocks == (0 if lost == "the whole folder" else 5)
    assert_same(logs(tmp_path / "logs", [*two]), first)


def test_a_log_folder_elsewhere_gets_every_log(baseline: Scenario, policies: dict[str, Policy], tmp_path: Path) -> None:
    hold = {"hold": policies["hold"]}
    for logged in ("first", "second"):
        run(baseline, hold, **SMALL, workers=1, folder=tmp_path / "run", log_folder=tmp_path / logged)
        assert len(logs(tmp_path / logged, ["hold"])) == len(UNITS)


def test_a_log_folder_of_another_run_is_refused(
    baseline: Scenario, policies: dict[str, Policy], tmp_path: Path
) -> None:
    hold = {"hold": policies["hold"]}
    run(baseline, hold, **SMALL, workers=1, log_folder=tmp_path / "logs")
    with pytest.raises(RunError, match=r"/logs holds another run \(days: 8 there, 9 here\); choose another folder"):
        run(baseline, hold, **{**SMALL, "days": 9}, workers=1, folder=tmp_path / "run", log_folder=tmp_path / "logs")
    assert not (tmp_path / "run").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="/other exists and is no folder of a run"):
        run(baseline, hold, **SMALL, workers=1, log_folder=tmp_path / "other")


@pytest.mark.parametrize(("folder", "log_folder"), [("run", "run/logs"), ("logs/run", "logs"), ("both", "both")])
def test_blocks_and_logs_may_be_kept_inside_each_other(
    folder: str, log_folder: str, baseline: Scenario, policies: dict[str, Policy], tmp_path: Path
) -> None:
    hold, told = {"hold": policies["hold"]}, list[RunProgress]()
    for _ in range(2):
        told.clear()
        run(
            baseline, hold, **SMALL, workers=1, folder=tmp_path / folder, log_folder=tmp_path / log_folder,
            progress=told.append,
        )  # fmt: skip
    assert told[0].blocks == len(UNITS)


def test_without_a_folder_an_interrupted_run_says_what_is_lost(baseline: Scenario, policies: dict[str, Policy]) -> None:
    with pytest.raises(KeyboardInterrupt, match="2 of 6 blocks were finished and are lost; give a folder"):
        run(baseline, {"hold": policies["hold"]}, **SMALL, workers=1, progress=stop_after(2))


def test_seeds_may_be_added_to_a_run(
    baseline: Scenario, policies: dict[str, Policy], expected: list[BlockResult], tmp_path: Path
) -> None:
    run(baseline, policies, **{**SMALL, "seeds": (1,)}, workers=1, folder=tmp_path / "run")
    told: list[RunProgress] = []
    again = run(baseline, policies, **SMALL, workers=1, folder=tmp_path / "run", progress=told.append)
    assert told[0].blocks == 3
    assert_same(again, expected)


def test_the_order_of_policies_may_change(
    baseline: Scenario, policies: dict[str, Policy], expected: list[BlockResult], tmp_path: Path
) -> None:
    run(baseline, policies, **SMALL, workers=1, folder=tmp_path / "run")
    turned = dict(reversed(policies.items()))
    found = run(baseline, turned, **SMALL, workers=1, folder=tmp_path / "run")
    assert_same(found, expected[12:] + expected[6:12] + expected[:6])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"days": 9}, r"days: 8 there, 9 here"),
        ({"customers": 300}, r"customers: 250 there, 300 here"),
        ({"block_size": 50}, r"block_size: 100 there, 50 here"),
        ({"log_folder": Path("logs")}, r"logs: False there, True here"),
    ],
)
def test_a_folder_of_another_run_is_refused(
    changes: dict[str, Any], message: str, baseline: Scenario, policies: dict[str, Policy], tmp_path: Path
) -> None:
    hold = {"hold": policies["hold"]}
    run(baseline, hold, **SMALL, workers=1, folder=tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RunError, match=rf"holds another run \({message}\); choose another folder"):
        run(baseline, hold, **{**SMALL, **changes}, workers=1, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_another_world_or_policy_is_refused(baseline: Scenario, policies: dict[str, Policy], tmp_path: Path) -> None:
    run(baseline, {"hold": policies["hold"]}, **SMALL, workers=1, folder=tmp_path)
    value = baseline.world.fatigue.model_dump()
    name = next(key for key, held in value.items() if isinstance(held, float) and held > 0)
    other = baseline.changed({f"fatigue.{name}": value[name] * 1.01})
    with pytest.raises(RunError, match=rf"scenario\.world\.fatigue\.{name}"):
        run(other, {"hold": policies["hold"]}, **SMALL, workers=1, folder=tmp_path)
    with pytest.raises(RunError, match=r"policies\.hold: \w+… there, \w+… here"):
        run(baseline, {"hold": policies["random"]}, **SMALL, workers=1, folder=tmp_path)


def test_what_other_code_began_is_not_continued(
    baseline: Scenario, policies: dict[str, Policy], tmp_path: Path
) -> None:
    hold = {"hold": policies["hold"]}
    run(baseline, hold, **SMALL, workers=1, folder=tmp_path)
    spec = json.loads((tmp_path / "spec.json").read_text())
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "code": "0123456789abcdef"}))
    with pytest.raises(RunError, match=r"holds another run \(code: 0123456789ab… there, \w{12}… here\).*go back to"):
        run(baseline, hold, **SMALL, workers=1, folder=tmp_path)


def test_damaged_and_foreign_files_are_refused(baseline: Scenario, policies: dict[str, Policy], tmp_path: Path) -> None:
    hold = {"hold": policies["hold"]}
    run(baseline, hold, **SMALL, workers=1, folder=tmp_path / "run")
    first, second = (tmp_path / "run" / f"{unit.name}.npz" for unit in UNITS[:2])
    kept = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(RunError, match=r"seed-0-block-1.npz is a block of another run; delete it"):
        run(baseline, hold, **SMALL, workers=1, folder=tmp_path / "run")
    second.write_bytes(kept[:-100])
    with pytest.raises(RunError, match=r"seed-0-block-1.npz is damaged .* delete it, and the block is run again"):
        run(baseline, hold, **SMALL, workers=1, folder=tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is no folder of a run"):
        run(baseline, hold, **SMALL, workers=1, folder=tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, "seeds: .* at least one"),
        ({"seeds": (3, 3)}, "each once"),
        ({"seeds": (3, 2**32)}, r"seed = 4294967296: must be at least 0 and below 2\^32"),
        ({"seeds": (-1,)}, "seed = -1: must be at least 0"),
        ({"customers": 0}, "customers = 0"),
        ({"block_size": 0}, "block_size = 0"),
        ({"days": 0}, "0 days"),
        ({"workers": 0}, "0 workers"),
    ],
)
def test_nothing_to_run_is_refused(
    changes: dict[str, Any], message: str, baseline: Scenario, policies: dict[str, Policy]
) -> None:
    with pytest.raises(RunError, match=message):
        run(baseline, policies, **{**SMALL, **changes})


def test_a_policy_over_other_actions_is_refused(baseline: Scenario) -> None:
    from policies.actions import ActionSet

    stranger = RandomPolicy(ActionSet.of("hold", "fax"), ())
    with pytest.raises(RunError, match="policy 'fax only' is over 2 actions that are not the"):
        run(baseline, {"fax only": stranger}, **SMALL, workers=1)


@pytest.mark.parametrize("name", ["..", ".", "", "spec.json", "é" * 100])
def test_a_policy_whose_logs_could_not_be_kept_is_refused_before_anything_is_lived(
    name: str, baseline: Scenario, policies: dict[str, Policy], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"^policy '.*': cannot be the name of a folder of logs; give it a plain one"):
        run(baseline, {name: policies["hold"]}, **SMALL, workers=1, log_folder=tmp_path / "logs")
    assert not list(tmp_path.iterdir())


def test_names_that_only_need_quoting_are_kept_inside_the_folder(
    baseline: Scenario, policies: dict[str, Policy], tmp_path: Path
) -> None:
    run(baseline, {"../mine:Policy": policies["hold"]}, **SMALL, workers=1, log_folder=tmp_path / "logs")
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert len(logs(tmp_path / "logs", ["../mine:Policy"])) == len(UNITS)


def test_units_cover_every_customer_once() -> None:
    assert units_of([4], customers=250, block_size=100) == [Unit(4, 0, 100), Unit(4, 1, 100), Unit(4, 2, 50)]
    assert units_of([0, 1], customers=5, block_size=100) == [Unit(0, 0, 5), Unit(1, 0, 5)]


@pytest.mark.slow
def test_two_workers_give_what_one_gives_to_the_last_bit(
    baseline: Scenario, policies: dict[str, Policy], expected: list[BlockResult], tmp_path: Path
) -> None:
    import ray

    found = {}
    for workers in (1, 2):
        found[workers] = run(baseline, policies, **SMALL, workers=workers, log_folder=tmp_path / f"{workers}")
    assert not ray.is_initialized()
    assert_same(found[1], expected)
    assert_same(found[2], expected)
    assert_same(logs(tmp_path / "2", [*policies]), logs(tmp_path / "1", [*policies]))


@pytest.mark.slow
def test_interrupted_on_ray_shuts_ray_down_and_continues_with_one_worker(
    baseline: Scenario, policies: dict[str, Policy], expected: list[BlockResult], tmp_path: Path
) -> None:
    import ray

    with pytest.raises(KeyboardInterrupt, match="2 of 6 blocks are finished"):
        run(baseline, policies, **SMALL, workers=2, folder=tmp_path, progress=stop_after(2))
    assert not ray.is_initialized()
    told: list[RunProgress] = []
    assert_same(run(baseline, policies, **SMALL, workers=1, folder=tmp_path, progress=told.append), expected)
    assert told[0].blocks == 2
