"""Cost of IPS and SNIPS against the same formula in plain NumPy, on a million rounds, in one process.

Run: `python -m benchmarks.ope_speed`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from policies.evaluation.estimators import IPS, SNIPS
from policies.evaluation.rounds import Rounds

ROUNDS = 1_000_000
ACTIONS = 10
REPEATS = 7


def main() -> None:
    generator = np.random.default_rng(0)
    pi = generator.dirichlet(np.ones(ACTIONS), size=ROUNDS)
    action = generator.integers(0, ACTIONS, ROUNDS)
    propensity = generator.uniform(0.05, 1.0, ROUNDS)
    reward = (generator.random(ROUNDS) < 0.05).astype(np.float64)

    def rounds() -> Rounds:
        return Rounds(reward=reward, propensity=propensity, action=action, pi=pi)

    def plain_ips() -> float:
        weight = pi[np.arange(ROUNDS), action] / propensity
        return float(np.mean(weight * reward))

    def plain_snips() -> float:
        weight = pi[np.arange(ROUNDS), action] / propensity
        return float(np.sum(weight * reward) / np.sum(weight))

    plain = {"IPS": plain_ips, "SNIPS": plain_snips}
    print(f"{ROUNDS:,} rounds, {ACTIONS} actions; best of {REPEATS}; checks of the input included")
    print(f"{'what':24} {'ms':>8} {'ratio':>6}")
    for estimator in (IPS(), SNIPS()):
        reference, ours = _best(plain[estimator.name], lambda e=estimator: e.value(rounds()))
        print(f"{estimator.name + ' plain NumPy':24} {reference * 1e3:8.1f} {1:6.2f}")
        print(f"{estimator.name + ' value':24} {ours * 1e3:8.1f} {ours / reference:6.2f}")
        _, full = _best(plain[estimator.name], lambda e=estimator: e.estimate(rounds(), seed=0))
        print(f"{estimator.name + ' with interval':24} {full * 1e3:8.1f} {full / reference:6.2f}")


def _best(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Shortest of several runs of each, taken in turns so that both see the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for function, taken in zip((first, second), times, strict=True):
            start = perf_counter()
            function()
            taken.append(perf_counter() - start)
    return min(times[0]), min(times[1])


if __name__ == "__main__":
    main()
