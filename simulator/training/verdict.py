"""What the evaluation of an iteration says, in one sentence: against `hold`, the best rival and earlier versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from simulator.comparison.comparison import HOLD, Comparison, Outcome, compare_in
from simulator.scenarios import Scenario
from simulator.training.training import REFERENCE, Iteration

BEFORE = "before"  # what the policy of an earlier iteration is called in a comparison with it
_OUTCOMES: dict[Outcome, str] = {
    "beaten": "beats {name}: {difference} {bounds}",
    "ahead": "loses to {name}: {difference} {bounds}",
    "no clear difference": "shows no clear difference to {name}: {difference} {bounds}",
    "not enough units": "differs by {difference}{bounds} from {name}, on {blocks}, so nothing is settled",
}


def compare_iterations(scenario: Scenario, found: Iteration, earlier: Iteration) -> Comparison:
    """The journey policy of an iteration (the reference) with that of an earlier one (`BEFORE`), paired.

    Raises:
        ComparisonError: they were not evaluated on the same customers.
    """
    before = [replace(result, policy=BEFORE) for result in earlier.results]
    return compare_in(scenario, [*found.results, *before], reference=REFERENCE)


def training_verdict(comparison: Comparison, earlier: Mapping[str, Comparison] = MappingProxyType({})) -> str:
    """Whether the policy beats `hold`, the best rival, and earlier versions as far as that was measured.

    Args:
        comparison: of all policies on customers held out; the reference is the policy it is about.
        earlier: what an earlier version is called, to the comparison with it on the same customers.

    Returns:
        Such as `journey beats hold: +0.73 [+0.31, +1.20]; shows no clear difference to the best rival (myopic): +0.10
        [−0.25, +0.45] (money per customer over 30 days, 95 % intervals; 2,000 customers held out).`
    """  # noqa: RUF002 - a true minus
    rival = comparison.next_best.policy
    if rival == HOLD:
        said = [_against(comparison, HOLD, name="hold, the best of its rivals")]
    else:
        best = f"the best rival ({comparison.label(rival)})"
        said = [_against(comparison, HOLD, name=HOLD), _against(comparison, rival, name=best)]
    said += [_against(versions, BEFORE, name=name) for name, versions in earlier.items()]
    days = f"{comparison.days} day{'' if comparison.days == 1 else 's'}"
    intervals = ", 95 % intervals" if comparison.units > 1 else ""
    held_out = f"{comparison.customers:,} customers held out"
    return f"{comparison.reference} {'; '.join(said)} (money per customer over {days}{intervals}; {held_out})."


def _against(comparison: Comparison, policy: str, *, name: str) -> str:
    difference, money = comparison.standing(policy).difference, comparison.money
    assert difference is not None  # noqa: S101 - only the reference has none
    outcome, bounds = comparison.outcome(policy), money.bounds(difference, sign=True)
    blocks = f"only {difference.units} independent blocks of customers"
    if outcome == "not enough units":
        bounds = f" {bounds}" if difference.units > 1 else ""
        blocks = blocks if difference.units > 1 else "one block of customers"
    return _OUTCOMES[outcome].format(name=name, difference=money.signed(difference.value), bounds=bounds, blocks=blocks)
