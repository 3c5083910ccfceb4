"""Deciding for many customers at once, against Vowpal Wabbit's own `predict_one` and MABWiser's LinUCB.

100,000 customers, 20 actions, 15 features that are not zero, SquareCB, draw included. The reference loop reuses its
examples and refills the shared one only. Run: `python -m benchmarks.decision_core`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from vowpal_wabbit_next import CBLabel, Example, Workspace

from policies.actions import ActionFeature, ActionSet
from policies.arrays import Float32Array, IntArray
from policies.exploration.draws import draw, uniforms
from policies.hashing import hash_feature
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

CUSTOMERS, ACTIONS, FEATURES = 100_000, 20, 15
VW_SAMPLE, MABWISER_SAMPLE = 3_000, 1_000
REPEATS = 5


def main() -> None:
    features = np.random.default_rng(0).uniform(0.1, 1.0, (CUSTOMERS, FEATURES)).astype(np.float32)
    ids = np.random.default_rng(1).integers(2**63, size=(CUSTOMERS, 2), dtype=np.uint64)
    eligible = np.ones((CUSTOMERS, ACTIONS), dtype=bool)
    policy = trained_policy(features[:2000])

    def decide() -> IntArray:
        distribution = policy.distribution(policy.scores(features), eligible)
        return draw(distribution, uniforms(ids, stream="action"))

    decide()  # compiles the matrix
    vw, mabwiser = vw_loop(features[:VW_SAMPLE]), linucb(features[:2000])
    ours, theirs, others = [], [], []
    for _ in range(REPEATS):  # taking turns, so that a busy machine slows all alike
        ours.append(seconds(decide) / CUSTOMERS)
        theirs.append(seconds(vw) / VW_SAMPLE)
        others.append(seconds(lambda: mabwiser.predict(features[:MABWISER_SAMPLE])) / MABWISER_SAMPLE)
    print(f"{'':26} {'best':>9} {'median':>9}  per decision")
    for name, times in (("this project", ours), ("VW predict_one", theirs), ("MABWiser LinUCB", others)):
        print(f"{name:26} {min(times) * 1e6:6.2f} us {np.median(times) * 1e6:6.2f} us")
    for name, times in (("VW predict_one", theirs), ("MABWiser LinUCB", others)):
        best, median = min(times) / min(ours), np.median(times) / np.median(ours)
        print(f"faster than {name}: {best:.0f}x (best of {REPEATS}), {median:.0f}x (medians)")


def catalogue() -> ActionSet:
    ids = tuple(f"action {i}" for i in range(ACTIONS))
    return ActionSet(
        ids=ids, features=tuple((ActionFeature("A", f"action={i}", 1.0),) for i in ids), pairs=tuple(() for _ in ids)
    )


def trained_policy(features: Float32Array) -> VWPolicy:
    space = FeatureSpace.of_customer(tuple(f"column {i}" for i in range(FEATURES)))
    policy = VWPolicy(VWSettings(space=space), catalogue())
    random = np.random.default_rng(2)
    policy.learn_rows(
        features,
        eligible=np.full(len(features), ACTIONS),
        action=random.integers(ACTIONS, size=len(features)),
        propensity=np.full(len(features), 1 / ACTIONS),
        reward=random.random(len(features)),
    )
    return policy


def vw_loop(features: Float32Array) -> Callable[[], None]:
    workspace = Workspace(["--cb_explore_adf", "--squarecb", "-q", "UA", "--quiet"])
    shared = Example()
    group = shared["U"]
    indices = np.array([hash_feature("U", f"column {i}") for i in range(FEATURES)], dtype=np.uint64)
    group.push_many_features(indices, features[0])
    shared.set_label(CBLabel(shared=True))
    examples = [shared]
    for i in range(ACTIONS):
        example = Example()
        example["A"].push_feature(hash_feature("A", f"action=action {i}"), 1.0)
        example.set_label(CBLabel(label=(0.5, 0.05)) if i == 0 else CBLabel())
        examples.append(example)
    workspace.learn_one(examples)
    examples[1].set_label(CBLabel())

    def loop() -> None:
        for row in features:
            group.truncate_to(0)
            group.push_many_features(indices, row)
            workspace.predict_one(examples)

    return loop


def linucb(features: Float32Array) -> MAB:
    random = np.random.default_rng(3)
    arms = list(range(ACTIONS))
    bandit = MAB(arms=arms, learning_policy=LearningPolicy.LinUCB(alpha=1.0))
    bandit.fit(
        decisions=random.integers(ACTIONS, size=len(features)), rewards=random.random(len(features)), contexts=features
    )
    return bandit


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
