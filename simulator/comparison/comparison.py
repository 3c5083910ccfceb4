"""Many policies lived through by the same simulated customers: who earns more, how surely, and at what price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Literal

import pandas as pd

from policies.whole_files import whole_file
from simulator.comparison.numbers import Money, listed
from simulator.comparison.paired_intervals import CONFIDENCE, FEW_UNITS, MeanBand, MeanInterval
from simulator.comparison.series import Mix, Series, action_mix, time_series
from simulator.comparison.standings import (
    FEW_CUSTOMERS,
    SegmentStanding,
    Standing,
    segment_standings,
    standings,
)
from simulator.comparison.units import HOLD, ActionInfo, pair_units
from simulator.errors import ComparisonError
from simulator.scenarios import Scenario
from simulator.world.channels import CHANNELS
from simulator.world.results import BlockResult

__all__ = [
    "CONFIDENCE",
    "FEW_CUSTOMERS",
    "FEW_UNITS",
    "HOLD",
    "ActionInfo",
    "Comparison",
    "Fate",
    "MeanBand",
    "MeanInterval",
    "Mix",
    "Outcome",
    "SegmentStanding",
    "Series",
    "Standing",
    "actions_of",
    "compare_in",
    "compare_results",
]

FIXED = "fixed"  # the policy that always takes one action
Outcome = Literal["reference", "beaten", "ahead", "no clear difference", "not enough units"]
Fate = Literal["gains", "loses", "tie", "unclear", "too few"]


@dataclass(frozen=True)
class Comparison:
    """What many rollouts say together.

    Intervals are plain paired 95 % intervals, each for itself, unless `simultaneous` is in the name. They treat the
    blocks of a seed as independent populations, which is what the simulator makes them; `difference_by_seed` of a
    standing shows whether seeds agree.

    Attributes:
        reference: the policy all others are compared with.
        standings: one per policy, highest margin first.
        segments: one per segment of customers.
        series: policies over time, rows in the order of the standings.
        mix: channels and intents, rows in the order of the standings.
        seeds: of the populations, ascending.
        units: independent populations (seed, block) that every policy lived through.
        days: how long.
        customers: in all units together, under each policy.
    """

    reference: str
    standings: tuple[Standing, ...]
    segments: tuple[SegmentStanding, ...]
    series: Series
    mix: Mix
    seeds: tuple[int, ...]
    units: int
    days: int
    customers: int

    @property
    def policies(self) -> tuple[str, ...]:
        """Names, highest margin first."""
        return tuple(standing.policy for standing in self.standings)

    @property
    def others(self) -> tuple[Standing, ...]:
        """Every standing but the reference's, highest margin first."""
        return tuple(standing for standing in self.standings if standing.policy != self.reference)

    @property
    def rivals(self) -> tuple[Standing, ...]:
        """The others without what is `hold` again by another name, highest margin first; never none."""
        return tuple(standing for standing in self.standings if standing.is_rival)

    @property
    def next_best(self) -> Standing:
        """The best of the rivals."""
        return self.rivals[0]

    def label(self, policy: str) -> str:
        """A policy's name, of `fixed` with the action it always takes."""
        action = self.standing(policy).only_action
        if policy != FIXED or not action:
            return policy
        return f"{policy}: {action}, because no contact paid" if action == HOLD else f"{policy}: {action}"

    @property
    def money(self) -> Money:
        """How money is written, so that differences can be read."""
        differences = [standing.difference for standing in self.others if standing.difference]
        return Money.fitting([d.value if self.units < 2 else d.standard_error for d in differences])

    @property
    def beats_all(self) -> bool:
        """Whether every plain paired interval against a rival is above zero."""
        return all(self.outcome(standing.policy) == "beaten" for standing in self.rivals)

    @property
    def beats_all_simultaneously(self) -> bool:
        """Whether that holds for all policies together at 95 % (Bonferroni).

        Source: Dunn 1961, doi:10.1080/01621459.1961.10482090.
        """
        return self.units >= FEW_UNITS and all(
            standing.simultaneous is not None and standing.simultaneous.above_zero for standing in self.rivals
        )

    def standing(self, policy: str) -> Standing:
        """Of one policy.

        Raises:
            ComparisonError: no such policy.
        """
        found = {standing.policy: standing for standing in self.standings}
        if policy not in found:
            raise ComparisonError(f"unknown policy {policy!r}; the comparison has: {', '.join(found)}")
        return found[policy]

    def outcome(self, policy: str) -> Outcome:
        """What the plain paired interval says of a policy: it is beaten by the reference, or ahead of it, or neither.

        Fewer than `FEW_UNITS` units say nothing, whatever their interval.

        Raises:
            ComparisonError: no such policy.
        """
        difference = self.standing(policy).difference
        if difference is None:
            return "reference"
        if difference.rests_on_few:
            return "not enough units"
        if difference.above_zero:
            return "beaten"
        return "ahead" if difference.below_zero else "no clear difference"

    def fate(self, segment: SegmentStanding, difference: MeanInterval) -> Fate:
        """Whether a segment gains or loses under the reference, going by one of its differences.

        A tie is a difference written as zero with both bounds. Fewer than `FEW_CUSTOMERS` customers, or `FEW_UNITS`
        units that have any, are too few to tell.
        """
        if segment.customers < FEW_CUSTOMERS or difference.rests_on_few:
            return "too few"
        if self.money.is_nothing(difference):
            return "tie"
        if difference.above_zero:
            return "gains"
        return "loses" if difference.below_zero else "unclear"

    @property
    def warning(self) -> str:
        """What has to be known before any number is read; empty if nothing."""
        if self.units >= FEW_UNITS:
            return ""
        units = "1 independent unit (a block of customers): there are no intervals"
        if self.units > 1:
            units = f"{self.units} independent units (blocks of customers): intervals from so few are no proof"
        return (
            f"Only {units}, and every difference is a hint at most. Give more seeds or smaller blocks, for at least "
            f"{FEW_UNITS} units."
        )

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        best = self.next_best
        difference = best.difference
        assert difference is not None  # noqa: S101 - only the reference has none
        way = "more" if difference.value >= 0 else "less"
        rank = "next best" if difference.value >= 0 else "best"
        name = best.policy if len(self.rivals) == 1 else f"the {rank} policy ({self.label(best.policy)})"
        days = f"{self.days} day{'s' if self.days > 1 else ''}"
        said = f"{self.reference} earns {self.money.plain(abs(difference.value))} {way} per customer than {name}"
        if self.units < 2:
            return (
                f"{said} over {days}; one block of one seed is not enough units for an interval, so nothing is "
                "settled: run more seeds or blocks."
            )
        # The sentence says "less" without a sign, so its interval is turned round with it.
        bounds = [difference.lower, difference.upper] if way == "more" else [-difference.upper, -difference.lower]
        interval = ", ".join(self.money.plain(bound) for bound in bounds)
        if self.units < FEW_UNITS:
            return (
                f"{said} over {days}, 95 % interval [{interval}], in {self.units} independent units: not enough units "
                "to settle anything."
            )
        if self.outcome(best.policy) == "no clear difference":
            against = name if len(self.rivals) > 1 else best.policy
            return (
                f"No clear difference between {self.reference} and {against} over {days}: "
                f"{self.money.signed(difference.value)} per customer, 95 % interval "
                f"{self.money.bounds(difference, sign=True)}; {self.reference} {self._beats()}."
            )
        return f"{said} over {days}, 95 % interval [{interval}]; it {self._beats()}."

    @property
    def simultaneous_verdict(self) -> str:
        """What remains when all comparisons have to hold together; with too few units, the warning."""
        if self.warning:
            return self.warning
        if len(self.rivals) == 1:
            return "There is one comparison, so its interval needs no correction."
        together = f"all {len(self.rivals)} comparisons together at 95 % (Bonferroni)"
        if self.beats_all_simultaneously:
            return f"The lead over every other policy also holds for {together}."
        if self.beats_all:
            return f"Each interval is for itself; the lead over every other policy does not hold for {together}."
        return "Each interval is for itself; no correction for the number of comparisons."

    def _beats(self) -> str:
        of = {wanted: [s.policy for s in self.rivals if self.outcome(s.policy) == wanted] for wanted in _SENTENCES}
        total = len(self.rivals)
        beaten = len(of["beaten"])
        if beaten == total:
            return f"beats all {total} others" if total > 1 else f"beats {of['beaten'][0]}"
        parts = [f"beats {beaten or 'none'} of {total} other{'s' if total > 1 else ''}"]
        parts += [f"{text} {listed(of[wanted])}" for wanted, text in _SENTENCES.items() if text and of[wanted]]
        return listed(parts)

    def to_frame(self) -> pd.DataFrame:
        """One row per policy, highest margin first, all numbers; NaN where a number does not exist."""
        return pd.DataFrame([self._record(standing) for standing in self.standings])

    def write_parquet(self, path: Path) -> None:
        """Write `to_frame` as Parquet, whole or not at all."""
        with whole_file(path) as staging:
            self.to_frame().to_parquet(staging, index=False)

    def _record(self, standing: Standing) -> dict[str, object]:
        return (
            {"policy": standing.policy, "customers": standing.customers, "outcome": self.outcome(standing.policy)}
            | _flat("margin", standing.margin)
            | _flat("difference", standing.difference)
            | _flat("simultaneous", standing.simultaneous)
            | {"relative_percent": standing.relative}
            | {f"difference_seed_{s}": float(d) for s, d in zip(self.seeds, standing.difference_by_seed, strict=True)}
            | _flat("unsubscribes_per_1000", standing.unsubscribes)
            | _flat("unsubscribes_difference", standing.unsubscribes_difference)
            | {f"contacts_{c}": float(n) for c, n in zip(CHANNELS, standing.contacts, strict=True)}
            | {name: getattr(standing, name) for name in _PLAIN}
        )


