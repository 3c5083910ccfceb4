"""How each policy stands over all customers and in each segment, paired with the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import Float64Array, IntArray
from simulator.comparison.paired_intervals import CONFIDENCE, MeanInterval, mean_interval
from simulator.comparison.units import HOLD, ActionInfo, PairedUnits
from simulator.world.channels import CHANNELS

FEW_CUSTOMERS = 100  # fewer in a segment are anecdotes


@dataclass(frozen=True)
class Standing:
    """One policy over all customers; money and counts are per customer over all days unless said otherwise.

    Attributes:
        policy: its name.
        customers: how many lived under it.
        margin: money kept, with its interval over units.
        difference: margin of the reference minus this policy's, paired; None for the reference.
        simultaneous: the same difference with an interval that holds for all policies together (Bonferroni).
        relative: the difference in percent of this policy's margin; NaN where that is zero.
        difference_by_seed: float64 (S,), the difference per seed; zeros for the reference.
        unsubscribes: per 1,000 customers.
        unsubscribes_difference: of the reference minus this policy's, paired; None for the reference.
        contacts: float64 (channels,), in the order of `CHANNELS`.
        purchases: count.
        wants_met: purchases that answered an open want.
        discount: money taken off prices.
        contact_cost: money spent on contacts.
        retention: share of customers alive on the last day.
        reachable: share of customers who may be e-mailed on the last day.
        hold_share: share of decisions whose action is `hold`; NaN without decisions.
        entropy: mean over decisions of the entropy of the action distribution, nats; NaN without decisions.
        is_rival: whether it counts as one of the policies the reference is compared with; false for the reference, and
            for what is `hold` again by another name.
        only_action: id of the one action besides `hold` that it ever took, `hold` if it took none; empty if several.
    """

    policy: str
    customers: int
    margin: MeanInterval
    difference: MeanInterval | None
    simultaneous: MeanInterval | None
    relative: float
    difference_by_seed: Float64Array
    unsubscribes: MeanInterval
    unsubscribes_difference: MeanInterval | None
    contacts: Float64Array
    purchases: float
    wants_met: float
    discount: float
    contact_cost: float
    retention: float
    reachable: float
    hold_share: float
    entropy: float
    is_rival: bool
    only_action: str


@dataclass(frozen=True)
class SegmentStanding:
    """One segment of customers under every policy.

    Attributes:
        segment: its name.
        customers: how many belong to it.
        margins: policy to margin per customer of the segment, with its interval.
        differences: every other policy to the reference's margin minus its own, paired.
        best_other: the rival with the highest margin here. It is chosen on the same customers
            it is judged on, which flatters it: the reference has to beat the luckiest rival.
    """

    segment: str
    customers: int
    margins: dict[str, MeanInterval]
    differences: dict[str, MeanInterval]
    best_other: str

    @property
    def against_best(self) -> MeanInterval:
        """Reference minus the best other policy of this segment."""
        return self.differences[self.best_other]

    @property
    def against_hold(self) -> MeanInterval | None:
        """Reference minus `hold`; None where `hold` was not run or is the reference."""
        return self.differences.get(HOLD)


def standings(units: PairedUnits, *, reference: str, actions: tuple[ActionInfo, ...]) -> tuple[Standing, ...]:
    """Every policy, highest margin first."""
    found = [
        _standing(units, p, r=units.policies.index(reference), actions=actions) for p in range(len(units.policies))
    ]
    return tuple(sorted(found, key=lambda standing: (-standing.margin.value, standing.policy)))


def segment_standings(units: PairedUnits, *, reference: str) -> tuple[SegmentStanding, ...]:
    """Every segment that has customers, in the order of the results."""
    margin, r = units.segment_mean("margin"), units.policies.index(reference)
    found = []
    for g, segment in enumerate(units.segments):
        customers = units.segment_customers[:, g]
        if not customers.any():
            continue
        own = {policy: mean_interval(margin[p, :, g], customers=customers) for p, policy in enumerate(units.policies)}
        others = [(p, policy) for p, policy in enumerate(units.policies) if p != r]
        rivals = [(units.policies.index(policy), policy) for policy in units.rivals(reference=reference)]
        found.append(
            SegmentStanding(
                segment=segment,
                customers=int(customers.sum()),
                margins=own,
                differences={
                    policy: mean_interval(margin[r, :, g] - margin[p, :, g], customers=customers)
                    for p, policy in others
                },
                best_other=max(rivals, key=lambda other: own[other[1]].value)[1],
            )
        )
    return tuple(found)


def _standing(units: PairedUnits, p: int, *, r: int, actions: tuple[ActionInfo, ...]) -> Standing:
    customers = units.customers
    margin, unsubscribes = units.per_customer("margin"), 1_000.0 * units.per_customer("unsubscribes")
    own = mean_interval(margin[p], customers=customers)
    gap = margin[r] - margin[p]
    difference = mean_interval(gap, customers=customers)
    rivals = units.rivals(reference=units.policies[r])
    decisions = units.days_of("decisions")[p].sum()
    chosen = units.actions[p].sum()
    held = sum(int(units.actions[p, :, a].sum()) for a, action in enumerate(actions) if action.id == HOLD)
    return Standing(
        policy=units.policies[p],
        customers=units.total_customers,
        margin=own,
        difference=difference if p != r else None,
        simultaneous=mean_interval(gap, customers=customers, confidence=1.0 - (1.0 - CONFIDENCE) / len(rivals))
        if p != r
        else None,
        relative=_ratio(100.0 * difference.value, abs(own.value)),
        difference_by_seed=np.array(
            [np.average(gap[units.seeds == s], weights=customers[units.seeds == s]) for s in np.unique(units.seeds)]
        ),
        unsubscribes=mean_interval(unsubscribes[p], customers=customers),
        unsubscribes_difference=mean_interval(unsubscribes[r] - unsubscribes[p], customers=customers)
        if p != r
        else None,
        contacts=np.array([_mean(units.per_customer(channel)[p], customers) for channel in CHANNELS]),
        **{
            name: _mean(units.per_customer(name)[p], customers)
            for name in ("purchases", "wants_met", "discount", "contact_cost")
        },
        retention=_mean(units.at_the_end("alive")[p], customers),
        reachable=_mean(units.at_the_end("reachable")[p], customers),
        hold_share=_ratio(held, chosen),
        entropy=_ratio(units.days_of("entropy")[p].sum(), decisions),
        is_rival=units.policies[p] in rivals,
        only_action=_only_action(units.actions[p], actions),
    )


def _only_action(chosen: IntArray, actions: tuple[ActionInfo, ...]) -> str:
    """The one action besides `hold` that was ever chosen; int64 (U, A)."""
    taken = [action.id for a, action in enumerate(actions) if chosen[:, a].any() and action.id != HOLD]
    return (taken or [HOLD])[0] if len(taken) <= 1 else ""


def _mean(values: Float64Array, customers: Float64Array) -> float:
    return float(np.average(values, weights=customers))


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")
