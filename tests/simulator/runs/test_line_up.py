"""The policies of a comparison by name: found, made, or refused with what to do."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.decision.core import DecisionCore
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from policies.actions import ActionSet
from policies.errors import ContractError
from policies.exploration.explorers import Explorer
from policies.learning.baselines import BusinessRules, FixedPolicy, RandomPolicy
from policies.policy import Policy
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings
from simulator.errors import LineUpError
from simulator.runs.line_up import NAMES, line_up, load_line_up, save_line_up

RETAIL = load_retailer(Path(__file__).parents[3] / "configs" / "retail", environment={})
CORE = DecisionCore(RETAIL, ProfileSchema.from_retailer(RETAIL))
PROBE = np.random.default_rng(0).random((40, len(CORE.columns))).astype(np.float32)
MINE = """
import numpy as np


class Shy:
    name = "shy"

    def __init__(self, *, actions, columns):
        self.size = len(actions)
        assert len(columns) > 50

    def scores(self, features):
        return np.zeros((len(features), self.size), dtype=np.float32)

    def distribution(self, scores, eligible):
        p = np.zeros(scores.shape)
        p[np.arange(len(p)), eligible.argmax(axis=1)] = 1.0
        return p


class Loud(Shy):
    name = "loud"

    def distribution(self, scores, eligible):
        return np.full(scores.shape, 1.0 / self.size)


class Impostor(Shy):
    name = "hold"


class Nameless(Shy):
    name = None


class Old:
    def __init__(self, catalogue):
        pass
