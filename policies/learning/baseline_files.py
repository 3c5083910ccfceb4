"""Baselines as directories of one JSON file under its checksum, beside learned policies (`policies.vw.files`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from policies.actions import ActionSet
from policies.errors import PolicyError, PolicyFormatError
from policies.learning.baselines import BusinessRules, FixedPolicy, RandomPolicy
from policies.policy_directory import POLICY, new_directory, read_content, write_content

Baseline = RandomPolicy | FixedPolicy | BusinessRules
KINDS = ("random", "fixed", "business_rules")


def save_baseline(policy: Baseline, directory: Path) -> None:
    """Write a baseline to `directory`, which must not exist yet or be empty.

    Raises:
        PolicyFormatError: the directory has content.
    """
    kind, own = _own_content(policy)
    content = {
        "actions": policy.actions.to_json(),
        "columns": list(policy.columns),
        "reward_name": policy.reward_name,
        **own,
    }
    with new_directory(directory) as staging:
        write_content(staging, content, kind=kind)


def load_baseline(directory: Path) -> Baseline:
    """Read and verify a baseline.

    Raises:
        PolicyFormatError: a file is missing, damaged, of another format, or inconsistent.
    """
    content = read_content(directory, kinds=KINDS)
    try:
        return _built(content)
    except (KeyError, TypeError, ValueError, PolicyError) as error:
        raise PolicyFormatError(f"{directory / POLICY}: incomplete or inconsistent ({error}): train again") from error


def _own_content(policy: Baseline) -> tuple[str, dict[str, Any]]:
    if isinstance(policy, RandomPolicy):
        return "random", {"hold": policy.hold}
    if isinstance(policy, FixedPolicy):
        return "fixed", {"action": policy.action_id}
    # A float32 is a number JSON can hold exactly, so rules read back decide the same to the last bit.
    rules = {"used": list(policy.used), "edges": policy.edges.tolist(), "values": policy.values.tolist()}
    return "business_rules", rules


def _built(content: dict[str, Any]) -> Baseline:
    actions, columns = ActionSet.from_json(content["actions"]), tuple(content["columns"])
    reward_name: str = content["reward_name"]
    if content["kind"] == "random":
        return RandomPolicy(actions, columns, reward_name, hold=float(content["hold"]))
    if content["kind"] == "fixed":
        return FixedPolicy(actions, columns, content["action"], reward_name)
    recency, frequency, monetary = map(int, content["used"])
    if not all(0 <= position < len(columns) for position in (recency, frequency, monetary)):
        raise ValueError(f"used names columns {content['used']} of {len(columns)}")
    return BusinessRules(
        actions,
        columns,
        (recency, frequency, monetary),
        edges=np.array(content["edges"], dtype=np.float32).reshape(3, 2),
        values=np.array(content["values"], dtype=np.float32).reshape(27, len(actions)),
        reward_name=reward_name,
    )
