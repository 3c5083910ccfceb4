"""UCI problems as bandits: progressive loss of the default online learner against VW's best algorithms.

One setting for all four sets, the default of `journey replay`. VW's numbers are the best of greedy, SquareCB and
RegCB, each at the best of six learning rates for that very set (VW 9.11, same files, same order).

Run: python -m benchmarks.uci_progressive [folder of the real data]
"""

from __future__ import annotations

import gzip
import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from policies.actions import ActionSet
from policies.arrays import Float32Array, IntArray
from policies.exploration.draws import draw
from policies.exploration.explorers import Explorer
from policies.learning.learning_rate_search import LearningRateSearch
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWSettings

VW_BEST = {"optdigits": 0.130, "pendigits": 0.190, "waveform5000": 0.174, "splice": 0.094}
SEEDS = 3
LIMIT = 1.25  # ratio to VW's best, for every set


def read_multiclass(file: Path) -> tuple[tuple[str, ...], Float32Array, IntArray]:
    """Read VW multiclass text with one namespace, gzipped.

    Returns:
        Feature names, features float32 (n, F) without those that occur in one row only, labels 0 to K-1 as int64 (n,).
    """
    labels, rows = [], []
    with gzip.open(file, "rt") as lines:
        for line in lines:
            label, _, tokens = line.partition("|x")
            labels.append(int(label))
            rows.append([(name, float(value or 1)) for name, _, value in (t.partition(":") for t in tokens.split())])
    counts = Counter(name for row in rows for name, _ in row)
    position = {name: i for i, name in enumerate(name for name, count in counts.items() if count > 1)}
    features = np.zeros((len(rows), len(position)), dtype=np.float32)
    for i, row in enumerate(rows):
        for name, value in row:
            if name in position:
                features[i, position[name]] = value
    return tuple(position), features, np.unique(labels, return_inverse=True)[1]


def progressive_loss(columns: tuple[str, ...], features: Float32Array, label: IntArray, *, seed: int) -> float:
    """Share of wrong choices when every row is decided, answered (1 if right, else 0) and learned, in order."""
    classes = int(label.max()) + 1
    settings = VWSettings(space=FeatureSpace.of_customer(columns), explorer=Explorer(), importance="none")
    ladder = LearningRateSearch(settings, ActionSet.of(*map(str, range(classes))))
    every, number = np.ones((1, classes), dtype=bool), np.array([classes])
    u = np.random.default_rng(seed).random(len(label))
    right = 0.0
    for i in range(len(label)):
        row = features[i : i + 1]
        p = ladder.distribution(ladder.scores(row), every)
        action = draw(p, u[i : i + 1])
        reward = (action == label[i]).astype(np.float64)
        ladder.learn_rows(row, eligible=number, action=action, propensity=p[0, action], reward=reward)
        right += reward[0]
    return 1.0 - right / len(label)


def run(job: tuple[Path, int]) -> float:
    file, seed = job
    return progressive_loss(*read_multiclass(file), seed=seed)


def main() -> None:
    default = os.environ.get("JOURNEY_DATA", str(Path(__file__).parents[2] / "shared" / "data"))
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else default) / "uci"
    started = time.perf_counter()
    jobs = [(folder / f"{name}.vw.gz", seed) for name in VW_BEST for seed in range(SEEDS)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        losses = np.array(pool.map(run, jobs, chunksize=1)).reshape(len(VW_BEST), SEEDS)
    print(f"{'set':14} {'loss':>6} {'seeds':>20} {'VW best':>8} {'ratio':>6}")
    ratios = []
    for name, of_set in zip(VW_BEST, losses, strict=True):
        ratios.append(of_set.mean() / VW_BEST[name])
        seeds = " ".join(f"{loss:.4f}" for loss in of_set)
        print(f"{name:14} {of_set.mean():6.4f} {seeds:>20} {VW_BEST[name]:8.3f} {ratios[-1]:6.3f}")
    print(f"largest ratio {max(ratios):.3f} (limit {LIMIT}); {time.perf_counter() - started:.0f} s")
    if max(ratios) > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
