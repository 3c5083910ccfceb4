"""One off-policy question: a log's rounds and the distribution of the policy to be judged on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from policies.arrays import BoolArray, Float64Array, IntArray, StrArray
from policies.errors import EvaluationError
from policies.feedback import LoggedFeedback

# Distributions computed in float32 sum to 1 only this well.
ROUNDING = 1e-5
# Rows checked at a time: few enough to stay in the processor's cache between the passes.
BLOCK = 8_192


@dataclass(frozen=True)
class Rounds:
    """What every estimator reads, checked once.

    Attributes:
        reward: float64 (n,), observed reward of the logged action.
        propensity: float64 (n,), in (0, 1], probability with which the logging policy chose it.
        action: int64 (n,), index of the logged action.
        pi: float64 (n, A), the target policy's distribution; rows sum to 1.
        q_hat: float64 (n, A), expected reward of every action, needed by DM and DR only.
        customer: (n,) ids, strings or integers; rounds of one customer are resampled together. None: all differ.
        eligible: bool (n, A), what the logging policy could choose. None: everything.
        answered: bool (n,), rounds something worth anything followed. None: those with a reward other than 0.

    Raises:
        EvaluationError: shapes disagree, no rounds, a propensity outside (0, 1], values that are not finite, or
            rows of `pi` that are not distributions.
    """

    reward: Float64Array
    propensity: Float64Array
    action: IntArray
    pi: Float64Array
    q_hat: Float64Array | None = None
    customer: StrArray | IntArray | None = None
    eligible: BoolArray | None = None
    answered: BoolArray | None = None

    def __post_init__(self) -> None:
        if self.pi.ndim != 2:
            raise EvaluationError(f"pi has shape {self.pi.shape}, expected (rounds, actions)")
        n, A = self.pi.shape
        if n == 0:
            raise EvaluationError("the log has no rounds; there is nothing to evaluate on")
        for name, shape in {"reward": (n,), "propensity": (n,), "action": (n,), "customer": (n,)}.items():
            _refuse_shape(name, getattr(self, name), shape)
        _refuse_shape("q_hat", self.q_hat, (n, A))
        _refuse_shape("eligible", self.eligible, (n, A))
        _refuse_shape("answered", self.answered, (n,))
        if not (self.action.min() >= 0 and self.action.max() < A):
            raise EvaluationError(
                f"action must be an index below {A}, found {self.action.min()} to {self.action.max()}"
            )
        if not (self.propensity.min() > 0 and self.propensity.max() <= 1):
            found = f"{self.propensity.min()!r} to {self.propensity.max()!r}"
            raise EvaluationError(f"propensity must be in (0, 1], found {found}; log the final decision's probability")
        _refuse_not_finite("reward", self.reward)
        _refuse_not_finite("q_hat", self.q_hat)
        _refuse_not_distributions(self.pi)

    @classmethod
    def of(cls, log: LoggedFeedback, pi: Float64Array, *, q_hat: Float64Array | None = None) -> Rounds:
        """The question "what would `pi` have earned on this log?".

        Args:
            log: logged feedback of n rounds; its `reward` is what is estimated.
            pi: float64 (n, A), the target policy's distribution on the log's rows.
            q_hat: float64 (n, A), from `reward_model.cross_fit` or any model not fitted on the same customers.

        Raises:
            EvaluationError: see the class.
        """
        return cls(
            reward=log.reward,
            propensity=log.propensity,
            action=log.action,
            pi=pi,
            q_hat=q_hat,
            customer=log.customer,
            eligible=log.eligible,
            answered=log.answered,
        )

    def __len__(self) -> int:
        return len(self.action)

    @cached_property
    def weight(self) -> Float64Array:
        """Importance weights `pi(action) / propensity`, float64 (n,)."""
        weight = self.of_logged_action(self.pi)
        weight /= self.propensity
        return weight

    @cached_property
    def cluster(self) -> IntArray | None:
        """Customer number of every round, int64 (n,); None where every round has a customer of its own."""
        return None if self.customer is None else customer_codes(self.customer)

    def of_logged_action(self, table: Float64Array) -> Float64Array:
        """Column of the logged action in a float64 (n, A) table, float64 (n,)."""
        n, A = table.shape
        cell = np.arange(0, n * A, A)
        cell += self.action
        return table.ravel().take(cell).astype(np.float64, copy=False)


def customer_codes(customer: StrArray | IntArray) -> IntArray | None:
    """Number the customers 0, 1, ... in order of appearance, int64 (n,); None if each appears once."""
    values: Any = customer.tolist() if customer.dtype == object else customer
    encoded = pa.array(values).dictionary_encode()
    if len(encoded.dictionary) == len(customer):
        return None
    return np.asarray(encoded.indices, dtype=np.int64)


def _refuse_shape(name: str, values: Any, shape: tuple[int, ...]) -> None:
    if values is not None and values.shape != shape:
        raise EvaluationError(f"{name} has shape {values.shape}, expected {shape} to fit pi")


def _refuse_not_finite(name: str, values: Float64Array | None) -> None:
    # A sum is finite only if every term is, and needs no temporary of the array's size.
    if values is not None and not np.isfinite(values.sum()):
        where = np.argwhere(~np.isfinite(values))
        if len(where):
            raise EvaluationError(f"{name} must be finite, found {values[tuple(where[0])]!r} in row {where[0][0]}")


def _refuse_not_distributions(pi: Float64Array) -> None:
    ones = np.ones(pi.shape[1])
    for start in range(0, len(pi), BLOCK):
        block = pi[start : start + BLOCK]
        if not (low := block.min()) >= 0:
            raise EvaluationError(
                f"pi must be probabilities, found {low!r} in rows {start} to {start + len(block) - 1}"
            )
        totals = block @ ones
        if not (totals.min() >= 1 - ROUNDING and totals.max() <= 1 + ROUNDING):
            row = int(np.argmax(np.abs(totals - 1.0)))
            raise EvaluationError(f"rows of pi must sum to 1; row {start + row} sums to {totals[row]!r}")
