"""Expected reward of every action for DM and DR, never predicted from the customer's own rounds."""

from __future__ import annotations

import numpy as np

from policies.arrays import Float64Array, IntArray
from policies.errors import EvaluationError
from policies.feedback import LoggedFeedback, customer_hash

FOLDS = 3
# In rounds: an action logged this often moves half-way from the shared model to its own data.
PENALTY = 50.0


def cross_fit(log: LoggedFeedback, *, salt: str = "reward-model") -> Float64Array:
    """Expected reward of every action on every round, from models fitted on other customers only.

    Customers fall into three folds by a salted hash; each fold's rows are predicted by models of the other two.

    Args:
        log: its features, action, reward and customer are read.
        salt: another salt gives other folds.

    Returns:
        float64 (n, A), unit of the reward.

    Raises:
        EvaluationError: too few customers for three folds.

    Source: Chernozhukov et al. 2018 (arXiv:1608.00060), cross-fitting.
    """
    fold = (customer_hash(log.customer, salt=salt) * FOLDS).astype(np.int64)
    features = log.features.astype(np.float64)
    A = len(log.actions)
    q_hat = np.empty((len(log), A))
    for held_out in range(FOLDS):
        rows = fold == held_out
        if rows.all():
            raise EvaluationError(
                f"cross-fitting needs several customers; all {len(log)} rows fall in one fold. Use IPS or SNIPS."
            )
        q_hat[rows] = fit_predict(
            features[~rows], action=log.action[~rows], reward=log.reward[~rows], actions=A, predict=features[rows]
        )
    return q_hat


def fit_predict(
    features: Float64Array, *, action: IntArray, reward: Float64Array, actions: int, predict: Float64Array
) -> Float64Array:
    """Fit one ridge regression on all rounds and, per action, a ridge regression on what it leaves over.

    An action with few rounds stays near the shared model; one with many follows its own data.

    Args:
        features: float64 (m, F), of the fitting rounds.
        action: int64 (m,).
        reward: float64 (m,).
        actions: number of actions A.
        predict: float64 (k, F), rounds to predict.

    Returns:
        float64 (k, A). Predictions are not clipped to the range of the rewards: with rare rewards that would raise
        their mean.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale < 1e-9] = np.inf
    known, asked = (features - mean) / scale, (predict - mean) / scale
    base = float(reward.mean())
    shared = ridge(known, reward - base, penalty=PENALTY)
    residual = reward - base - known @ shared
    known, asked_one = _with_constant(known), _with_constant(asked)
    q_hat: Float64Array = np.repeat((base + asked @ shared)[:, None], actions, axis=1)
    for a in np.unique(action):
        rows = action == a
        q_hat[:, a] += asked_one @ ridge(known[rows], residual[rows], penalty=PENALTY)
    return q_hat


def ridge(X: Float64Array, y: Float64Array, *, penalty: float) -> Float64Array:
    """Minimiser of `|y - X b|**2 + penalty * |b|**2`, i.e. `(X'X + penalty I)^-1 X'y`, float64 (F,).

    Args:
        X: float64 (m, F).
        y: float64 (m,).
        penalty: > 0.

    Source: Hoerl & Kennard 1970.
    """
    gram = X.T @ X
    gram[np.diag_indices_from(gram)] += penalty
    return np.linalg.solve(gram, X.T @ y).astype(np.float64)


def _with_constant(X: Float64Array) -> Float64Array:
    return np.column_stack([np.ones(len(X)), X])
