"""Comparisons of policies whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from simulator.comparison.comparison import ActionInfo, Comparison, compare_results
from simulator.errors import ComparisonError, SimulatorError
from simulator.reports.comparison_report import comparison_html
from simulator.reports.comparison_text import comparison_text
from simulator.training.verdict import training_verdict
from simulator.world.results import METRICS, BlockResult

Results = Callable[..., list[BlockResult]]
Actions = tuple[ActionInfo, ...]


def metric(result: BlockResult, name: str) -> float:
    return float(result.daily[:, METRICS.index(name)].sum())


def test_planted_differences_are_recovered(synthetic_results: Results, actions: Actions) -> None:
    truth = {"journey": 104.0, "hold": 100.0, "random": 90.0}
    found = compare_results(synthetic_results(truth, seeds=5, blocks=4), reference="journey", actions=actions)
    assert found.policies == ("journey", "hold", "random")
    assert (found.units, found.seeds, found.days, found.customers) == (20, (0, 1, 2, 3, 4), 14, 10_000)
    for name, margin in truth.items():
        if name != "journey":
            difference = found.standing(name).difference
            assert difference is not None
            assert abs(difference.value - (104.0 - margin)) < 4 * 0.1 * np.sqrt(2 / 20)
            assert difference.lower < 104.0 - margin < difference.upper
    assert found.beats_all
    assert found.beats_all_simultaneously


def test_the_numbers_are_those_of_a_paired_t_test(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 10.0, "hold": 9.5, "rules": 9.9}, own=0.5)
    found = compare_results(results, reference="journey", actions=actions)
    table = pd.DataFrame(
        [(r.policy, (r.seed, r.block), metric(r, "margin") / r.customers) for r in results],
        columns=["policy", "unit", "margin"],
    ).pivot_table(index="unit", columns="policy", values="margin")
    for rival in ("hold", "rules"):
        standing = found.standing(rival)
        expected = stats.ttest_rel(table["journey"], table[rival])
        low, high = expected.confidence_interval(0.95)
        assert standing.difference is not None
        assert (standing.difference.lower, standing.difference.upper) == pytest.approx((low, high))
        low, high = expected.confidence_interval(1 - 0.05 / 2)  # two rivals share 5 %
        assert standing.simultaneous is not None
        assert (standing.simultaneous.lower, standing.simultaneous.upper) == pytest.approx((low, high))
        gap = table["journey"] - table[rival]
        by_seed = gap.groupby(lambda unit: unit[0]).mean()
        assert standing.difference_by_seed == pytest.approx(by_seed.to_numpy())
        assert standing.relative == pytest.approx(100 * gap.mean() / table[rival].mean())


def test_intervals_cover_the_truth_in_95_of_100_comparisons(synthetic_results: Results, actions: Actions) -> None:
    covered = []
    for start in range(400):
        results = synthetic_results(
            {"journey": 10.0, "hold": 9.0}, seeds=2, blocks=3, days=1, own=0.6, smaller_last=True, start=start
        )
        found = compare_results(results, reference="journey", actions=actions).standing("hold").difference
        assert found is not None
        covered.append(found.lower <= 1.0 <= found.upper)
    assert abs(np.mean(covered) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 400)


def test_pairing_finds_what_separate_means_would_miss(synthetic_results: Results, actions: Actions) -> None:
    found = compare_results(
        synthetic_results({"journey": 10.3, "hold": 10.0}, shared=3.0, own=0.1), reference="journey", actions=actions
    )
    journey, hold = found.standing("journey").margin, found.standing("hold").margin
    assert journey.lower < hold.value < journey.upper
    assert found.outcome("hold") == "beaten"


def test_equal_policies_are_told_apart_only_as_often_as_promised(synthetic_results: Results, actions: Actions) -> None:
    wrong = 0
    for start in range(200):
        results = synthetic_results({"journey": 5.0, "hold": 5.0}, seeds=1, blocks=5, days=1, start=start)
        found = compare_results(results, reference="journey", actions=actions)
        wrong += found.outcome("hold") != "no clear difference"
    assert wrong / 200 < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)


def test_the_order_of_results_does_not_matter(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 10.0, "hold": 9.5, "rules": 9.9}, smaller_last=True)
    expected = compare_results(results, reference="journey", actions=actions)
    shuffled = [results[i] for i in np.random.default_rng(3).permutation(len(results))]
    found = compare_results(shuffled, reference="journey", actions=actions)
    pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame(), check_exact=True)
    assert repr(found.segments) == repr(expected.segments)
    np.testing.assert_array_equal(found.series.margin.value, expected.series.margin.value)


def test_a_policy_against_itself_differs_by_nothing(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 10.0}, own=1.0)
    found = compare_results(
        [*results, *(replace(r, policy="twin") for r in results)], reference="journey", actions=actions
    )
    difference = found.standing("twin").difference
    assert difference is not None
    assert (difference.value, difference.lower, difference.upper) == (0.0, 0.0, 0.0)
    assert found.outcome("twin") == "no clear difference"


def test_what_customers_lived_through(synthetic_results: Results, actions: Actions) -> None:
    rates = {"journey": 0.1, "random": 0.5}
    found = compare_results(
        synthetic_results({"journey": 3.0, "hold": 2.0, "random": 1.0}, days=10, contacts=rates),
        reference="journey",
        actions=actions,
    )
    hold, random_ = found.standing("hold"), found.standing("random")
    assert random_.contacts == pytest.approx([0.6 * 5, 0.3 * 5, 0.1 * 5])
    assert random_.unsubscribes.value == pytest.approx(10.0)
    assert random_.unsubscribes_difference is not None
    assert random_.unsubscribes_difference.value == pytest.approx(-8.0)
    assert random_.purchases == pytest.approx(2.0)
    assert random_.discount == pytest.approx(0.25)
    assert random_.contact_cost == pytest.approx(0.1)
    assert random_.wants_met == pytest.approx(0.7)
    assert (random_.hold_share, random_.entropy) == (pytest.approx(0.5), pytest.approx(0.25))
    assert (hold.hold_share, hold.entropy) == (1.0, 0.0)
    # The last day counts, not the days before it, on which more customers were still there.
    assert (random_.retention, random_.reachable) == (pytest.approx(0.95), pytest.approx(0.89))


def test_who_gains_and_who_loses(synthetic_results: Results, actions: Actions) -> None:
    tilt = {"journey": {"loyal": 2.0, "new": -1.5}, "rules": {"new": 0.5}}
    found = compare_results(
        synthetic_results({"journey": 10.0, "hold": 10.0, "rules": 9.8}, blocks=4, segment_margins=tilt),
        reference="journey",
        actions=actions,
    )
    loyal, new, lapsed = found.segments
    assert (loyal.segment, loyal.customers, loyal.best_other) == ("loyal", 3_000, "hold")
    assert loyal.against_best.value == pytest.approx(2.0, abs=0.2)
    assert loyal.against_best.above_zero
    assert new.best_other == "rules"  # 10.3 there, hold 10.0
    assert new.against_best.value == pytest.approx(8.5 - 10.3, abs=0.2)
    assert new.against_best.below_zero
    assert new.against_hold is not None
    assert new.against_hold.value == pytest.approx(-1.5, abs=0.2)
    assert lapsed.differences["rules"].value == pytest.approx(0.2, abs=0.2)


def test_margin_over_time_ends_at_the_difference(synthetic_results: Results, actions: Actions) -> None:
    found = compare_results(
        synthetic_results({"journey": 4.0, "hold": 3.0, "rules": 3.5}, smaller_last=True),
        reference="journey",
        actions=actions,
    )
    series, difference = found.series, found.standing("hold").difference
    assert (series.baseline, series.policies) == ("hold", ("journey", "rules", "hold"))
    assert difference is not None
    band = series.margin
    last = (band.value[0, -1], band.lower[0, -1], band.upper[0, -1])
    assert last == pytest.approx((difference.value, difference.lower, difference.upper))
    assert band.value[0, 6] == pytest.approx(difference.value / 2)  # half of the 14 days
    assert not band.value[2].any()


def test_without_hold_margin_over_time_is_absolute(synthetic_results: Results, actions: Actions) -> None:
    found = compare_results(synthetic_results({"journey": 4.0, "rules": 3.0}), reference="journey", actions=actions)
    assert found.series.baseline == ""
    assert found.series.margin.value[:, -1] == pytest.approx([s.margin.value for s in found.standings])
    assert all(segment.against_hold is None for segment in found.segments)


def test_weeks_are_sums_of_days_and_a_short_one_is_scaled(synthetic_results: Results, actions: Actions) -> None:
    found = compare_results(
        synthetic_results({"journey": 4.0, "hold": 3.0}, days=17, contacts={"journey": 0.2}),
        reference="journey",
        actions=actions,
    )
    np.testing.assert_allclose(found.series.weekly_contacts, [[1.4] * 3, [0.0] * 3])
    np.testing.assert_allclose(found.series.weekly_unsubscribes, [[2.8] * 3, [0.0] * 3])


def test_the_mix_is_of_decisions_that_spoke(synthetic_results: Results, actions: Actions) -> None:
    found = compare_results(
        synthetic_results({"journey": 4.0, "hold": 3.0}, contacts={"journey": 0.2}),
        reference="journey",
        actions=actions,
    )
    assert (found.mix.channels, found.mix.intents) == (("email", "site", "store"), ("inspire", "offer", "thank"))
    np.testing.assert_allclose(found.mix.channel_share, [[0.6, 0.3, 0.1], [0, 0, 0]])
    np.testing.assert_allclose(found.mix.intent_share, [[0.7, 0.2, 0.1], [0, 0, 0]])


@pytest.mark.parametrize(
    ("margins", "sentence"),
    [
        (
            {"journey": 12.0, "hold": 8.0, "rules": 7.0},
            "journey earns 4.00 more per customer than the next best policy (hold) over 14 days, "
            "95 % interval [4.00, 4.00]; it beats all 2 others.",
        ),
        (
            {"journey": 7.5, "hold": 8.0, "rules": 7.0},
            "journey earns 0.50 less per customer than the best policy (hold) over 14 days, "
            "95 % interval [0.50, 0.50]; it beats 1 of 2 others and loses to hold.",
        ),
        (
            {"journey": 7.0, "hold": 7.0},
            "No clear difference between journey and hold over 14 days: 0.00 per customer, "
            "95 % interval [0.00, 0.00]; journey beats none of 1 other and shows no clear difference to hold.",
        ),
        (
            {"journey": 7.0, "hold": 6.0},
            "journey earns 1.00 more per customer than hold over 14 days, 95 % interval [1.00, 1.00]; it beats hold.",
        ),
    ],
)
def test_the_verdict_says_it_in_one_sentence(
    synthetic_results: Results, actions: Actions, margins: dict[str, float], sentence: str
) -> None:
    results = synthetic_results(margins, own=0.0, shared=0.0)
    assert compare_results(results, reference="journey", actions=actions).verdict == sentence


def test_a_lead_that_is_too_thin_for_all_together_is_not_sold_as_one(
    synthetic_results: Results, actions: Actions
) -> None:
    margins = {"journey": 10.09} | {f"rival {i}": 10.0 for i in range(6)}

    def compared(start: int) -> Comparison:
        results = synthetic_results(margins, seeds=2, blocks=4, days=1, start=start)
        return compare_results(results, reference="journey", actions=actions)

    thin = next(c for c in map(compared, range(300)) if c.beats_all and not c.beats_all_simultaneously)
    assert "does not hold for all 6 comparisons together" in thin.simultaneous_verdict
    assert "beats all 6 others" in thin.verdict


def test_one_block_of_one_seed_settles_nothing(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 10.0, "hold": 2.0}, seeds=1, blocks=1)
    found = compare_results(results, reference="journey", actions=actions)
    assert "not enough units" in found.verdict
    assert found.outcome("hold") == "not enough units"
    assert not found.beats_all
    assert not found.beats_all_simultaneously
    frame = found.to_frame().set_index("policy")
    assert frame.loc["hold", "difference"] == pytest.approx(8.0, abs=1.0)
    assert frame.filter(regex="_(lower|upper|standard_error)$").isna().all(axis=None)
    assert np.isnan(found.series.margin.lower).all()


@pytest.mark.parametrize("blocks", [2, 4])
def test_a_few_units_are_a_hint_whatever_their_interval(
    synthetic_results: Results, actions: Actions, blocks: int
) -> None:
    results = synthetic_results({"journey": 10.0, "hold": 2.0, "rules": 3.0}, seeds=1, blocks=blocks, own=0.0)
    found = compare_results(results, reference="journey", actions=actions)
    assert found.standing("hold").difference is not None
    assert found.standing("hold").difference.above_zero
    assert [found.outcome(name) for name in ("hold", "rules")] == ["not enough units"] * 2
    assert not found.beats_all
    assert not found.beats_all_simultaneously
    assert f"in {blocks} independent units: not enough units to settle anything" in found.verdict
    assert "beats" not in found.verdict
    assert f"Only {blocks} independent units" in found.warning
    assert found.simultaneous_verdict == found.warning
    assert {found.fate(s, s.against_best) for s in found.segments} == {"too few"}


def test_five_units_need_no_warning(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 10.0, "hold": 2.0}, seeds=5, blocks=1)
    found = compare_results(results, reference="journey", actions=actions)
    assert found.warning == ""
    assert found.outcome("hold") == "beaten"


def test_one_comparison_is_not_called_all(synthetic_results: Results, actions: Actions) -> None:
    found = compare_results(synthetic_results({"journey": 10.0, "hold": 2.0}), reference="journey", actions=actions)
    assert found.simultaneous_verdict == "There is one comparison, so its interval needs no correction."
    assert "all 1" not in found.verdict


def test_ties_and_tiny_segments_are_neither_gains_nor_losses(synthetic_results: Results, actions: Actions) -> None:
    tilt = {"journey": {"loyal": 2.0, "lapsed": 2.0}}
    found = compare_results(
        synthetic_results(
            {"journey": 10.0, "hold": 10.0, "rules": 9.0}, own=0.0, shared=0.0, customers=80, segment_margins=tilt
        ),
        reference="journey",
        actions=actions,
    )
    loyal, new, lapsed = found.segments
    assert (loyal.customers, new.customers, lapsed.customers) == (6 * 40, 6 * 24, 6 * 16)
    assert [found.fate(s, s.against_best) for s in found.segments] == ["gains", "tie", "too few"]
    assert found.fate(new, new.differences["rules"]) == "gains"


def test_differences_of_rounding_are_none(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 10.0}, own=1.0)
    margin = METRICS.index("margin")

    def nearly(result: BlockResult) -> BlockResult:
        daily = result.daily.copy()
        daily[:, margin] *= 1 - 1e-13
        return replace(result, policy="twin", daily=daily)

    found = compare_results([*results, *map(nearly, results)], reference="journey", actions=actions)
    assert found.outcome("twin") == "no clear difference"


def test_the_frame_holds_every_number_and_survives_parquet(
    synthetic_results: Results, actions: Actions, tmp_path: Path
) -> None:
    found = compare_results(
        synthetic_results({"journey": 4.0, "hold": 3.0, "rules": 3.5}), reference="journey", actions=actions
    )
    found.write_parquet(tmp_path / "comparison.parquet")
    frame = pd.read_parquet(tmp_path / "comparison.parquet")
    pd.testing.assert_frame_equal(frame, found.to_frame())
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.parquet"]
    assert frame["policy"].tolist() == ["journey", "rules", "hold"]
    row = frame.set_index("policy").loc["hold"]
    standing = found.standing("hold")
    assert standing.difference is not None
    assert row["difference_lower"] == standing.difference.lower
    assert row[[f"difference_seed_{seed}" for seed in found.seeds]].tolist() == standing.difference_by_seed.tolist()
    assert row["contacts_email"] == standing.contacts[0]
    assert len(found.segments) == 3
    assert all(segment.best_other in {"rules", "hold"} for segment in found.segments)


def changed(results: list[BlockResult], index: int, **fields: object) -> list[BlockResult]:
    return [replace(r, **fields) if i == index else r for i, r in enumerate(results)]  # type: ignore[arg-type]


BROKEN: dict[str, tuple[Callable[[list[BlockResult]], list[BlockResult]], str]] = {
    "missing": (lambda r: r[:3] + r[4:], r"missing: \(policy 'hold', seed 0, block 1\)"),
    "twice": (lambda r: [*r, r[5]], r"more than once: \(policy 'hold', seed 1, block 0\)"),
    "days": (lambda r: changed(r, 2, daily=r[2].daily[:9]), r"'journey', seed 0, block 1 lived 9 days, but .* 14"),
    "customers": (lambda r: changed(r, 2, customers=7), r"'journey', seed 0, block 1 has 7 in segments"),
    "segment sizes": (
        lambda r: changed(r, 2, segment_customers=r[2].segment_customers[::-1].copy()),
        r"must be the same population",
    ),
    "segments": (lambda r: changed(r, 2, segments=("a", "b", "c")), r"segments: policy 'journey', seed 0, block 1"),
    "shape": (lambda r: changed(r, 2, daily=r[2].daily[:, :4]), r"daily: policy 'journey', .* shape \(14, 4\)"),
    "actions": (lambda r: changed(r, 2, actions=r[2].actions[:4]), r"actions: .* shape \(4,\); expected \(5,\)"),
    "no days": (lambda r: [replace(one, daily=one.daily[:0]) for one in r], r"nothing empty"),
    "nobody": (lambda r: changed(r, 2, customers=0), r"has 0; a block needs at least one"),
    "nan": (lambda r: changed(r, 2, daily=r[2].daily * np.nan), r"block 1 holds NaN"),
    "nothing": (lambda r: r[:0], r"there are none"),
    "alone": (lambda r: [one for one in r if one.policy == "journey"], r"add a policy to compare it with"),
    "reference": (lambda r: [replace(x, policy=x.policy.replace("ey", "y")) for x in r], r"did you mean 'journy'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_results_that_cannot_be_compared_are_refused_by_name(
    synthetic_results: Results, actions: Actions, case: str
) -> None:
    damage, message = BROKEN[case]
    results = damage(synthetic_results({"journey": 4.0, "hold": 3.0}))
    with pytest.raises(ComparisonError, match=message) as caught:
        compare_results(results, reference="journey", actions=actions)
    assert isinstance(caught.value, SimulatorError)


def test_many_missing_results_are_counted_not_all_listed(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 4.0, "hold": 3.0}, seeds=20)
    kept = [r for r in results if r.policy == "journey" or r.seed == 0]
    with pytest.raises(ComparisonError, match=r"38 of 80 are missing: .* and 28 more; "):
        compare_results(kept, reference="journey", actions=actions)


def test_action_ids_are_unique(synthetic_results: Results, actions: Actions) -> None:
    with pytest.raises(ComparisonError, match="given twice: hold"):
        compare_results(
            synthetic_results({"journey": 4.0, "hold": 3.0}),
            reference="journey",
            actions=[*actions[:4], actions[0]],
        )


def test_unknown_policies_are_named(synthetic_results: Results, actions: Actions) -> None:
    found = compare_results(synthetic_results({"journey": 4.0, "hold": 3.0}), reference="journey", actions=actions)
    with pytest.raises(ComparisonError, match="unknown policy 'rules'; the comparison has: journey, hold"):
        found.standing("rules")


def with_fixed(results: list[BlockResult], *, like: str, action: int) -> list[BlockResult]:
    """The results and those of `fixed`, which lives as another policy does and takes one action."""
    found = []
    for result in results:
        if result.policy == like:
            taken = np.zeros_like(result.actions)
            taken[[0, action]] = [result.actions.sum(), 1]
            found.append(replace(result, policy="fixed", actions=taken))
    return [*results, *found]


def test_fixed_that_holds_is_named_and_no_rival_of_its_own(synthetic_results: Results, actions: Actions) -> None:
    results = synthetic_results({"journey": 10.0, "hold": 9.0, "random": 1.0}, own=0.01)
    alone = compare_results(results, reference="journey", actions=actions)
    found = compare_results(with_fixed(results, like="hold", action=0), reference="journey", actions=actions)
    assert [standing.policy for standing in found.others] == ["fixed", "hold", "random"]
    assert [standing.policy for standing in found.rivals] == ["hold", "random"]
    assert found.next_best.policy == "hold"
    assert (found.verdict, found.simultaneous_verdict) == (alone.verdict, alone.simultaneous_verdict)
    assert "beats all 2 others" in found.verdict
    assert found.standing("hold").simultaneous == alone.standing("hold").simultaneous
    assert {segment.best_other for segment in found.segments} == {"hold"}
    said = "fixed: hold, because no contact paid, so it lives exactly as hold does and counts as no rival of its own."
    assert said in " ".join(comparison_text(found).split())
    assert f"Here: {said.removeprefix('fixed: ')}" in comparison_html(found, title="t", facts={})


def test_fixed_that_acts_is_a_rival_and_its_action_is_named(synthetic_results: Results, actions: Actions) -> None:
    results = with_fixed(synthetic_results({"journey": 10.0, "hold": 9.0, "rules": 9.5}), like="rules", action=3)
    found = compare_results(results, reference="journey", actions=actions)
    assert found.next_best.policy == "fixed"
    assert "the next best policy (fixed: site.inspire)" in found.verdict
    assert "beats all 3 others" in found.verdict
    assert "fixed: site.inspire, wherever that is eligible." in comparison_text(found)
    assert "the best rival (fixed: site.inspire): " in training_verdict(found)


def test_what_lives_as_hold_stays_where_there_is_nothing_else(synthetic_results: Results, actions: Actions) -> None:
    results = with_fixed(synthetic_results({"hold": 9.0}), like="hold", action=0)
    assert compare_results(results, reference="hold", actions=actions).next_best.policy == "fixed"
    assert compare_results(results, reference="fixed", actions=actions).next_best.policy == "hold"
