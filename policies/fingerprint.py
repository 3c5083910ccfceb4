"""What a policy would decide, as one short text: two runs belong together only if their policies are the same."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from policies.policy import Policy

ROWS = 256
_LARGEST = (0.03, 0.3, 3.0)  # features of customers are in [0, 3]


def fingerprint(policy: Policy) -> str:
    """SHA-256 over a policy's class, its public attributes and its answers for random customers, in hexadecimal.

    Attributes that begin with an underscore are left out, since caches live there; what is learned and hidden in
    them shows in the answers.
    """
    digest = hashlib.sha256()
    kind = type(policy)
    _feed(digest, (kind.__module__, kind.__qualname__, _source(kind), policy.name))
    _feed(digest, {name: value for name, value in _attributes(policy).items() if not name.startswith("_")})
    random = np.random.default_rng(0)
    for largest in _LARGEST:
        features = random.uniform(0, largest, (ROWS, len(policy.columns)))
        scores = policy.scores(features.astype(np.float32))
        eligible = random.random(scores.shape) < 0.5
        eligible[:, 0] = True
        _feed(digest, (scores, policy.distribution(scores, eligible)))
    return digest.hexdigest()


def _attributes(value: object) -> dict[str, Any]:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(getattr(value, "__dict__", {}))


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # made in an interactive session: its answers have to do
        return ""


def _feed(digest: Any, value: object) -> None:
    """Add a value, with its type and length, so that different values never look alike."""
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype} {value.shape};".encode())
        digest.update(np.ascontiguousarray(value).tobytes() if value.dtype != object else repr(value.tolist()).encode())
    elif isinstance(value, (str, bytes, bool, int, float, np.generic)) or value is None:
        text = repr(value).encode()
        digest.update(f"{len(text)} ".encode() + text)
    elif isinstance(value, Mapping):
        digest.update(f"mapping {len(value)};".encode())
        for key in sorted(value, key=repr):
            _feed(digest, (key, value[key]))
    elif isinstance(value, (tuple, list)):
        digest.update(f"sequence {len(value)};".encode())
        for item in value:
            _feed(digest, item)
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(f"{type(value).__qualname__};".encode())
        _feed(digest, _attributes(value))
    else:
        digest.update(f"{type(value).__qualname__};".encode())
