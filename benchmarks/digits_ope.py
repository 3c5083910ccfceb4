"""Digits as a bandit: relative errors of the four estimators against a value known exactly.

Setting of Open Bandit Pipeline's multi-class tutorial (Saito et al. 2021, arXiv:2008.07146): 70 % of scikit-learn's
digits are the log, a logistic regression fitted on the rest is the logging policy (uniform with probability .2), a
random forest the policy to judge (uniform with probability .1). Run: `python -m benchmarks.digits_ope`.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from policies.actions import ActionSet
from policies.arrays import Float64Array, IntArray
from policies.evaluation.estimators import ESTIMATORS
from policies.evaluation.reward_model import cross_fit
from policies.evaluation.rounds import Rounds
from policies.feedback import LoggedFeedback

RUNS = 30
# Relative errors printed by that tutorial's authors for 30 runs; their reward model shares weights across actions.
PUBLISHED = {"IPS": 0.030, "SNIPS": 0.023, "DM": 0.437, "DR": 0.016}


def main() -> None:
    truths, errors = relative_errors(range(RUNS))
    print(f"true value {truths.mean():.4f} (published .8771), mean over {RUNS} runs")
    print(f"{'estimator':10} {'relative error':>14} {'published':>10} {'ratio':>6}")
    for name, error in errors.items():
        print(f"{name:10} {error.mean():14.4f} {PUBLISHED[name]:10.3f} {error.mean() / PUBLISHED[name]:6.2f}")


def relative_errors(runs: range) -> tuple[Float64Array, dict[str, Float64Array]]:
    """True values (runs,) and, per estimator, `|estimate - truth| / truth` (runs,)."""
    truths, errors = [], {estimator.name: [] for estimator in ESTIMATORS}
    for run in runs:
        log, pi, truth = digits_log(seed=run)
        rounds = Rounds.of(log, pi, q_hat=cross_fit(log))
        truths.append(truth)
        for estimator in ESTIMATORS:
            errors[estimator.name].append(abs(estimator.value(rounds) - truth) / truth)
    return np.array(truths), {name: np.array(values) for name, values in errors.items()}


def digits_log(*, seed: int) -> tuple[LoggedFeedback, Float64Array, float]:
    """A log, the target policy's distribution (n, 10) on it, and that policy's true value."""
    X, y = load_digits(return_X_y=True)
    X_fit, X_log, y_fit, y_log = train_test_split(X / 16.0, y, test_size=0.7, random_state=seed)
    logging_choice = LogisticRegression(max_iter=10_000).fit(X_fit, y_fit).predict(X_log)
    target_choice = RandomForestClassifier(random_state=seed).fit(X_fit, y_fit).predict(X_log)
    logging, pi = _soften(logging_choice, greedy=0.8), _soften(target_choice, greedy=0.9)
    n = len(y_log)
    draw = np.random.default_rng(seed).random((n, 1))
    action = np.minimum((logging.cumsum(axis=1) < draw).sum(axis=1), 9)
    log = LoggedFeedback(
        columns=tuple(f"pixel.{i}" for i in range(X.shape[1])),
        features=X_log.astype(np.float32),
        actions=ActionSet.of(*(str(digit) for digit in range(10))),
        eligible=np.ones((n, 10), dtype=bool),
        action=action,
        propensity=logging[np.arange(n), action],
        reward=(action == y_log).astype(np.float64),
        customer=np.array([str(i) for i in range(n)], dtype=object),
    )
    return log, pi, float(pi[np.arange(n), y_log].mean())


def _soften(choice: IntArray, *, greedy: float) -> Float64Array:
    pi = np.full((len(choice), 10), (1.0 - greedy) / 10)
    pi[np.arange(len(choice)), choice] += greedy
    return pi


if __name__ == "__main__":
    main()