"""


def trained() -> dict[str, Policy]:
    settings = VWSettings(space=FeatureSpace.of_customer(CORE.columns))
    vw = VWPolicy(settings, CORE.actions)
    random = np.random.default_rng(0)
    vw.learn_rows(
        PROBE, eligible=np.full(40, 9), action=random.integers(9, size=40), propensity=np.full(40, 1 / 9),
        reward=random.standard_normal(40),
    )  # fmt: skip
    size = len(CORE.actions)
    values = random.standard_normal((27, size)).astype(np.float32)
    edges = np.sort(random.random((3, 2)), axis=1).astype(np.float32)
    return {
        "fixed": FixedPolicy(CORE.actions, CORE.columns, CORE.actions.ids[3], "net_money"),
        "business_rules": BusinessRules(CORE.actions, CORE.columns, (0, 1, 2), edges, values, "net_money"),
        "click_greedy": vw.with_explorer(Explorer(kind="greedy")),
        "myopic": vw.with_explorer(Explorer(gamma_scale=3.0)),
        "journey": vw,
    }


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user's on the path."""
    (tmp_path / "my_policies.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_policies"
    sys.modules.pop("my_policies", None)


def lined_up(*names: str, folder: Path = Path("nowhere")) -> dict[str, Policy]:
    return line_up(names, core=CORE, folder=folder, scenario="baseline")


def test_every_policy_saved_comes_back_and_decides_the_same(tmp_path: Path) -> None:
    saved = trained()
    save_line_up(saved, tmp_path / "policies" / "baseline")
    assert [path.name for path in (tmp_path / "policies").iterdir()] == ["baseline"]
    found = lined_up(*NAMES, folder=tmp_path / "policies" / "baseline")
    assert tuple(found) == NAMES
    eligible = np.ones((40, len(CORE.actions)), dtype=bool)
    for name, policy in saved.items():
        scores = policy.scores(PROBE)
        np.testing.assert_array_equal(found[name].scores(PROBE), scores, err_msg=name)
        np.testing.assert_array_equal(
            found[name].distribution(scores, eligible), policy.distribution(scores, eligible), err_msg=name
        )
        assert found[name].actions == CORE.actions


def test_hold_and_random_need_no_training() -> None:
    found = lined_up("random", "hold")
    assert list(found) == ["random", "hold"]
    eligible = np.random.default_rng(0).random((40, len(CORE.actions))) < 0.5
    eligible[:, 0] = True
    scores = np.zeros(eligible.shape, dtype=np.float32)
    assert (found["hold"].distribution(scores, eligible)[:, 0] == 1).all()
    np.testing.assert_allclose(
        found["random"].distribution(scores, eligible), eligible / eligible.sum(axis=1, keepdims=True), rtol=1e-12
    )


def test_a_line_up_replaces_an_older_one_and_nothing_else(tmp_path: Path) -> None:
    save_line_up(trained(), tmp_path / "baseline")
    save_line_up({"fixed": trained()["fixed"]}, tmp_path / "baseline")
    assert sorted(path.name for path in (tmp_path / "baseline").iterdir()) == ["fixed", "line_up.json"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(LineUpError, match="exists and holds no line-up"):
        save_line_up(trained(), tmp_path / "thesis")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["baseline", "thesis"]


@pytest.mark.parametrize(
    ("name", "policy", "message"),
    [
        ("../up", RandomPolicy(CORE.actions, CORE.columns), "must be a word"),
        ("mine", object(), "'mine' is a object, which cannot be saved"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_anything_is_written(
    name: str, policy: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LineUpError, match=message):
        save_line_up({**trained(), name: policy}, tmp_path / "baseline")
    assert not list(tmp_path.iterdir())


def test_missing_policies_say_what_to_run(tmp_path: Path) -> None:
    run = "run `journey train --scenario baseline` first"
    with pytest.raises(LineUpError, match=run):
        lined_up("hold", "journey", folder=tmp_path / "nothing")
    save_line_up({"fixed": trained()["fixed"]}, tmp_path / "baseline")
    with pytest.raises(LineUpError, match=f"'journey' is not in .*baseline; {run}"):
        load_line_up(tmp_path / "baseline", ["fixed", "journey"])
    with pytest.raises(LineUpError, match=r"unknown policy 'jurney'; did you mean 'journey'\?"):
        lined_up("jurney", folder=tmp_path / "nothing")


def test_damaged_policies_say_what_to_run(tmp_path: Path) -> None:
    folder = tmp_path / "baseline"
    save_line_up(trained(), folder)
    run = "run `journey train --scenario baseline` first"
    (folder / "fixed" / "policy.json").write_text("{}")
    with pytest.raises(LineUpError, match=f"fixed is no policy, or damaged .*; {run}"):
        load_line_up(folder, ["fixed"])
    (folder / "journey" / "model.vw").write_bytes(b"")
    with pytest.raises(LineUpError, match=f"model.vw is damaged.*; {run}"):
        load_line_up(folder, ["journey"])
    (folder / "line_up.json").write_text("[]")
    with pytest.raises(LineUpError, match=f"line_up.json is damaged.*; {run}"):
        load_line_up(folder, ["myopic"])


def test_policies_of_another_catalogue_are_bound_or_refused(tmp_path: Path) -> None:
    fewer = ActionSet(CORE.actions.ids[:5], CORE.actions.features[:5], CORE.actions.pairs[:5], CORE.actions.costs[:5])
    vw, fixed = trained()["journey"], FixedPolicy(fewer, CORE.columns, fewer.ids[1])
    assert isinstance(vw, VWPolicy)
    save_line_up({"journey": vw.with_actions(fewer), "fixed": fixed}, tmp_path / "baseline")
    assert lined_up("journey", folder=tmp_path / "baseline")["journey"].actions == CORE.actions
    with pytest.raises(LineUpError, match=r"'fixed' was fitted for another catalogue \(5 actions, now"):
        lined_up("fixed", folder=tmp_path / "baseline")


def test_baselines_get_the_costs_of_today(tmp_path: Path) -> None:
    dear = replace(CORE.actions, costs=tuple(cost + 1.0 for cost in CORE.actions.costs))
    save_line_up({"fixed": FixedPolicy(dear, CORE.columns, dear.ids[2])}, tmp_path / "baseline")
    assert lined_up("fixed", folder=tmp_path / "baseline")["fixed"].actions == CORE.actions


def test_a_users_policy_takes_part_under_its_own_name(mine: str) -> None:
    found = lined_up("hold", f"{mine}:Shy")
    assert list(found) == ["hold", "shy"]
    assert found["shy"].columns == CORE.columns
    assert found["shy"].reward_name == "reward"


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["{}:Shi"], LineUpError, r"my_policies has no class 'Shi'; did you mean 'Shy'\?"),
        (["{}:Old"], LineUpError, r"Old\(actions=ActionSet, columns=tuple\[str, ...\]\) failed"),
        (["{}:Nameless"], LineUpError, "Nameless needs a `name`"),
        (["{}:Impostor"], LineUpError, "'hold' is the name of a policy of ours"),
        (["{}:Shy", "{}:Shy"], LineUpError, "'shy' is given twice"),
        (["hold", "hold"], LineUpError, "'hold' is given twice"),
        (["my_policy:Shy"], LineUpError, "cannot import 'my_policy'"),
        (["{}:Loud"], ContractError, "policy 'loud': distribution.* not eligible"),
        ([], LineUpError, "no policies: give some of hold, random"),
    ],
)
def test_what_cannot_take_part_is_refused(names: list[str], error: type, message: str, mine: str) -> None:
    with pytest.raises(error, match=message):
        lined_up(*(name.format(mine) for name in names))


def test_policies_are_files_without_code(tmp_path: Path) -> None:
    save_line_up(trained(), tmp_path / "baseline")
    for name in ("fixed", "business_rules"):
        folder = tmp_path / "baseline" / name
        assert sorted(path.name for path in folder.iterdir()) == ["SHA256", "policy.json"]
        digest = hashlib.sha256((folder / "policy.json").read_bytes()).hexdigest()
        assert (folder / "SHA256").read_text().split()[0] == digest
        assert json.loads((folder / "policy.json").read_text())["kind"] == name


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", r"importing 'my_broken_policies' failed \(ZeroDivisionError: division by zero\)"),
        ("class Mine: pass\ndef", r"importing 'my_broken_policies' failed \(SyntaxError: "),
        (
            "class Mine:\n    def __init__(self, *, actions, columns):\n        raise ValueError('no weights')",
            r"failed \(ValueError: no weights\); mend its __init__",
        ),
    ],
)
def test_whatever_a_users_module_raises_is_told(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_broken_policies.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_broken_policies", raising=False)
    with pytest.raises(LineUpError, match=message):
        lined_up("my_broken_policies:Mine")
    sys.modules.pop("my_broken_policies", None)
