"""`journey train`, `evaluate`, `replay` and `promote` on one store, as a researcher uses them."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.serving.policy_watcher import NoChampionError
from policies.actions import ActionSet
from policies.feedback import MONEY, LoggedFeedback
from policies.registry.store import CHAMPION, Store
from policies.vw.files import load_policy

Journey = Callable[..., Any]
Refused = Callable[..., str]
MakeLog = Callable[..., LoggedFeedback]


@pytest.fixture(scope="session")
def logs(two_kinds: MakeLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs on disk: `fits`, `other` columns, `skewed` logging, `money` with costs, `zero` rewards."""
    folder = tmp_path_factory.mktemp("logs")
    log = two_kinds(n=1_000, gap=0.6)
    log.save(folder / "fits")
    replace(log, columns=("kind", "hat_size")).save(folder / "other")
    replace(log, propensity=np.full(len(log), 0.5)).save(folder / "skewed")
    replace(log, reward=np.zeros(len(log))).save(folder / "zero")
    # Six actions, so that only the best fixed one is shown; the dearest has the best gross reward.
    random = np.random.default_rng(0)
    action = random.integers(0, 6, len(log))
    replace(
        log,
        actions=replace(ActionSet.of("hold", "b", "c", "d", "e", "f"), costs=(0.0, 0.1, 0.1, 0.1, 0.1, 9.0)),
        eligible=np.ones((len(log), 6), dtype=bool),
        action=action,
        propensity=np.full(len(log), 1 / 6),
        reward=action + random.normal(0, 0.1, len(log)),
        reward_name=MONEY,
    ).save(folder / "money")
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, configs: Path) -> tuple[str, Path]:
    monkeypatch.setenv("JOURNEY__TRAINING__LEARNING_RATES", "[0.1]")
    return "--config", configs / "hillstrom"


def test_train_evaluate_promote_and_roll_back(
    journey: Journey, logs: Path, quick: tuple[str, Path], tmp_path: Path
) -> None:
    store, log = tmp_path / "mlruns", logs / "fits"
    said = journey("train", "--log", log, *quick, "--store", store)
    assert said.code == 0, said
    for text in ("journey (greedy)", "fixed: a", "significantly better", "registered journey-policy/1 as champion"):
        assert text in said.out
    said = journey("train", "--log", log, *quick, "--store", store, "--reward", "clicks")
    assert "registered journey-policy/2 as challenger" in said.out
    assert load_policy(Store(store).version("journey-policy", 2).directory).reward_name == "clicks"

    out = tmp_path / "report"
    both = ("--policy", "champion", "--policy", "challenger")
    said = journey("evaluate", "--log", log, *both, "--store", store, "--out", out)
    assert said.code == 0, said
    table = pd.read_parquet(out / "league.parquet")
    assert {"champion", "challenger", "random", "fixed: a", "fixed: b", "fixed: c"} == set(table.policy)
    assert "<svg" in (out / "league.svg").read_text()
    assert "Evaluation on fits" in (out / "report.html").read_text()
    # Judged by number or directory, a policy is the same policy.
    directory = Store(store).version("journey-policy", 1).directory
    said = journey("evaluate", "--log", log, "--policy", "1", "--policy", directory, "--store", store)
    value = f"{table[(table.policy == 'champion') & (table.outcome == 'reward')].value.item():.4g}"
    assert f"1 earns {value} reward" in said.out
    assert f"{directory} earns {value} reward" in said.out

    # Nor are they judged on customers one of them learned from.
    for split in ("0", "0.7"):
        said = journey("evaluate", "--log", log, *both, "--store", store, "--split", split)
        assert said.code == 2
        assert f"champion learned from 0.5, challenger learned from 0.5, --split {split}" in said.err
    said = journey("evaluate", "--log", log, *both, "--store", store, "--split", "0.5")
    assert f"champion earns {value} reward" in said.out

    assert "journey-policy/2 is now champion" in journey("promote", "2", "--store", store).out
    assert Store(store).alias("journey-policy", CHAMPION).version == 2
    assert "journey-policy/1 is now champion" in journey("promote", "1", "--store", store).out
    assert Store(store).alias("journey-policy", CHAMPION).version == 1


