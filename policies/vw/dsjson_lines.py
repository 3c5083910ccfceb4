"""Vowpal Wabbit's dsjson log lines, read and written without loss.

A line is a decision, or something VW skips: an observation without its decision, a decision without
actions (`a`), a checkpoint mark, a blank. Every line keeps its text, so what is not understood is kept too.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.errors import FeedbackError
from policies.vw.dsjson_features import JsonObject


@dataclass(frozen=True)
class SkippedLine:
    """A line that is not a decision; VW skips it."""

    text: str


@dataclass(frozen=True)
class DecisionLine:
    """One decision.

    Attributes:
        text: the line as written.
        number: line number in its file, from 1.
        context: the shared members, `c` without `_multi`.
        actions: members of each action, `c._multi`.
        event_id: `EventId`, empty if the line has none.
        customer: `customer`, as this project writes it; empty if the line has none.
        source: `source`, where the decision comes from, as this project writes it; empty if the line has none.
        label_index: position of the chosen action, `_labelIndex`; None if the outcome is not known.
        cost: `_label_cost`.
        probability: `_label_probability`, of the chosen action.
        skip_learn: `_skipLearn`: the action was not taken by the logging policy.
        dropped: `pdrop`, the probability with which such a line was left out of the log.
    """

    text: str
    number: int
    context: JsonObject
    actions: tuple[JsonObject, ...]
    event_id: str
    customer: str
    source: str
    label_index: int | None
    cost: float
    probability: float
    skip_learn: bool
    dropped: float


DsjsonLine = DecisionLine | SkippedLine


def read_lines(file: Path) -> Iterator[DsjsonLine]:
    """Lines of a dsjson file, in order.

    Raises:
        FeedbackError: a line is damaged; the message names file, line and fault.
    """
    with _open(file) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _parse(line.rstrip(b"\n"), number)
            except (ValueError, RecursionError, FeedbackError) as error:
                raise FeedbackError(f"{file}, line {number}: {_reason(error)}") from error


def write_text_lines(lines: Iterable[str], file: Path) -> None:
    """Write text lines; the file appears whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    staging = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.writelines(f"{line}\n" for line in lines)
        staging.chmod(0o644)
        staging.replace(file)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise


def _open(file: Path) -> Any:
    try:
        return file.open("rb")
    except OSError as error:
        raise FeedbackError(f"cannot read {file}: {error.strerror}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg} at column {error.colno}); the line is cut off or damaged"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text (byte {error.start + 1}); the line is damaged"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)


def _parse(raw: bytes, number: int) -> DsjsonLine:
    text = raw.decode()
    if not text.startswith("{"):
        return SkippedLine(text)
    members = json.loads(text, object_pairs_hook=tuple, parse_constant=_refuse_constant)
    fields = dict(members)
    if "c" not in fields or not fields.get("a"):
        return SkippedLine(text)
    context = fields["c"]
    if not isinstance(context, tuple):
        raise FeedbackError(f"'c' must be an object, got {context!r}")
    actions = dict(context).get("_multi")
    if not isinstance(actions, list) or not actions or not all(isinstance(a, tuple) for a in actions):
        raise FeedbackError("'c' needs '_multi', a list of at least one action object")
    label_index = _label_index(fields, len(actions))
    skip_learn = fields.get("_skipLearn", False)
    if not isinstance(skip_learn, bool):
        raise FeedbackError(f"'_skipLearn' must be true or false, got {skip_learn!r}")
    probability = _number(fields, "_label_probability", default=0.0)
    if label_index is not None and not 0 < probability <= 1:
        raise FeedbackError(f"'_label_probability' must be in (0, 1], got {probability}")
    dropped = _number(fields, "pdrop", default=0.0)
    if not 0 <= dropped <= 1:
        raise FeedbackError(f"'pdrop' must be in [0, 1], got {dropped}")
    return DecisionLine(
        text=text,
        number=number,
        context=tuple((key, value) for key, value in context if key != "_multi"),
        actions=tuple(actions),
        event_id=str(fields.get("EventId", "")),
        customer=str(fields.get("customer", "")),
        source=str(fields.get("source", "")),
        label_index=label_index,
        cost=_number(fields, "_label_cost", default=0.0),
        probability=probability,
        skip_learn=skip_learn,
        dropped=dropped,
    )


def _label_index(fields: dict[str, Any], actions: int) -> int | None:
    """Position of the chosen action from `_labelIndex` (from 0) or `_label_Action` (from 1), which must agree."""
    if "_label_cost" not in fields:
        return None
    found = {
        _integer(fields, key) - start for key, start in (("_labelIndex", 0), ("_label_Action", 1)) if key in fields
    }
    if len(found) != 1:
        raise FeedbackError(
            f"'_labelIndex' ({fields.get('_labelIndex')!r}, from 0) and '_label_Action' "
            f"({fields.get('_label_Action')!r}, from 1) must name one action"
        )
    index = found.pop()
    if not 0 <= index < actions:
        raise FeedbackError(f"the label names action {index + 1} of {actions}")
    return index


def _integer(fields: dict[str, Any], key: str) -> int:
    value = fields[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise FeedbackError(f"{key!r} must be a whole number, got {value!r}")
    return value


def _number(fields: dict[str, Any], key: str, *, default: float) -> float:
    value = fields.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FeedbackError(f"{key!r} must be a finite number, got {value!r}")
    return float(value)


def _refuse_constant(name: str) -> float:
    raise FeedbackError(f"{name} is not a number a log can hold")
