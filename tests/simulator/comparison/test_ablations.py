"""The table of ablations says what the comparisons say, and what repeats them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from simulator.comparison.comparison import ActionInfo
from simulator.errors import ComparisonError
from simulator.reports.ablation_table import AblationReport, ablation_line, ablation_table
from simulator.scenarios import Scenario, load_scenario
from simulator.training.ablations import ABLATIONS, COMPARED, FULL, Ablated, ablated, ablation_spec
from simulator.training.plan import TrainingPlan
from simulator.world.results import METRICS, BlockResult

Results = Callable[..., list[BlockResult]]
WORTH = {"full": 110.0, "critic": 104.0, "individuality": 90.0}


@pytest.fixture
def scenario(configs: Path) -> Scenario:
    return load_scenario("baseline", configs=configs)


@pytest.fixture
def results(synthetic_results: Results) -> Mapping[str, list[BlockResult]]:
    """Of each ablation in `WORTH`, on the same populations."""
    return {
        name: synthetic_results({"hold": 100.0, "myopic": 104.0, "journey": margin}, own=own, contacts={"journey": 0.5})
        for (name, margin), own in zip(WORTH.items(), (0.1, 0.3, 0.2), strict=True)
    }


@pytest.fixture
def found(results: Mapping[str, list[BlockResult]], actions: tuple[ActionInfo, ...]) -> tuple[Ablated, ...]:
    return tuple(
        ablated(ablation, results=results[ablation.name], full=results["full"], actions=actions)
        for ablation in ABLATIONS
        if ablation.name in results
    )


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def margins(results: list[BlockResult]) -> np.ndarray:
    own = sorted((r for r in results if r.policy == "journey"), key=lambda r: (r.seed, r.block))
    return np.array([r.daily[:, METRICS.index("margin")].sum() / r.customers for r in own])


def test_a_part_is_worth_what_the_full_policy_earns_beyond_the_one_without_it(
    found: tuple[Ablated, ...], results: Mapping[str, list[BlockResult]]
) -> None:
    full, critic, individuality = found
    expected = stats.ttest_rel(margins(results["full"]), margins(results["critic"])).confidence_interval(0.95)
    assert critic.worth is not None
    assert (critic.worth.lower, critic.worth.upper) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert full.worth is None
    assert individuality.worth is None  # other customers: nothing to pair


def test_a_row_per_ablation_with_margin_differences_and_unsubscribes(found: tuple[Ablated, ...]) -> None:
    head, rule, *rows = ablation_table(found).splitlines()[:5]
    assert cells(head)[2] == "full policy minus it"
    assert len(cells(head)) == len(cells(rule)) == 6
    assert [cells(row)[0] for row in rows] == [one.ablation.label for one in found]
    assert [cells(row)[2] for row in rows][::2] == ["", "another world"]
    for row, one in zip(rows, found, strict=True):
        _, mean, worth, over_hold, over_myopic, unsubscribes = cells(row)
        journey = one.comparison.standing("journey")
        assert float(mean) == pytest.approx(journey.margin.value, abs=0.01)
        assert float(unsubscribes) == round(journey.unsubscribes.value)
        told = [(over_hold, one.comparison.standing("hold").difference)]
        told += [(over_myopic, one.comparison.standing("myopic").difference), (worth, one.worth)]
        for text, interval in told:
            if interval is not None:
                assert [float(part.strip("[],")) for part in text.split()] == pytest.approx(
                    [interval.value, interval.lower, interval.upper], abs=0.01
                )


def test_a_row_of_another_world_is_said_not_to_be_comparable(found: tuple[Ablated, ...]) -> None:
    assert "must not be held against" in ablation_table(found)
    assert "must not be held against" not in ablation_table(found[:2])


def test_the_line_of_an_ablation_tells_its_worth(found: tuple[Ablated, ...]) -> None:
    full, critic, individuality = map(ablation_line, found)
    assert critic.startswith("without critic: margin per customer 10")
    assert found[1].worth is not None
    assert f"full policy minus it {found[1].worth.value:+.2f} [" in critic
    assert "minus it" not in full + individuality


def test_populations_that_are_not_the_same_are_refused(
    results: Mapping[str, list[BlockResult]], synthetic_results: Results, actions: tuple[ActionInfo, ...]
) -> None:
    others = synthetic_results({"hold": 1.0, "myopic": 1.0, "journey": 1.0}, customers=400)
    with pytest.raises(ComparisonError, match="must be the same population"):
        ablated(ABLATIONS[1], results=results["critic"], full=others, actions=actions)


def test_the_files_hold_everything_needed_to_repeat(found: tuple[Ablated, ...], scenario: Scenario) -> None:
    plan = TrainingPlan(iterations=2, customers=15_000)
    spec = ablation_spec(scenario, plan, customers=1_000, days=14, block_size=500)
    report = AblationReport(found, scenario, plan, spec, "journey ablate --out here")
    content = json.loads(report.json())
    for said in (content["about"], report.markdown()):
        for part in ("baseline", "15,000", "1,000", "seeds 0, 1, 2", "14 days", "journey ablate --out here"):
            assert part in str(said)
    assert content["spec"]["seeds"] == [0, 1, 2]
    assert content["spec"]["scenario"]["name"] == "baseline"
    assert content["spec"]["compared"] == {"customers": 1_000, "days": 14, "block_size": 500}
    _, critic, individuality = content["ablations"]
    assert found[1].worth is not None
    assert critic["full_minus_it"]["lower"] == found[1].worth.lower
    assert (individuality["full_minus_it"], individuality["world"]) == (None, {"population.individuality": 0.0})
    assert ablation_table(found) in report.markdown()


def test_each_part_is_taken_away_once_and_the_full_policy_comes_first() -> None:
    assert ABLATIONS[0].label == FULL
    for names in ([a.name for a in ABLATIONS], [a.label for a in ABLATIONS]):
        assert len(set(names)) == len(names)
    whole = ABLATIONS[0]
    assert all((a.learning, a.world) != (whole.learning, whole.world) for a in ABLATIONS[1:])
    assert "journey" in COMPARED