def test_policies_of_different_splits_are_not_judged_together(
    journey: Journey, logs: Path, quick: tuple[str, Path], tmp_path: Path
) -> None:
    store, log = tmp_path / "mlruns", logs / "fits"
    for split in ("0.5", "0.7"):
        assert journey("train", "--log", log, *quick, "--store", store, "--split", split).code == 0
    policy = load_policy(Store(store).version("journey-policy", 2).directory)
    assert policy.progress.split == 0.7
    said = journey("evaluate", "--log", log, "--policy", "1", "--policy", "2", "--store", store)
    assert said.code == 2
    assert "1 learned from 0.5, 2 learned from 0.7" in said.err
    # Alone it is judged on the customers it did not learn from, as when it was trained.
    said = journey("evaluate", "--log", log, "--policy", "2", "--store", store)
    _, judge = LoggedFeedback.load(log).split(0.7)
    assert f"{len(judge):,} rounds of" in said.out


def test_training_needs_no_configuration(journey: Journey, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNEY_CONFIGS")
    said = journey("train", "--log", logs / "fits")
    assert said.code == 0, said
    assert "registered journey-policy/1 as champion" in said.out


def test_the_store_may_come_from_the_environment(
    journey: Journey, logs: Path, quick: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_STORE", str(tmp_path / "from environment"))
    assert journey("train", "--log", logs / "fits", *quick).code == 0
    assert Store(tmp_path / "from environment").alias("journey-policy", CHAMPION).version == 1
    assert list((tmp_path / "work").iterdir()) == []
    said = journey("evaluate", "--log", logs / "other")
    assert said.code == 2
    assert "expects 1 columns this log does not have (irrelevant)" in said.err
    # Money is judged net of costs, against the action that is best net of costs.
    money = tmp_path / "from environment"
    assert journey("train", "--log", logs / "money", *quick, "--name", "m").code == 0
    said = journey("evaluate", "--log", logs / "money", "--policy", "2", "--store", money)
    assert said.code == 0, said
    assert "Difference: to fixed: e," in said.out
    assert "net_money" in said.out


def test_replay_reports_each_seed_and_the_worst(journey: Journey, logs: Path) -> None:
    said = journey("replay", "--log", logs / "fits", "--seeds", 2)
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["seed 0", "seed 1"]
    means = [float(line.split()[3]) for line in lines[:2]]
    assert lines[2] == f"mean {np.mean(means):.4f}, lowest {min(means):.4f}"
    assert journey("replay", "--log", logs / "fits", "--seeds", 2).out == said.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--log", "nowhere"], "nowhere is not a feedback log"),
        (
            ["train", "--log", "{logs}/fits", "--reward", "click"],
            "unknown reward 'click'; this log has: reward, clicks",
        ),
        (["train", "--log", "{logs}/fits", "--split", "1.5"], "split share must be between 0 and 1, got 1.5"),
        (["train", "--log", "{logs}/fits", "--config", "nowhere"], "nowhere: no such directory"),
        (["train", "--log", "{logs}/zero"], "every reward in the log is zero"),
        (["train", "--log", "{logs}/fits", "--store", "{junk}"], "cannot be read as an MLflow store"),
        (["evaluate", "--log", "{logs}/fits"], "no policy 'champion' of 'journey-policy' in mlruns"),
        (["evaluate", "--log", "{logs}/fits", "--policy", "7"], "no policy '7'"),
        (["evaluate", "--log", "{logs}/fits", "--policy", "{logs}"], "is not a policy: policy.json is missing"),
        (["evaluate", "--log", "{logs}/fits", "--store", "{junk}"], "cannot be read as an MLflow store"),
        (["replay", "--log", "{logs}/skewed"], "uniform over the eligible actions"),
        (["replay", "--log", "{logs}/fits", "--reward", "spend"], "unknown reward 'spend'"),
        (["replay", "--log", "{logs}/fits", "--gamma-scale", "-1"], "gamma_scale must be at least 0"),
        (["promote", "3"], "journey-policy in mlruns has no version 3"),
        (["promote", "1", "--store", "{junk}"], "cannot be read as an MLflow store"),
    ],
)
def test_a_wrong_request_is_one_message_and_leaves_nothing(
    refused: Refused, logs: Path, configs: Path, tmp_path: Path, *, arguments: list[str], says: str
) -> None:
    junk = tmp_path / "junk"
    junk.mkdir()
    (junk / "mlflow.db").write_bytes(b"no database" * 500)
    given = [argument.format(logs=logs, junk=junk) for argument in arguments]
    if arguments[0] == "train" and "--config" not in arguments:
        given += ["--config", str(configs / "hillstrom")]
    assert says in refused(*given)


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["evaluate"],
        ["train", "--log", "x", "--split", "half"],
        ["replay", "--log", "x", "--seeds", "0"],
        ["promote", "latest"],
    ],
)
def test_a_command_that_makes_no_sense_shows_how_it_is_used(journey: Journey, arguments: list[str]) -> None:
    said = journey(*arguments)
    assert said.code == 2
    assert "Usage" in said.err
    assert "Traceback" not in said.err


