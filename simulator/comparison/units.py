"""Results of many rollouts, checked and aligned so that every difference between policies is paired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from policies.arrays import Float64Array, IntArray
from simulator.errors import ComparisonError
from simulator.world.results import METRICS, BlockResult

HOLD = "hold"  # the policy, and the action, that never contacts anyone
NAMED_AT_MOST = 10


@dataclass(frozen=True)
class ActionInfo:
    """What a report says of an action.

    Attributes:
        id: of the action.
        channel: its channel; empty for `hold`.
        intent: why it speaks; empty for `hold`.
    """

    id: str
    channel: str
    intent: str


@dataclass(frozen=True)
class PairedUnits:
    """P policies on the same U units; a unit is one (seed, block), a population independent of all others.

    Attributes:
        policies: names, sorted.
        seeds: int64 (U,), of each unit, ascending.
        blocks: int64 (U,), of each unit, ascending within a seed.
        customers: float64 (U,), customers in each unit.
        daily: float64 (P, U, D, M), `METRICS` summed over customers.
        segments: names of the G segments.
        segment_customers: float64 (U, G).
        by_segment: float64 (P, U, G, M), metrics summed over days, per segment.
        actions: int64 (P, U, A), how often each action was chosen.
    """

    policies: tuple[str, ...]
    seeds: IntArray
    blocks: IntArray
    customers: Float64Array
    daily: Float64Array
    segments: tuple[str, ...]
    segment_customers: Float64Array
    by_segment: Float64Array
    actions: IntArray

    def rivals(self, *, reference: str) -> tuple[str, ...]:
        """Policies to compare the reference with: all others, but not `hold` again by another name.

        A policy that never found a contact worth making (say, the best fixed action where none pays) lives exactly as
        `hold` does, and beating it is beating `hold`. Where there is nothing else to compare with, it stays.
        """
        others = [policy for policy in self.policies if policy != reference]
        if HOLD not in self.policies:
            return tuple(others)
        hold = self.daily[self.policies.index(HOLD)]
        named = [
            policy
            for policy in others
            if policy == HOLD or not np.array_equal(self.daily[self.policies.index(policy)], hold)
        ]
        return tuple(named or others)

    @property
    def total_customers(self) -> int:
        """Customers over all units."""
        return int(self.customers.sum())

    def days_of(self, metric: str) -> Float64Array:
        """Total of a metric per policy, unit and day, float64 (P, U, D)."""
        return self.daily[..., METRICS.index(metric)]

    def per_customer(self, metric: str) -> Float64Array:
        """A metric summed over days, per customer, float64 (P, U)."""
        return np.asarray(self.days_of(metric).sum(axis=2) / self.customers, dtype=np.float64)

    def at_the_end(self, metric: str) -> Float64Array:
        """A count of customers on the last day as a share of all, float64 (P, U)."""
        return np.asarray(self.days_of(metric)[:, :, -1] / self.customers, dtype=np.float64)

    def segment_mean(self, metric: str) -> Float64Array:
        """A metric summed over days, per customer of a segment, float64 (P, U, G); zero where there is none."""
        totals = self.by_segment[..., METRICS.index(metric)]
        return np.asarray(totals / np.maximum(self.segment_customers, 1.0), dtype=np.float64)


def pair_units(results: Sequence[BlockResult], *, reference: str, actions: Sequence[ActionInfo]) -> PairedUnits:
    """Align results, in any order, by policy, seed and block.

    Raises:
        ComparisonError: a (policy, seed, block) is missing or given twice, the policies did not live through the same
            customers, days or segments, numbers are not finite, or there is nothing to compare the reference with.
    """
    policies = sorted({result.policy for result in results})
    _check_policies(policies, reference=reference)
    _check_actions(actions)
    units = sorted({(result.seed, result.block) for result in results})
    _check_each_once(results, policies=policies, units=units)
    first = min(results, key=_key)
    for result in results:
        _check_shapes(result, first=first, actions=len(actions))
    found = {_key(result): result for result in results}
    for seed, block in units:
        same = [found[policy, seed, block] for policy in policies]
        for result in same[1:]:
            _check_same_population(result, other=same[0])
    table = [[found[policy, seed, block] for seed, block in units] for policy in policies]
    return PairedUnits(
        policies=tuple(policies),
        seeds=np.array([seed for seed, _ in units], dtype=np.int64),
        blocks=np.array([block for _, block in units], dtype=np.int64),
        customers=np.array([result.customers for result in table[0]], dtype=np.float64),
        daily=np.array([[result.daily for result in row] for row in table], dtype=np.float64),
        segments=first.segments,
        segment_customers=np.array([result.segment_customers for result in table[0]], dtype=np.float64),
        by_segment=np.array([[result.by_segment for result in row] for row in table], dtype=np.float64),
        actions=np.array([[result.actions for result in row] for row in table], dtype=np.int64),
    )


def _key(result: BlockResult) -> tuple[str, int, int]:
    return result.policy, result.seed, result.block


def _place(result: BlockResult) -> str:
    return f"policy {result.policy!r}, seed {result.seed}, block {result.block}"


def _check_policies(policies: list[str], *, reference: str) -> None:
    if not policies:
        raise ComparisonError("results: there are none; run at least one block under two policies")
    if reference not in policies:
        close = get_close_matches(reference, policies, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ComparisonError(f"reference: no results of policy {reference!r}; there are: {', '.join(policies)}{hint}")
    if len(policies) < 2:
        raise ComparisonError(f"results: only of {reference!r}; add a policy to compare it with, such as {HOLD!r}")


def _check_actions(actions: Sequence[ActionInfo]) -> None:
    twice = sorted(name for name, count in Counter(action.id for action in actions).items() if count > 1)
    if twice:
        raise ComparisonError(f"actions: ids must be unique; given twice: {', '.join(twice)}")


def _check_each_once(results: Sequence[BlockResult], *, policies: list[str], units: list[tuple[int, int]]) -> None:
    counts = Counter(_key(result) for result in results)
    twice = sorted(key for key, count in counts.items() if count > 1)
    if twice:
        raise ComparisonError(f"results: given more than once: {_named(twice)}; keep one of each")
    wanted = [(policy, seed, block) for policy in policies for seed, block in units]
    missing = [key for key in wanted if key not in counts]
    if missing:
        raise ComparisonError(
            f"results: {len(missing)} of {len(wanted)} are missing: {_named(missing)}; differences are paired, so run "
            "them, or leave out the policy or the block"
        )


def _named(keys: Sequence[tuple[str, int, int]]) -> str:
    shown = [f"(policy {policy!r}, seed {seed}, block {block})" for policy, seed, block in keys[:NAMED_AT_MOST]]
    more = len(keys) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _check_shapes(result: BlockResult, *, first: BlockResult, actions: int) -> None:
    place = _place(result)
    if result.customers < 1:
        raise ComparisonError(f"customers: {place} has {result.customers}; a block needs at least one")
    if result.segments != first.segments:
        raise ComparisonError(
            f"segments: {place} has {', '.join(result.segments)}, but {_place(first)} has {', '.join(first.segments)}"
        )
    if result.daily.ndim == 2 and result.daily.shape[0] != first.daily.shape[0]:
        raise ComparisonError(
            f"daily: {place} lived {result.daily.shape[0]} days, but {_place(first)} {first.daily.shape[0]}; "
            "run all policies for the same number of days"
        )
    groups = len(first.segments)
    wanted = {
        "daily": (first.daily.shape[0], len(METRICS)),
        "by_segment": (groups, len(METRICS)),
        "segment_customers": (groups,),
        "actions": (actions,),
    }
    for name, shape in wanted.items():
        array = getattr(result, name)
        if array.shape != shape or 0 in array.shape[:1]:
            raise ComparisonError(f"{name}: {place} has shape {array.shape}; expected {shape}, nothing empty")
        if not np.isfinite(array).all():
            raise ComparisonError(f"{name}: {place} holds NaN or infinity; a rollout reports finite numbers only")


def _check_same_population(result: BlockResult, *, other: BlockResult) -> None:
    if result.customers != other.customers or (result.segment_customers != other.segment_customers).any():
        raise ComparisonError(
            f"customers: {_place(result)} has {result.customers} in segments of {result.segment_customers.tolist()}, "
            f"but {_place(other)} {other.customers} in {other.segment_customers.tolist()}; a seed and block must be "
            "the same population under every policy"
        )
