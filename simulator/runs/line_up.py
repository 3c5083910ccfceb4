"""The policies of a comparison, by name: our own, learned or fitted by a training, and anybody's."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.decision.core import DecisionCore
from orchestrator.errors import suggestion
from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from policies.errors import PolicyFormatError
from policies.learning.baseline_files import KINDS, load_baseline, save_baseline
from policies.learning.baselines import BusinessRules, FixedPolicy, RandomPolicy
from policies.policy import Policy
from policies.policy_check import check_policy
from policies.policy_directory import POLICY
from policies.vw.files import load_policy, save_policy
from policies.vw.policy import VWPolicy
from policies.whole_files import put_in_place
from simulator.errors import LineUpError

UNTRAINED = ("hold", "random")
TRAINED = ("fixed", "business_rules", "click_greedy", "myopic", "journey")
NAMES = (*UNTRAINED, *TRAINED)
INDEX = "line_up.json"
FORMAT = 1
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class UserPolicy:
    """A user's own policy, with what it need not know of: its catalogue and columns.

    Attributes:
        policy: has `name`, `scores` and `distribution`.
        actions: the A actions it was made for.
        columns: the F feature columns it was made for.
    """

    policy: Any
    actions: ActionSet
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its own name."""
        return str(self.policy.name)

    @property
    def reward_name(self) -> str:
        """Its own, or `reward`; only `money` has the costs of actions subtracted."""
        return str(getattr(self.policy, "reward_name", "reward"))

    def scores(self, features: Float32Array) -> Float32Array:
        """Its own scores, (n, A)."""
        scores: Float32Array = self.policy.scores(features)
        return scores

    def distribution(self, scores: FloatArray, eligible: BoolArray) -> Float64Array:
        """Its own distribution, (n, A)."""
        p: Float64Array = self.policy.distribution(scores, eligible)
        return p


def line_up(names: Sequence[str], *, core: DecisionCore, folder: Path, scenario: str) -> dict[str, Policy]:
    """The policies of a comparison, in the order of their names.

    Args:
        names: of `NAMES`, of what else the folder holds, or `module:Class` for a policy of one's own, constructed as
            `Class(actions=ActionSet, columns=tuple[str, ...])` and named by its `name`.
        core: whose catalogue and columns they decide with.
        folder: written by `save_line_up`; needed for trained policies only.
        scenario: which one to train for, if they are missing.

    Raises:
        LineUpError: a name is unknown or given twice, or its policy is missing or does not fit.
        ContractError: a user's policy does not behave as a policy must.
    """
    if not names:
        raise LineUpError(f"no policies: give some of {', '.join(NAMES)}, or module:Class")
    trained = load_line_up(folder, [n for n in names if n not in UNTRAINED and ":" not in n], scenario=scenario)
    found: dict[str, Policy] = {}
    for given in names:
        policy = _policy(given, trained, core)
        name = policy.name if ":" in given else given
        if name in found or (":" in given and name in NAMES):
            taken = "is given twice" if name in found else "is the name of a policy of ours"
            raise LineUpError(f"policies: {name!r} {taken}; every policy needs a name of its own")
        found[name] = policy
    return found


def save_line_up(policies: Mapping[str, Policy], folder: Path) -> None:
    """Write trained policies and fitted baselines, one directory each, in the place of an older line-up.

    Args:
        policies: by name; a name is a word of lower-case letters, digits and underscores.
        folder: made, or replaced as a whole.

    Raises:
        LineUpError: a name or a kind of policy cannot be saved, or the folder is something else.
    """
    for name, policy in policies.items():
        if not _NAME.fullmatch(name):
            raise LineUpError(f"policy {name!r}: the name must be a word of lower-case letters, digits and underscores")
        if not isinstance(policy, (VWPolicy, RandomPolicy, FixedPolicy, BusinessRules)):
            raise LineUpError(f"policy {name!r} is a {type(policy).__name__}, which cannot be saved; leave it out")
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, policy in policies.items():
            if isinstance(policy, VWPolicy):
                save_policy(policy, staging / name)
            elif isinstance(policy, (RandomPolicy, FixedPolicy, BusinessRules)):
                save_baseline(policy, staging / name)
        (staging / INDEX).write_text(json.dumps({"format": FORMAT, "policies": list(policies)}, indent=1) + "\n")
        staging.chmod(0o755)
        put_in_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load_line_up(folder: Path, names: Sequence[str], *, scenario: str = "") -> dict[str, Policy]:
    """Read policies written by `save_line_up`.

    Args:
        folder: of the line-up.
        names: which ones.
        scenario: to train for where they are missing; the folder's name if not given.

    Raises:
        LineUpError: there is no such policy there, or it is damaged; says what to run.
    """
    if not names:
        return {}
    run = f"run `journey train --scenario {scenario or folder.name}` first"
    there = _saved(folder, run) if (folder / INDEX).is_file() else []
    for name in names:
        if name not in there and name not in NAMES:
            known = dict.fromkeys([*NAMES, *there, "module:Class"])
            raise LineUpError(f"unknown policy {name!r}; {suggestion(name, known)}; to have trained ones, {run}")
        if name not in there:
            raise LineUpError(f"policy {name!r} is not in {folder}; {run}")
    return {name: _load(folder / name, run) for name in names}


