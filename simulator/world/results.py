"""What a rollout reports: totals per day, per segment and per action, for one block of customers under one policy."""

from __future__ import annotations

from dataclasses import dataclass

from policies.arrays import Float64Array, IntArray
from simulator.world.channels import CHANNELS, WORLD_CHANNELS

# Every metric is a sum over customers; the last two are counts of customers at the end of the day.
METRICS = (
    "margin",  # money kept: margin of purchases and returns less discounts given and contact costs
    "revenue",  # money customers paid
    "discount",  # money taken off prices
    "contact_cost",  # money spent on contacts
    "purchases",
    "returns",
    "site_visits",
    "store_visits",
    *CHANNELS,  # contacts and impressions per channel
    "minutes",  # associate minutes used
    "clicks",  # on e-mails and banners
    "accepts",  # of alerts and calls
    "unsubscribes",
    "wants_met",  # purchases that answered an open want
    "decisions",
    "entropy",  # of the action distributions, nats, summed over decisions
    "reachable",  # customers who may be e-mailed
    "alive",  # customers who have not left for good (known in a simulation only)
)
AT_THE_END = ("reachable", "alive")  # counts of the last day, not sums over days
# What a metric is in, per customer. Money is that of goals.yaml.
UNITS = {
    "margin": "money kept: margin of purchases and returns, less discounts and the cost of contacts",
    "revenue": "money customers paid",
    "discount": "money taken off prices",
    "contact_cost": "money spent on contacts",
    "purchases": "baskets",
    "returns": "baskets with a return",
    "site_visits": "visits",
    "store_visits": "visits",
    **{channel.name: channel.counts for channel in WORLD_CHANNELS},
    "minutes": "minutes of associates",
    "clicks": "clicks on e-mails and banners",
    "accepts": "alerts and calls accepted",
    "unsubscribes": "unsubscriptions from e-mail",
    "wants_met": "purchases that answered an open want",
    "decisions": "decisions, those to hold included",
    "entropy": "nats, summed over decisions; 0 is a policy that never varies",
    "reachable": "share of customers who may be e-mailed, last day",
    "alive": "share of customers who have not left for good, last day",
}


@dataclass(frozen=True)
class BlockResult:
    """One block of customers lived through under one policy.

    Blocks of one seed are independent populations; under another policy the same (seed, block) is the same
    population with the same random numbers, so differences between policies are paired.

    Attributes:
        policy: name of the policy.
        seed: of the population.
        block: index of the block.
        customers: number of customers in it.
        daily: float64 (D, M), `METRICS` summed over the customers, per day.
        segments: names of the G segments.
        segment_customers: int64 (G,), customers per segment.
        by_segment: float64 (G, M), metrics summed over days, per segment; of the last two metrics, the last day's.
        actions: int64 (A,), how often each action was chosen.
    """

    policy: str
    seed: int
    block: int
    customers: int
    daily: Float64Array
    segments: tuple[str, ...]
    segment_customers: IntArray
    by_segment: Float64Array
    actions: IntArray