_SENTENCES: dict[Outcome, str] = {
    "beaten": "",
    "ahead": "loses to",
    "no clear difference": "shows no clear difference to",
}
_PLAIN = (
    "purchases",
    "wants_met",
    "discount",
    "contact_cost",
    "retention",
    "reachable",
    "hold_share",
    "entropy",
)


def compare_results(results: Sequence[BlockResult], *, reference: str, actions: Sequence[ActionInfo]) -> Comparison:
    """Compare every policy with the reference on the populations all of them lived through.

    Args:
        results: one per policy, seed and block, in any order.
        reference: name of the policy the others are compared with.
        actions: of the decisions, in the order of `BlockResult.actions`.

    Raises:
        ComparisonError: results are missing, doubled or of different worlds, or there is nothing to compare with.
    """
    units = pair_units(results, reference=reference, actions=actions)
    table = standings(units, reference=reference, actions=tuple(actions))
    order = tuple(standing.policy for standing in table)
    return Comparison(
        reference=reference,
        standings=table,
        segments=segment_standings(units, reference=reference),
        series=time_series(units, order=order),
        mix=action_mix(units, order=order, actions=tuple(actions)),
        seeds=tuple(sorted(set(units.seeds.tolist()))),
        units=len(units.seeds),
        days=units.daily.shape[2],
        customers=units.total_customers,
    )


def compare_in(scenario: Scenario, results: Sequence[BlockResult], *, reference: str) -> Comparison:
    """`compare_results` of a scenario's rollouts, whose actions are its catalogue's.

    Raises:
        ComparisonError: as `compare_results`.
    """
    return compare_results(results, reference=reference, actions=actions_of(scenario))


def actions_of(scenario: Scenario) -> tuple[ActionInfo, ...]:
    """The actions of a scenario's catalogue, in the order of `BlockResult.actions`."""
    return tuple(ActionInfo(a.id, a.channel, a.intent) for a in scenario.retailer.catalogue.actions)


def _flat(name: str, interval: MeanInterval | None) -> dict[str, float]:
    found = interval or MeanInterval(nan, nan, nan, nan, units=0)
    return {
        name: found.value,
        f"{name}_lower": found.lower,
        f"{name}_upper": found.upper,
        f"{name}_standard_error": found.standard_error,
    }