def _policy(name: str, trained: Mapping[str, Policy], core: DecisionCore) -> Policy:
    if name == "hold":
        return FixedPolicy(core.actions, core.columns, core.actions.ids[0])
    if name == "random":
        return RandomPolicy(core.actions, core.columns)
    if ":" in name:
        return _user_policy(name, core)
    policy = trained[name]
    core.check(policy)
    if isinstance(policy, VWPolicy):
        return core.bind(policy)
    if policy.actions.ids != core.actions.ids:
        raise LineUpError(
            f"policy {name!r} was fitted for another catalogue ({len(policy.actions)} actions, now "
            f"{len(core.actions)}); train again"
        )
    if isinstance(policy, (RandomPolicy, FixedPolicy, BusinessRules)):
        return replace(policy, actions=core.actions)  # today's costs
    return policy


def _user_policy(given: str, core: DecisionCore) -> Policy:
    module_name, _, class_name = given.partition(":")
    if not module_name or not class_name:
        raise LineUpError(f"policy {given!r}: give a module and a class, as in my_policies:Careful")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise LineUpError(
            f"policy {given!r}: cannot import {module_name!r} ({error}); run where the module is, or set PYTHONPATH"
        ) from error
    except Exception as error:  # a user's code may raise anything
        raise LineUpError(
            f"policy {given!r}: importing {module_name!r} failed ({type(error).__name__}: {error}); see "
            f"`python -c 'import {module_name}'`"
        ) from error
    made = getattr(module, class_name, None)
    if not callable(made):
        known = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise LineUpError(
            f"policy {given!r}: {module_name} has no class {class_name!r}; {suggestion(class_name, known)}"
        )
    try:
        policy = made(actions=core.actions, columns=core.columns)
    except Exception as error:  # a user's code may raise anything
        raise LineUpError(
            f"policy {given!r}: {class_name}(actions=ActionSet, columns=tuple[str, ...]) failed "
            f"({type(error).__name__}: {error}); mend its __init__"
        ) from error
    if not all(hasattr(policy, name) for name in ("actions", "columns", "reward_name")):
        policy = UserPolicy(policy, core.actions, core.columns)
    if not isinstance(getattr(getattr(policy, "policy", policy), "name", None), str):
        raise LineUpError(f"policy {given!r}: {class_name} needs a `name`, a short text shown in tables")
    check_policy(policy)
    found: Policy = policy
    return found


def _saved(folder: Path, run: str) -> list[str]:
    path = folder / INDEX
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
        return [str(name) for name in content["policies"]]
    except (ValueError, KeyError, TypeError) as error:
        raise LineUpError(f"{path} is damaged or of another version ({error}); {run}") from error


def _load(directory: Path, run: str) -> Policy:
    try:
        kind = json.loads((directory / POLICY).read_bytes()).get("kind")
        return load_baseline(directory) if kind in KINDS else load_policy(directory)
    except (PolicyFormatError, ValueError, AttributeError, OSError) as error:
        raise LineUpError(f"{directory} is no policy, or damaged ({error}); {run}") from error


def check_replaceable(folder: Path) -> None:
    """That `save_line_up` may write there.

    Raises:
        LineUpError: the folder is something else.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / INDEX).is_file())):
        raise LineUpError(f"{folder} exists and holds no line-up; choose an empty folder")
