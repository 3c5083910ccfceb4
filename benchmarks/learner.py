"""Learning from a log, against VW's own command line on the same log read from its binary cache.

Both end with the same weights (checked). Two rewards: clicks, and money (a label that changes with every row).
Run: `python -m benchmarks.learner`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from vowpal_wabbit_next import Workspace, run_cli_driver

from policies.actions import ActionFeature, ActionSet
from policies.arrays import Float32Array, Float64Array
from policies.feedback import LoggedFeedback
from policies.vw.dsjson import write_dsjson_log
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

ROWS, ACTIONS, FEATURES = 50_000, 20, 15
RATE = 0.1
REPEATS = 5


def main() -> None:
    random = np.random.default_rng(0)
    clicks = (random.random(ROWS) < 0.15).astype(float)
    for name, reward in (("clicks", clicks), ("money", random.standard_normal(ROWS))):
        compare(name, make_log(reward))


def compare(name: str, log: LoggedFeedback) -> None:
    settings = VWSettings(space=FeatureSpace.of_customer(log.columns), learning_rate=RATE)
    args = ["--cb_adf", "--cb_type", "mtr", "-l", str(RATE), "--quiet", *settings.space.vw_args()]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_dsjson_log(log, work / "log.dsjson")
        run_cli_driver(["--dsjson", "-d", "log.dsjson", "-k", "--cache_file", "log.cache", *args], cwd=work)
        times: dict[str, list[float]] = {"this project": [], "VW, one thread": [], "VW, two threads": []}
        for _ in range(REPEATS):  # taking turns, so that a busy machine slows all alike
            start = time.perf_counter()
            policy = VWPolicy(settings, log.actions)
            policy.learn(log)
            times["this project"].append(time.perf_counter() - start)
            for label, onethread in (("VW, one thread", True), ("VW, two threads", False)):
                start = time.perf_counter()
                run_cli_driver(["--cache_file", "log.cache", "-f", "model.vw", *args], onethread=onethread, cwd=work)
                times[label].append(time.perf_counter() - start)
        difference = float(np.abs(weights(policy.model) - weights((work / "model.vw").read_bytes())).max())
    print(f"{name}: {ROWS:,} decisions, {ACTIONS} actions, {FEATURES} features; weights differ by {difference:.1g}")
    for label, seconds in times.items():
        print(
            f"  {label:16} best {min(seconds) / ROWS * 1e6:6.2f} us, median {np.median(seconds) / ROWS * 1e6:6.2f} us"
        )
    ours = times.pop("this project")
    best = min(map(min, times.values())) / min(ours)
    median = min(float(np.median(s)) for s in times.values()) / float(np.median(ours))
    print(f"  faster than VW's command line: {best:.2f}x (best of {REPEATS}), {median:.2f}x (medians)")
    if not difference <= 1e-4:
        raise SystemExit(f"the weights differ by {difference:.2g}")


def make_log(reward: Float64Array) -> LoggedFeedback:
    random = np.random.default_rng(1)
    ids = tuple(f"action {i}" for i in range(ACTIONS))
    return LoggedFeedback(
        columns=tuple(f"column {i}" for i in range(FEATURES)),
        features=random.standard_normal((ROWS, FEATURES)).astype(np.float32),
        actions=ActionSet(
            ids=ids,
            features=tuple(
                (ActionFeature("A", f"action={a}", 1.0), ActionFeature("A", f"channel={i % 3}", 1.0))
                for i, a in enumerate(ids)
            ),
            pairs=tuple(() for _ in ids),
        ),
        eligible=np.ones((ROWS, ACTIONS), dtype=bool),
        action=random.integers(ACTIONS, size=ROWS),
        propensity=np.full(ROWS, 1 / ACTIONS),
        reward=reward,
        customer=np.arange(ROWS).astype(str).astype(object),
    )


def weights(model: bytes) -> Float32Array:
    table: Float32Array = Workspace(["--quiet"], model_data=model).weights()[:, 0, 0]
    return table


if __name__ == "__main__":
    main()
