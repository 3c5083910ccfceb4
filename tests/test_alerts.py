"""docs/alerts.yaml is read as Prometheus reads it, and asks only for what the service tells, in the way it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser as promql
import pytest

from tests.test_operations_docs import RULES, collected

OF_PROMETHEUS = {"job", "instance"}
RATES = {"rate", "increase", "irate"}


def told() -> Mapping[str, tuple[str, Mapping[str, set[str]]]]:
    """By sample: the type of its family, and the values of its labels."""
    found: dict[str, tuple[str, dict[str, set[str]]]] = {"up": ("gauge", {})}
    for family in collected():
        for sample in family.samples:
            labels = found.setdefault(sample.name, (family.type, {}))[1]
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


TOLD = told()


def below(node: Any) -> Iterator[Any]:
    """A node and all under it."""
    seen: list[Any] = []
    promql.walk(node, pre_visit=seen.append)
    for each in seen:
        yield each
        if isinstance(each, promql.MatrixSelector):
            yield each.vector_selector


def selectors(node: Any) -> list[Any]:
    """What it asks for."""
    return [each for each in below(node) if isinstance(each, promql.VectorSelector)]


def is_counter(name: str) -> bool:
    """Whether it only grows, until the process ends."""
    return TOLD[name][0] in {"counter", "histogram"}


def faults(text: str) -> Iterator[str]:
    """What is wrong with an expression."""
    try:
        whole = promql.parse(text)
    except ValueError as error:
        yield f"no PromQL: {error}"
        return
    nodes = list(below(whole))
    if unknown := [s.name for s in selectors(whole) if s.name not in TOLD]:
        yield f"not told: {unknown}"
        return
    grown = set()
    for node in nodes:
        if isinstance(node, promql.Call):
            names = {s.name for s in selectors(node)}
            if node.func.name in RATES:
                grown |= names
                yield from (f"{node.func.name} of {name}, no counter" for name in names if not is_counter(name))
            if node.func.name == "histogram_quantile":
                yield from (f"quantile of {name}" for name in names if not name.endswith("_bucket"))
                inner = [each for each in below(node) if isinstance(each, promql.AggregateExpr)]
                yield from ("quantile without le" for each in inner if "le" not in labels_of(each))
        if isinstance(node, promql.AggregateExpr):
            known = OF_PROMETHEUS.union(*(TOLD[s.name][1] for s in selectors(node)))
            yield from (f"by {label}" for label in labels_of(node) if label not in known)
        if isinstance(node, promql.VectorSelector):
            labels = TOLD[node.name][1]
            for matcher in node.matchers.matchers:
                if matcher.name not in labels.keys() | OF_PROMETHEUS:
                    yield f"{node.name} has no {matcher.name}"
                elif matcher.name == "le" and matcher.value not in labels["le"]:
                    yield f"{node.name} has no bucket {matcher.value}"
    yield from (
        f"{s.name} itself, not its rate" for s in selectors(whole) if is_counter(s.name) and s.name not in grown
    )


def labels_of(node: Any) -> list[str]:
    return node.modifier.labels if node.modifier else []


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alarm_asks_for_what_is_told(rule):
    assert list(faults(rule["expr"])) == []
    assert promql.parse_duration(rule["for"]).total_seconds() > 0


WRONG = {
    "sum(rate(journey_decisions_total[5m])": "no PromQL",
    "rate(journey_decisions_total)": "no PromQL",
    "rate(journey_decisions[5m]) > 0": "not told",
    "rate(journey_queue_requests[5m]) > 0": "no counter",
    "increase(journey_queue_oldest_seconds[5m]) > 0": "no counter",
    "journey_decisions_total == 0": "itself",
    "journey_request_seconds_count > 0": "itself",
    "histogram_quantile(0.9, rate(journey_request_seconds_count[5m])) > 1": "quantile of",
    "histogram_quantile(0.9, sum by (route) (rate(journey_request_seconds_bucket[5m]))) > 1": "without le",
    "sum by (kind) (journey_queue_requests) > 0": "by kind",
    'journey_queue_requests{route="x"} > 0': "has no route",
    'rate(journey_eligible_actions_bucket{le="1"}[5m]) > 0': "no bucket",
}


@pytest.mark.parametrize(("text", "says"), WRONG.items())
def test_an_alarm_that_asks_wrongly_would_be_found(text, says):
    assert says in " ".join(faults(text))
