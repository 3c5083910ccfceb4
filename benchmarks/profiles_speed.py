"""Events per second into customer profiles, against a pandas groupby doing only the decayed counts.

Claim: keeping whole profiles (some forty traces per customer, order-free) costs about as much as one
pandas groupby of decayed counts, so profiles never need a separate fast path.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.load import load_retailer
from orchestrator.profiles import EVENT_TYPES, Events, ProfileSchema, apply, features

N, CUSTOMERS, REPEATS = 1_000_000, 100_000, 3
START, SPAN = 1.7e9, 365 * 86400.0


def main() -> None:
    retailer = load_retailer(Path(__file__).parents[1] / "configs" / "retail", environment={})
    schema = ProfileSchema.from_retailer(retailer)
    events = random_events(schema)
    states = schema.empty(CUSTOMERS)
    apply(schema, states, events)
    now = START + SPAN
    table = pd.DataFrame({"customer": events.customer, "category": events.category, "time": events.timestamp})

    def by_pandas() -> None:
        weight = np.exp2((table["time"] - now) / schema.half_lives.purchase)
        weight.groupby([table["customer"], table["category"]]).sum()

    ours = best(lambda: apply(schema, schema.empty(CUSTOMERS), events))
    reference = best(by_pandas)
    print(f"apply: {N / ours / 1e6:.1f} M events/s, {reference / ours:.2f} times pandas' speed at decayed counts alone")
    one = best(lambda: features(schema, states, now))
    print(f"features: {CUSTOMERS / one / 1e6:.2f} M customers/s, {len(schema.columns)} columns")


def random_events(schema: ProfileSchema) -> Events:
    random = np.random.default_rng(0)
    return Events(
        customers=np.array([str(i) for i in range(CUSTOMERS)], dtype=object),
        customer=random.integers(0, CUSTOMERS, N),
        event_id=np.array([str(i) for i in range(N)], dtype=object),
        timestamp=START + random.uniform(0, SPAN, N),
        type=random.integers(0, len(EVENT_TYPES), N),
        channel=random.integers(0, len(schema.channels), N),
        category=random.integers(0, len(schema.categories), N),
        value=random.uniform(0, 100, N),
        quantity=np.ones(N),
        discount=random.uniform(0, 10, N),
    )


def best(work: Callable[[], object]) -> float:
    """Shortest of a few runs, seconds: the others were disturbed."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()