def test_what_the_system_refuses_is_one_message_too(refused: Refused, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("in the way")
    source = data_dir / "obd"
    message = refused("import", "obd", source, "--campaign", "men", "--out", tmp_path / "a file" / "log")
    assert str(tmp_path / "a file") in message


def test_every_command_explains_itself_with_an_example(journey: Journey) -> None:
    said = journey("--help")
    assert said.code == 0
    for command in ("train", "evaluate", "replay", "promote", "serve", "ui", "demo"):
        assert command in said.out
        assert f"Example: journey {command}" in " ".join(journey(command, "--help").out.split())


def shelf(store: Path, **models: int) -> None:
    """A store as MLflow writes it, as far as names go: so many versions of each model, the last one champion."""
    store.mkdir()
    with closing(sqlite3.connect(store / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE registered_model_aliases (name, alias, version, workspace)")
        connection.execute("CREATE TABLE model_versions (name, version, source, current_stage, workspace)")
        for name, versions in models.items():
            connection.execute("INSERT INTO registered_model_aliases VALUES (?, 'champion', ?, '')", (name, versions))
            rows = [(name, number, str(store), "None", "") for number in range(1, versions + 1)]
            connection.executemany("INSERT INTO model_versions VALUES (?, ?, ?, ?, ?)", rows)


def test_promoting_what_another_model_has_says_which_models_there_are(refused: Refused, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shelf(store, demo=2)
    message = refused("promote", "2", "--store", store)
    assert "journey-policy in" in message
    assert "demo has a champion: --model demo" in message
    assert "in the same store" not in refused("promote", "3", "--model", "demo", "--store", store)


def test_serving_a_model_without_champion_says_which_other_model_has_one(
    journey: Journey, configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = tmp_path / "store", []
    monkeypatch.setattr("orchestrator.api.serve.serve", lambda settings, **_: asked.append(settings))
    serve = ("serve", "--dev", "--config", configs / "retail", "--store", store, "--port", str(free_port()))
    shelf(store, demo=2, mail=1)
    for model, hint in (("journey-policy", "demo, mail have a champion: --model demo"), ("demo", "")):
        assert journey(*serve, "--model", model).code == 0
        if not hint:
            assert asked[-1].champion() == ("demo/2", store)
            continue
        with pytest.raises(NoChampionError, match=f"no version of {model}") as missing:
            asked[-1].champion()
        assert hint in missing.value.hint
        assert "journey train" in missing.value.hint


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])
