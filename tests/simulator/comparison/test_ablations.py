"""The table of ablations says what the comparisons say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.ablations import ABLATIONS, COMPARED, ablation_table
from simulator.comparison import ActionInfo, compare_results
from simulator.results import BlockResult

Results = Callable[..., list[BlockResult]]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_per_part_with_margin_differences_and_unsubscribes(
    synthetic_results: Results, actions: tuple[ActionInfo, ...]
) -> None:
    worth = {"nothing": 110.0, "critic": 104.0}
    found = {
        name: compare_results(
            synthetic_results(
                {"hold": 100.0, "myopic": 104.0, "journey": margin}, own=1e-6, shared=1e-6, contacts={"journey": 0.5}
            ),
            reference="journey",
            actions=actions,
        )
        for name, margin in worth.items()
    }
    head, rule, *rows = ablation_table(found).splitlines()
    assert len(cells(head)) == len(cells(rule)) == 5
    assert [cells(row)[0] for row in rows] == list(worth)
    for row, (name, margin) in zip(rows, worth.items(), strict=True):
        _, mean, over_hold, over_myopic, unsubscribes = cells(row)
        assert float(mean) == pytest.approx(margin, abs=0.01)
        for text, other in ((over_hold, 100.0), (over_myopic, 104.0)):
            value, low, high = (float(part.strip("[],")) for part in text.split())
            assert low <= value <= high
            assert value == pytest.approx(margin - other, abs=0.01)
        assert float(unsubscribes) == round(found[name].standing("journey").unsubscribes.value)
    assert cells(rows[0])[2].startswith("+")


def test_a_policy_is_not_compared_with_itself(synthetic_results: Results, actions: tuple[ActionInfo, ...]) -> None:
    results = synthetic_results({"hold": 100.0, "myopic": 104.0, "journey": 105.0})
    found = {"nothing": compare_results(results, reference="hold", actions=actions)}
    assert cells(ablation_table(found).splitlines()[2])[2] == ""


def test_each_part_is_taken_away_once_and_nothing_comes_first() -> None:
    names = [ablation.name for ablation in ABLATIONS]
    assert names[0] == "nothing"
    assert len(set(names)) == len(names)
    whole = ABLATIONS[0]
    assert all((a.learning, a.world) != (whole.learning, whole.world) for a in ABLATIONS[1:])
    assert "journey" in COMPARED
