"""Baselines survive their directories, or are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.actions import ActionSet
from policies.errors import PolicyFormatError
from policies.feedback import LoggedFeedback
from policies.learning.baseline_files import Baseline, load_baseline, save_baseline
from policies.learning.baselines import BusinessRules, FixedPolicy, RandomPolicy, best_fixed

ACTIONS = ActionSet(ids=("hold", "mail"), features=((), ()), pairs=((), ()), costs=(0.0, 0.07))
COLUMNS = ("recency.purchase", "frequency", "spend")
PROBE = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)


def rules() -> BusinessRules:
    random = np.random.default_rng(1)
    n = 900
    log = LoggedFeedback(
        columns=COLUMNS,
        features=random.standard_normal((n, 3)).astype(np.float32),
        actions=ACTIONS,
        eligible=np.ones((n, 2), dtype=bool),
        action=np.zeros(n, dtype=np.int64),  # so that the other one was never seen
        propensity=np.full(n, 0.5),
        reward=random.random(n),
        customer=np.array([f"c{i}" for i in range(n)], dtype=object),
        reward_name="money",
    )
    return BusinessRules.fit(log)


MAKERS: dict[str, Callable[[], Baseline]] = {
    "random": lambda: RandomPolicy(ACTIONS, COLUMNS, hold=0.3),
    "fixed": lambda: FixedPolicy(ACTIONS, COLUMNS, "mail", "money"),
    "business rules": rules,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_baseline_read_back_decides_the_same_to_the_last_bit(kind: str, tmp_path: Path) -> None:
    policy = MAKERS[kind]()
    save_baseline(policy, tmp_path / "folder" / "policy")
    loaded = load_baseline(tmp_path / "folder" / "policy")
    assert type(loaded) is type(policy)
    for name in ("name", "actions", "columns", "reward_name"):
        assert getattr(loaded, name) == getattr(policy, name)
    scores = policy.scores(PROBE)
    assert loaded.scores(PROBE).dtype == np.float32
    np.testing.assert_array_equal(loaded.scores(PROBE), scores)
    eligible = np.ones(scores.shape, dtype=bool)
    np.testing.assert_array_equal(loaded.distribution(scores, eligible), policy.distribution(scores, eligible))


def test_the_best_fixed_action_of_a_log_survives(two_kinds: Callable[..., LoggedFeedback], tmp_path: Path) -> None:
    policy = best_fixed(two_kinds(n=500))
    save_baseline(policy, tmp_path / "fixed")
    assert load_baseline(tmp_path / "fixed") == policy


def changed(folder: Path, **changes: Any) -> Path:
    """The directory with other content under right checksums."""
    content = {**json.loads((folder / "policy.json").read_text()), **changes}
    (folder / "policy.json").write_text(json.dumps(content))
    (folder / "SHA256").write_text(hashlib.sha256((folder / "policy.json").read_bytes()).hexdigest())
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "vw"}, "kind 'vw'"),
        ({"format": 9}, "format 9"),
        ({"used": [0, 1, 7]}, "incomplete or inconsistent"),
        ({"values": [[0.0, 1.0]]}, "incomplete or inconsistent"),
        ({"edges": None}, "incomplete or inconsistent"),
        ({"actions": {}}, "incomplete or inconsistent"),
    ],
)
def test_other_content_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_baseline(rules(), tmp_path / "rules")
    with pytest.raises(PolicyFormatError, match=message):
        load_baseline(changed(tmp_path / "rules", **changes))


def test_a_fixed_action_nobody_has_is_refused(tmp_path: Path) -> None:
    save_baseline(MAKERS["fixed"](), tmp_path / "fixed")
    with pytest.raises(PolicyFormatError, match="unknown action 'fax'"):
        load_baseline(changed(tmp_path / "fixed", action="fax"))


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    save_baseline(rules(), tmp_path / "rules")
    file = tmp_path / "rules" / "policy.json"
    file.write_text(file.read_text().replace("spend", "spent"))
    with pytest.raises(PolicyFormatError, match="is damaged"):
        load_baseline(tmp_path / "rules")


def test_a_baseline_is_never_saved_over_another(tmp_path: Path) -> None:
    save_baseline(rules(), tmp_path / "rules")
    with pytest.raises(PolicyFormatError, match="is not empty"):
        save_baseline(rules(), tmp_path / "rules")
