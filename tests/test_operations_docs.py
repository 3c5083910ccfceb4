"""docs/operations.md explains every metric, setting and alarm there is."""

from __future__ import annotations

import re
import time
from pathlib import Path

import yaml
from prometheus_client import Metric

from orchestrator.config import Operations
from orchestrator.experiments.lift_watcher import GroupLift, MeasuredLift
from orchestrator.serving.policy_watcher import ServedPolicy
from orchestrator.serving.queue import QueueState
from orchestrator.serving.telemetry.metrics import Metrics
from policies.actions import ActionSet
from policies.learning.baselines import RandomPolicy

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "operations.md").read_text(encoding="utf-8")
RULES = [rule for group in yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


def collected() -> list[Metric]:
    """What a service tells that has everything to tell."""
    metrics = Metrics(actions=["hold", "a"], reasons=["", "not_live"], clock=time.time)
    metrics.answered(route="/v1/decisions", method="POST", status=200, seconds=0.01)
    metrics.refused("overloaded")
    metrics.queue = lambda: QueueState(1, 2, 3, 4, 0.5)
    policy = RandomPolicy(actions=ActionSet.of("hold", "a"), columns=("x",))
    metrics.policy = lambda: ServedPolicy(policy, "1", 0.0)
    metrics.looked_at_registry = lambda: 0.0
    metrics.measured(MeasuredLift("control", (GroupLift("policy", 3, 1.0, 0.0, 2.0),)))
    return list(metrics.collect())


def families() -> dict[str, tuple[set[str], set[str]]]:
    """Names of samples and of labels, by family."""
    return {
        family.name: (
            {sample.name for sample in family.samples},
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in collected()
    }


def rows(heading: str) -> list[list[str]]:
    """Cells of the table under a heading."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def test_every_metric_is_explained_with_its_labels() -> None:
    explained = {name: set(names(row[1])) for row in rows("Metrics") for name in names(row[0])}
    assert explained == {name: labels for name, (_, labels) in families().items()}


def test_every_setting_is_explained_with_its_default() -> None:
    explained = {names(row[0])[0]: row[1] for row in rows("Settings")}
    defaults = {name: field.default for name, field in Operations.model_fields.items()}
    assert explained == {
        name: f"{value:g}" if isinstance(value, float) else str(value).lower() or "empty"
        for name, value in defaults.items()
    }


def test_every_alarm_is_explained() -> None:
    told = re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)
    assert told == [rule["alert"] for rule in RULES]
    assert all({"expr", "for", "labels", "annotations"} <= rule.keys() for rule in RULES)
