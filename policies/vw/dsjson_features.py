"""Vowpal Wabbit's rules that turn a JSON object into features.

Source: VW's JSON format (the parser in `vowpalwabbit/json_parser`), checked against the indices its
own parser gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from policies.errors import FeedbackError
from policies.hashing import DEFAULT_NAMESPACE

JsonObject = tuple[tuple[str, Any], ...]  # members in order: VW reads a repeated key twice
_ESCAPED = str.maketrans(" \t|:", "____")
_UNSUPPORTED = {"_slots": "decisions over several slots", "__aid": "deduplicated actions"}


class JsonFeature(NamedTuple):
    """One feature as VW reads it.

    Attributes:
        namespace: the innermost key that holds an object or array; a blank at the top.
        key: the key, or an array's position.
        text: a string value, escaped; None for numbers and booleans.
        value: float32 value, never 0.
    """

    namespace: str
    key: str
    text: str | None
    value: float

    @property
    def name(self) -> str:
        """The feature's name without `--chain_hash`."""
        return self.key + (self.text or "")


def flatten(members: JsonObject, *, namespace: str = DEFAULT_NAMESPACE) -> Iterator[JsonFeature]:
    """Features of one JSON object: the shared context, or one action of `_multi`.

    Keys that start with `_` are not features, except `_text`, whose words are.

    Raises:
        FeedbackError: a value VW has no rule for.
    """
    for key, value in members:
        if key in _UNSUPPORTED:
            raise FeedbackError(f"key {key!r} ({_UNSUPPORTED[key]}) is not supported; export plain CB decisions")
        if key == "_text":
            yield from _words(namespace, value)
        elif not key.startswith("_"):
            yield from _value(namespace, key, value)


def _value(namespace: str, key: str, value: Any) -> Iterator[JsonFeature]:
    if isinstance(value, tuple | list) and not key:
        raise FeedbackError("an object or array needs a key that is not empty: it names the namespace")
    if isinstance(value, tuple):
        yield from flatten(value, namespace=key)
    elif isinstance(value, list):
        yield from _array(key, value)
    elif isinstance(value, str):
        yield JsonFeature(namespace, key, value.translate(_ESCAPED), 1.0)
    elif value is not None:
        yield from _number(namespace, key, value)


def _array(namespace: str, items: list[Any]) -> Iterator[JsonFeature]:
    position = 0
    for item in items:
        if isinstance(item, tuple):
            yield from flatten(item, namespace=namespace)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield from _number(namespace, str(position), item)
            position += 1
        elif item is not None:
            raise FeedbackError(f"array {namespace!r} holds {item!r}; VW reads numbers and objects in arrays only")


def _number(namespace: str, key: str, value: float) -> Iterator[JsonFeature]:
    with np.errstate(over="ignore", under="ignore"):
        single = float(np.float32(value))
    if not np.isfinite(single):
        raise FeedbackError(f"feature {key!r} is {value!r}, too large for a 32-bit number")
    if single:
        yield JsonFeature(namespace, key, None, single)


def _words(namespace: str, text: Any) -> Iterator[JsonFeature]:
    if not isinstance(text, str):
        raise FeedbackError(f"'_text' must be a string, got {text!r}")
    for word in text.replace("\t", " ").split(" "):
        if word:
            yield JsonFeature(namespace, word.translate(_ESCAPED), None, 1.0)
