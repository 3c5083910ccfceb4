"""A policy directory: whole, verified, or refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vowpal_wabbit_next import Workspace

from policies.actions import ActionSet
from policies.errors import PolicyFormatError
from policies.exploration.explorers import Explorer
from policies.vw.feature_space import FeatureSpace
from policies.vw.files import load_policy, save_policy
from policies.vw.policy import VWPolicy, VWSettings

COLUMNS = ("a", "b")
PROBE = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)


def make_policy(*, seed: int = 0, columns: tuple[str, ...] = COLUMNS, rows: int = 200) -> VWPolicy:
    random = np.random.default_rng(seed)
    settings = VWSettings(
        space=FeatureSpace.of_customer(columns), explorer=Explorer(kind="softmax", temperature=0.2), reward_scale=5.0
    )
    policy = VWPolicy(settings, ActionSet.of("hold", "mail"))
    policy.learn_rows(
        random.standard_normal((rows, 2)).astype(np.float32),
        eligible=np.full(rows, 2),
        action=random.integers(2, size=rows),
        propensity=np.full(rows, 0.5),
        reward=random.standard_normal(rows),
    )
    return policy


def reseal(folder: Path, **changes: Any) -> None:
    """Change policy.json and make every checksum right again."""
    content = json.loads((folder / "policy.json").read_text())
    content["sha256"]["model.vw"] = hashlib.sha256((folder / "model.vw").read_bytes()).hexdigest()
    content = {k: v for k, v in (content | changes).items() if v is not None}
    (folder / "policy.json").write_text(json.dumps(content))
    digest = hashlib.sha256((folder / "policy.json").read_bytes()).hexdigest()
    (folder / "SHA256").write_text(f"{digest}  policy.json\n")


def test_a_policy_survives_its_directory(tmp_path: Path) -> None:
    policy = make_policy()
    save_policy(policy, tmp_path / "models" / "one")
    loaded = load_policy(tmp_path / "models" / "one")
    assert loaded.settings == policy.settings
    assert loaded.actions == policy.actions
    assert loaded.progress == policy.progress
    np.testing.assert_array_equal(loaded.scores(PROBE), policy.scores(PROBE))
    assert sorted(f.name for f in (tmp_path / "models" / "one").iterdir()) == ["SHA256", "model.vw", "policy.json"]
    assert [f.name for f in (tmp_path / "models").iterdir()] == ["one"]


def test_a_policy_saved_before_exploration_could_hold_still_loads(tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    settings = json.loads((tmp_path / "policy" / "policy.json").read_text())["settings"]
    assert settings["explorer"].pop("hold") == 0
    reseal(tmp_path / "policy", settings=settings)
    assert load_policy(tmp_path / "policy").settings == make_policy().settings


@pytest.mark.parametrize("name", ["policy.json", "model.vw", "SHA256"])
@pytest.mark.parametrize("position", [0.0, 0.5, 0.9])
def test_one_changed_byte_is_refused(name: str, position: float, tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    file = tmp_path / "policy" / name
    data = bytearray(file.read_bytes())
    # The file name that follows the checksum in SHA256 is a comment.
    data[int(position * (64 if name == "SHA256" else len(data)))] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(PolicyFormatError, match="is damaged"):
        load_policy(tmp_path / "policy")


@pytest.mark.parametrize("name", ["policy.json", "model.vw", "SHA256"])
@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_missing_and_cut_files_are_refused(name: str, how: str, tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    file = tmp_path / "policy" / name
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 0 if how == "empty" else 40])
    with pytest.raises(PolicyFormatError, match=f"{name} is missing" if how == "missing" else "damaged"):
        load_policy(tmp_path / "policy")


def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFormatError, match=r"is not a policy: policy.json is missing; train one"):
        load_policy(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2 of kind 'vw'"),
        ({"kind": "torch"}, "kind 'torch'"),
        ({"format": None}, "format None"),
        ({"settings": None}, "incomplete or inconsistent"),
        ({"settings": {}}, "incomplete or inconsistent"),
        ({"actions": []}, "incomplete or inconsistent"),
        ({"progress": {"decisions": 1, "left": 2}}, "incomplete or inconsistent"),
    ],
)
def test_unknown_formats_and_missing_parts_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    reseal(tmp_path / "policy", **changes)
    with pytest.raises(PolicyFormatError, match=message):
        load_policy(tmp_path / "policy")


def test_explorer_settings_out_of_range_are_refused(tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    content = json.loads((tmp_path / "policy" / "policy.json").read_text())["settings"]
    content["explorer"]["epsilon"] = 7
    reseal(tmp_path / "policy", settings=content)
    with pytest.raises(PolicyFormatError, match="epsilon must be between 0 and 1"):
        load_policy(tmp_path / "policy")


def test_a_model_of_another_command_line_fails_parity(tmp_path: Path) -> None:
    """Right checksums, wrong model: learned with the customer's own terms, which policy.json leaves out."""
    policy = make_policy()
    save_policy(policy, tmp_path / "policy")
    other = VWSettings(space=FeatureSpace.of_customer(COLUMNS, ignore_linear=""))
    stranger = VWPolicy(other, policy.actions)
    stranger.learn_rows(
        np.ones((50, 2), np.float32), eligible=np.full(50, 2), action=np.arange(50) % 2,
        propensity=np.full(50, 0.5), reward=np.ones(50),
    )  # fmt: skip
    (tmp_path / "policy" / "model.vw").write_bytes(stranger.model)
    reseal(tmp_path / "policy")
    with pytest.raises(PolicyFormatError, match="compiled scores differ from Vowpal Wabbit's"):
        load_policy(tmp_path / "policy")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "no contextual bandit"),
        (["--cb", "2"], "no contextual bandit"),
        (["--cb_adf", "-b", "10"], "has 1024 weights, the policy's -b 18"),
        (["--cb_explore_adf"], "compiled scores differ"),
    ],
)
def test_a_model_of_another_kind_is_refused(args: list[str], message: str, tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    (tmp_path / "policy" / "model.vw").write_bytes(Workspace(["--quiet", *args]).serialize())
    reseal(tmp_path / "policy")
    with pytest.raises(PolicyFormatError, match=message):
        load_policy(tmp_path / "policy")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    (tmp_path / "policy" / "model.vw").write_bytes(b"not a model at all")
    reseal(tmp_path / "policy")
    with pytest.raises(PolicyFormatError, match="Vowpal Wabbit refuses"):
        load_policy(tmp_path / "policy")


def test_a_policy_is_never_saved_over_another(tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    with pytest.raises(PolicyFormatError, match="is not empty"):
        save_policy(make_policy(seed=1), tmp_path / "policy")
    assert load_policy(tmp_path / "policy").progress.decisions == 200


def test_interrupted_saving_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_policy(make_policy(), tmp_path / "policy")
    assert not list(tmp_path.iterdir())


def test_a_checksum_that_is_no_text_is_refused(tmp_path: Path) -> None:
    save_policy(make_policy(), tmp_path / "policy")
    (tmp_path / "policy" / "SHA256").write_bytes(bytes(range(128, 256)))
    with pytest.raises(PolicyFormatError, match="is damaged"):
        load_policy(tmp_path / "policy")
