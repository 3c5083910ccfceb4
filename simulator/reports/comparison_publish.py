"""Put a comparison into the MLflow store: one run with a number per policy and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from policies.registry.store import Store
from policies.registry.tracking import RunContent, Tracker
from simulator.comparison.comparison import Comparison
from simulator.reports.comparison_text import comparison_text


def publish_comparison(
    comparison: Comparison, *, html: str, spec: Mapping[str, Any], scenario: str, digest: str, store: Store
) -> str:
    """Log one run `compare SCENARIO` with the date, so that runs can be told apart.

    Args:
        comparison: to be logged.
        html: its report.
        spec: plain JSON, enough to repeat the runs.
        scenario: name.
        digest: checksum of the scenario.
        store: MLflow store, created if needed.

    Returns:
        The id of the run.
    """
    tracker = Tracker(store)
    content = RunContent(
        name=f"compare {scenario} {datetime.now(UTC):%Y-%m-%d %H:%M}",
        description=f"{comparison.verdict}\n\n{comparison.simultaneous_verdict}",
        parameters={
            "scenario": scenario,
            "policies": ",".join(comparison.policies),
            "reference": comparison.reference,
            "seeds": ",".join(map(str, comparison.seeds)),
            "units": str(comparison.units),
            "days": str(comparison.days),
            "customers": str(comparison.customers),
        },
        metrics=_metrics(comparison),
        tags={"kind": "comparison", "scenario": scenario, "reference": comparison.reference},
        dataset=f"scenario {scenario}",
        dataset_digest=digest[:16],
        dataset_source=f"simulated: scenario {scenario}",
    )
    with tracker.run(content) as folder:
        (folder / "report.html").write_text(html)
        (folder / "comparison.txt").write_text(comparison_text(comparison))
        (folder / "spec.json").write_text(json.dumps(spec, indent=1) + "\n")
        comparison.write_parquet(folder / "comparison.parquet")
    return tracker.run_id


def _metrics(comparison: Comparison) -> list[tuple[str, float, int]]:
    found: dict[str, float] = {}
    for standing in comparison.standings:
        policy = _metric_name(standing.policy)
        found[f"margin/{policy}"] = standing.margin.value
        found[f"unsubscribes per 1000/{policy}"] = standing.unsubscribes.value
        found[f"retention/{policy}"] = standing.retention
        found[f"contact cost/{policy}"] = standing.contact_cost
        if standing.difference is not None:
            found[f"difference/{policy}"] = standing.difference.value
            found[f"difference lower/{policy}"] = standing.difference.lower
            found[f"difference upper/{policy}"] = standing.difference.upper
    return [(name, value, 0) for name, value in found.items() if isfinite(value)]


def _metric_name(policy: str) -> str:
    """MLflow allows letters, digits and a few signs."""
    return "".join(c for c in policy if c.isalnum() or c in "_-. ")
