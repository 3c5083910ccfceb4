"""Does an object behave as a policy must? For everybody who writes a policy of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array
from policies.errors import ContractError
from policies.policy import Policy

ROWS = 64
LARGEST = 3.0  # of the features a decision core gives, none of which is negative
HOLD = "hold"
ROUNDING = 1e-5  # of a score, relative to the largest: sums may be rounded differently in another batch
SUM = 1e-9  # by which probabilities of a row may miss 1


def check_policy(policy: Policy) -> None:
    """Try a policy on random customers, and refuse it with the first promise of `Policy` it breaks.

    They are like those of the decision core: features in [0, 3], and `hold`, where it is the first action, eligible.

    Checked are names and types; shapes and dtypes of `scores` and `distribution`; that rows sum to 1 and are zero where
    not eligible; that a row does not depend on the others of its batch (beyond rounding); that asking twice gives
    the same answer; and that what is passed in stays as it was.

    Raises:
        ContractError: says what was asked, what came back, and what is expected.

    Example:
        >>> from policies.actions import ActionSet
        >>> from policies.learning.baselines import RandomPolicy
        >>> check_policy(RandomPolicy(ActionSet.of("hold", "mail"), columns=("recency", "spend")))
    """
    _check_names(policy)
    random = np.random.default_rng(0)
    features = random.uniform(0, LARGEST, (ROWS, len(policy.columns))).astype(np.float32)
    scores = _check_scores(policy, features)
    _check_distribution(policy, scores, _masks(random, policy.actions))


def _check_names(policy: Policy) -> None:
    who = f"policy {type(policy).__name__}"
    expected: dict[str, tuple[type, str]] = {
        "name": (str, "a short text, shown in tables"),
        "actions": (ActionSet, "the ActionSet it was made for"),
        "columns": (tuple, "the names of its feature columns"),
        "reward_name": (str, "the unit of its scores, such as 'money' or 'reward'"),
    }
    for attribute, (kind, what) in expected.items():
        if not hasattr(policy, attribute):
            raise ContractError(f"{who} has no `{attribute}`; give it {what}")
        if not isinstance(found := getattr(policy, attribute), kind):
            raise ContractError(f"{who}: `{attribute}` is {_shown(found)}; expected {what} ({kind.__name__})")
    for method in ("scores", "distribution"):
        if not callable(getattr(policy, method, None)):
            raise ContractError(f"{who} has no method `{method}`; see policies.policy.Policy for what it returns")
    if not policy.name:
        raise ContractError(f"{who}: `name` is empty; give it a short text, shown in tables")
    if not all(isinstance(column, str) for column in policy.columns):
        raise ContractError(f"{who}: `columns` must hold texts only, found {_shown(policy.columns)}")


def _check_scores(policy: Policy, features: Float32Array) -> Float32Array:
    place = f"policy {policy.name!r}: scores(features {features.shape})"
    shape = (len(features), len(policy.actions))
    scores: Float32Array = _asked(place, policy.scores, features)
    _check_array(place, scores, shape=shape, dtype=np.float32)
    _check_same(place, "asked twice", scores, _asked(place, policy.scores, features))
    tolerance = ROUNDING * max(1.0, float(np.abs(scores).max(initial=0.0)))
    order = np.arange(len(features))[::-1]
    whole = _asked(place, policy.scores, features[order])
    _check_rows(place, "in another order", scores[order], whole, tolerance=tolerance)
    alone = np.concatenate([_asked(place, policy.scores, features[i : i + 1]) for i in range(len(features))])
    _check_rows(place, "alone", scores, alone, tolerance=tolerance)
    return scores


def _check_distribution(policy: Policy, scores: Float32Array, eligible: BoolArray) -> None:
    place = f"policy {policy.name!r}: distribution(scores {scores.shape}, eligible)"
    p: Float64Array = _asked(place, policy.distribution, scores, eligible)
    _check_array(place, p, shape=scores.shape, dtype=np.float64)
    _refuse(place, p < 0, p, "a probability is below 0")
    _refuse(place, (p != 0) & ~eligible, p, "probability on an action that is not eligible; it must be exactly 0")
    off = np.abs(p.sum(axis=1) - 1.0) > SUM
    _refuse(place, np.broadcast_to(off[:, None], p.shape), p.sum(axis=1, keepdims=True), "a row must sum to 1, not to")
    _check_same(place, "asked twice", p, _asked(place, policy.distribution, scores, eligible))
    rows = [_asked(place, policy.distribution, scores[i : i + 1], eligible[i : i + 1]) for i in range(len(scores))]
    _check_rows(place, "alone", p, np.concatenate(rows), tolerance=ROUNDING)


def _masks(random: np.random.Generator, actions: ActionSet) -> BoolArray:
    """Rows in which every action, one action (beside `hold`), or some of them are eligible; bool (ROWS, A)."""
    eligible = random.random((ROWS, len(actions))) < 0.5
    eligible[::4] = True
    eligible[1::4] = False
    eligible[np.arange(ROWS), random.integers(len(actions), size=ROWS)] = True
    if actions.ids[0] == HOLD:
        eligible[:, 0] = True
    return eligible


def _asked(place: str, method: Callable[..., Any], *arrays: np.ndarray[Any, Any]) -> Any:
    given = [np.ascontiguousarray(array) for array in arrays]
    before = [array.copy() for array in given]
    try:
        answer = method(*given)
    except Exception as error:
        raise ContractError(f"{place} raised {type(error).__name__}: {error}") from error
    if not all(np.array_equal(a, b) for a, b in zip(given, before, strict=True)):
        raise ContractError(f"{place} changed what was passed in; work on a copy")
    return answer


def _check_array(place: str, found: Any, *, shape: tuple[int, int], dtype: type) -> None:
    wanted = np.dtype(dtype)
    if not isinstance(found, np.ndarray):
        raise ContractError(
            f"{place} returned {_shown(found)}; expected a NumPy array of shape {shape}, dtype {wanted}"
        )
    if found.shape != shape:
        raise ContractError(f"{place} returned shape {found.shape}; expected {shape}, customers by actions")
    if found.dtype != wanted:
        raise ContractError(f"{place} returned dtype {found.dtype}; expected {wanted}: add .astype(np.{wanted})")
    _refuse(place, ~np.isfinite(found), found, "a value is not finite")


def _check_same(place: str, how: str, first: Float64Array | Float32Array, second: Any) -> None:
    if np.shape(second) != first.shape or not np.array_equal(first, second):
        raise ContractError(
            f"{place} {how} gives different answers; a policy must be a function of its arguments: the action is "
            "drawn for it from the distribution it returns"
        )


def _check_rows(place: str, how: str, expected: Any, found: Any, *, tolerance: float) -> None:
    if found.shape != expected.shape or not np.abs(found - expected).max(initial=0.0) <= tolerance:
        raise ContractError(
            f"{place}: a customer asked for {how} gets another answer; a row must not depend on the other rows of "
            "its batch"
        )


def _refuse(place: str, wrong: BoolArray, values: np.ndarray[Any, Any], why: str) -> None:
    if wrong.any():
        row, action = np.argwhere(wrong)[0]
        value = np.broadcast_to(values, wrong.shape)[row, action]
        raise ContractError(f"{place}: {why} ({value:g} in row {row}, action {action})")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
