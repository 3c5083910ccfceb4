"""The sentence a reviewer reads first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.comparison.comparison import ActionInfo, Comparison, compare_results
from simulator.training.verdict import BEFORE, training_verdict
from simulator.world.results import BlockResult

Compared = Callable[..., Comparison]


@pytest.fixture
def compared(synthetic_results: Callable[..., list[BlockResult]], actions: tuple[ActionInfo, ...]) -> Compared:
    def compare(*, own: float = 0.01, seeds: int = 3, blocks: int = 2, **margins: float) -> Comparison:
        results = synthetic_results(margins, own=own, seeds=seeds, blocks=blocks)
        return compare_results(results, reference="journey", actions=actions)

    return compare


def numbers(comparison: Comparison, policy: str) -> str:
    difference = comparison.standing(policy).difference
    assert difference is not None
    money = comparison.money
    return f"{money.signed(difference.value)} [{money.signed(difference.lower)}, {money.signed(difference.upper)}]"


@pytest.mark.parametrize(("hold", "word"), [(9.0, "beats"), (11.0, "loses to")])
@pytest.mark.parametrize(("myopic", "other_word"), [(9.5, "beats"), (11.5, "loses to")])
def test_it_says_whether_hold_and_the_best_rival_are_beaten(
    compared: Compared, hold: float, word: str, myopic: float, other_word: str
) -> None:
    comparison = compared(journey=10.0, hold=hold, myopic=myopic, random=1.0)
    said = training_verdict(comparison)
    assert "random" not in said
    if hold > myopic:
        assert said.startswith(f"journey {word} hold, the best of its rivals: {numbers(comparison, 'hold')} (money")
    else:
        assert said.startswith(f"journey {word} hold: {numbers(comparison, 'hold')}; {other_word} the best rival")
        assert f"(myopic): {numbers(comparison, 'myopic')} (money" in said
    assert said.endswith("(money per customer over 14 days, 95 % intervals; 3,000 customers held out).")


def test_an_interval_around_zero_is_no_clear_difference(compared: Compared) -> None:
    comparison = compared(own=1.0, journey=10.0, hold=10.0)
    assert comparison.outcome("hold") == "no clear difference"
    wanted = f"journey shows no clear difference to hold, the best of its rivals: {numbers(comparison, 'hold')}"
    assert training_verdict(comparison).startswith(wanted)


def test_one_block_settles_nothing(compared: Compared) -> None:
    comparison = compared(journey=10.0, hold=9.0, seeds=1, blocks=1)
    difference = comparison.standing("hold").difference
    assert difference is not None
    said = training_verdict(comparison)
    assert said.startswith(
        f"journey differs by {comparison.money.signed(difference.value)} from hold, the best of its rivals, "
        "on one block of customers, so nothing is settled (money"
    )
    assert "interval" not in said


@pytest.mark.parametrize(("seeds", "blocks"), [(1, 2), (3, 1), (2, 2)])
def test_few_blocks_settle_nothing_and_are_counted(compared: Compared, seeds: int, blocks: int) -> None:
    comparison = compared(journey=10.0, hold=9.0, seeds=seeds, blocks=blocks)
    said = training_verdict(comparison)
    assert said.startswith(
        f"journey differs by {numbers(comparison, 'hold')} from hold, the best of its rivals, on only "
        f"{seeds * blocks} independent blocks of customers, so nothing is settled (money per customer"
    )
    assert "95 % intervals" in said


def test_six_blocks_settle_something(compared: Compared) -> None:
    said = training_verdict(compared(journey=10.0, hold=9.0, seeds=3, blocks=2))
    assert said.startswith("journey beats hold")
    assert "settled" not in said


def test_earlier_versions_are_named_with_their_own_intervals(compared: Compared) -> None:
    versions = compared(journey=10.0, **{BEFORE: 10.5})
    said = training_verdict(compared(journey=10.0, hold=9.0), {"version 3 (champion)": versions})
    assert f"; loses to version 3 (champion): {numbers(versions, BEFORE)} (money" in said
