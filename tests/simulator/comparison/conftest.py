"""Results of rollouts whose truth is known, as a simulator would report them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pytest

from simulator.comparison.comparison import ActionInfo
from simulator.world.results import METRICS, BlockResult

ACTIONS = (
    ActionInfo("hold", "", ""),
    ActionInfo("email.inspire", "email", "inspire"),
    ActionInfo("email.offer", "email", "offer"),
    ActionInfo("site.inspire", "site", "inspire"),
    ActionInfo("store.thank", "store", "thank"),
)
SEGMENTS = ("loyal", "new", "lapsed")
SHARE = (0.5, 0.3, 0.2)
NOTHING: Mapping[str, Mapping[str, float]] = MappingProxyType({})


def synthetic_results(
    margins: Mapping[str, float],
    *,
    seeds: int = 3,
    blocks: int = 2,
    days: int = 14,
    customers: int = 500,
    smaller_last: bool = False,
    shared: float = 2.0,
    own: float = 0.1,
    contacts: Mapping[str, float] = MappingProxyType({}),
    segment_margins: Mapping[str, Mapping[str, float]] = NOTHING,
    start: int = 0,
) -> list[BlockResult]:
    """Blocks in which policies earn `margins` per customer in expectation.

    Args:
        margins: policy to expected margin per customer over all days.
        seeds: populations.
        blocks: per seed.
        days: lived.
        customers: per block.
        smaller_last: the last block of each seed has a quarter of them.
        shared: standard deviation between blocks of what all policies have in common, for a full block.
        own: standard deviation of what a policy does not share, for a full block.
        contacts: policy to contacts per customer and day; 0 if missing.
        segment_margins: policy to segment to what it earns there on top, per customer.
        start: of the random numbers.
    """
    generator = np.random.default_rng(start)
    found = []
    for seed in range(seeds):
        for block in range(blocks):
            size = customers // 4 if smaller_last and block == blocks - 1 else customers
            scale = np.sqrt(customers / size)
            people = np.floor(np.array(SHARE) * size).astype(np.int64)
            people[0] += size - people.sum()
            common = scale * shared * generator.standard_normal()
            for policy, margin in margins.items():
                extra = np.array([segment_margins.get(policy, {}).get(name, 0.0) for name in SEGMENTS])
                per_customer = margin + common + scale * own * generator.standard_normal() + extra
                found.append(
                    _block(policy, seed, block, people, per_customer, days=days, rate=contacts.get(policy, 0.0))
                )
    return found


def _block(
    policy: str,
    seed: int,
    block: int,
    people: np.ndarray,
    margin: np.ndarray,
    *,
    days: int,
    rate: float,
) -> BlockResult:
    size = int(people.sum())
    per_customer = {
        "revenue": 30.0,
        "discount": 0.5 * rate,
        "contact_cost": 0.02 * rate * days,
        "purchases": 1.5 + rate,
        "email": 0.6 * rate * days,
        "site": 0.3 * rate * days,
        "store": 0.1 * rate * days,
        "unsubscribes": 0.002 * rate * days,
        "wants_met": 0.7,
        "decisions": 1.0 * days,
        "entropy": 0.25 * days * (rate > 0),
    }
    totals = np.zeros((len(people), len(METRICS)))
    for name, value in per_customer.items():
        totals[:, METRICS.index(name)] = value * people
    totals[:, METRICS.index("margin")] = margin * people
    ends = {"reachable": 0.9 - 0.002 * rate * days, "alive": 0.95}
    daily = np.repeat(totals.sum(axis=0)[None] / days, days, axis=0)
    for name, share in ends.items():
        totals[:, METRICS.index(name)] = share * people
        daily[:, METRICS.index(name)] = size * np.linspace(1.0, share, days) if days > 1 else size * share
    spoken = np.round(size * days * rate * np.array([0.4, 0.2, 0.3, 0.1])).astype(np.int64)
    actions = np.concatenate([[size * days - spoken.sum()], spoken])
    return BlockResult(policy, seed, block, size, daily, SEGMENTS, people, totals, actions)


@pytest.fixture(name="synthetic_results")
def synthetic_results_fixture() -> Callable[..., list[BlockResult]]:
    return synthetic_results


@pytest.fixture
def actions() -> tuple[ActionInfo, ...]:
    return ACTIONS
