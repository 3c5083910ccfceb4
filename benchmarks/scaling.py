"""Time and memory of the decision core against the number of customers: linear time, bounded memory.

Customers pass through the whole core (features, eligibility, scores, distribution, draw) in chunks, as `journey plan`
does; one chunk of random customers is decided again and again. Run: `python -m benchmarks.scaling`.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np

from benchmarks.profiles_speed import SPAN, START, random_events
from orchestrator.decision.core import DecisionCore
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema, apply
from policies.arrays import Float64Array, IntArray
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

SIZES = (10_000, 100_000, 1_000_000)
CHUNK = 10_000
REPEATS = 3
LIMIT = 1.05


def main() -> None:
    retailer = load_retailer(Path(__file__).parents[1] / "configs" / "retail", environment={})
    schema = ProfileSchema.from_retailer(retailer)
    core = DecisionCore(retailer, schema)
    policy = VWPolicy(VWSettings(space=FeatureSpace.of_customer(core.columns)), core.actions)
    states = schema.empty(100_000)
    apply(schema, states, random_events(schema))
    states = states[:CHUNK].copy()
    print(f"{len(core.columns)} columns, {len(core.actions)} actions, chunks of {CHUNK:,} customers")
    decide(core, policy, states, CHUNK)
    times = []
    for n in SIZES:
        seconds = min(decide(core, policy, states, n) for _ in range(REPEATS if n < max(SIZES) else 1))
        times.append(seconds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{n:>9,} customers: {seconds:7.3f} s, {seconds / n * 1e6:5.2f} us each, peak memory so far {peak:,.0f} MB"
        )
    exponent = float(np.polyfit(np.log(SIZES), np.log(times), 1)[0])
    print(f"time grows as n ** {exponent:.3f} (at most {LIMIT})")
    if not exponent <= LIMIT:
        raise SystemExit(f"deciding is not linear: n ** {exponent:.3f}")


def decide(core: DecisionCore, policy: VWPolicy, states: Float64Array, n: int) -> float:
    """Seconds to decide for n customers."""
    kept: list[tuple[IntArray, Float64Array]] = []
    size = len(states)
    contexts = np.zeros((size, len(core.context.columns)), dtype=np.float32)
    channels = np.ones((size, len(core.schema.channels)), dtype=bool)
    started = time.perf_counter()
    for start in range(0, n, size):
        decisions = core.decide(
            policy,
            states=states,
            contexts=contexts,
            channels=channels,
            ids=np.stack([np.zeros(size), np.arange(start, start + size)], axis=1).astype(np.uint64),
            now=START + SPAN,
        )
        kept.append((decisions.action, decisions.propensity))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
