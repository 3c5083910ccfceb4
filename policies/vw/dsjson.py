"""Logged feedback from and to dsjson, so that stock VW can train on our logs and we on others'."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from policies.actions import ActionFeature, ActionSet
from policies.arrays import Float32Array
from policies.errors import FeedbackError
from policies.feedback import LoggedFeedback
from policies.hashing import DEFAULT_NAMESPACE
from policies.vw.dsjson_features import JsonFeature, JsonObject, flatten
from policies.vw.dsjson_lines import DecisionLine, read_lines, write_text_lines
from policies.vw.feature_space import CUSTOMER, namespace_letter

MAX_COLUMNS = 4096


def read_dsjson_log(file: Path, *, max_columns: int = MAX_COLUMNS) -> LoggedFeedback:
    """Read the decisions with a known outcome from a dsjson file.

    Shared features become columns named `namespace|feature`. Actions are known by `_tag`, or by their
    features where they have none; they keep the features (namespace `A`) that are the same wherever they
    occur, and one that names them. An action is eligible where the event lists it. The reward is minus
    the cost. Lines with `_skipLearn`, without a label, or with `pdrop` 1 are left out, as VW does; any
    other `pdrop` lowers the propensity, so that the line also stands for those dropped.

    Args:
        file: dsjson, one event per line.
        max_columns: refuse logs with more distinct shared features, or actions, than this.

    Raises:
        FeedbackError: a damaged line, too many features, or no decision to learn from.
    """
    collected = _Collected(max_columns=max_columns)
    left_out = 0
    for line in read_lines(file):
        if isinstance(line, DecisionLine) and not line.skip_learn and line.label_index is not None and line.dropped < 1:
            try:
                collected.add(line)
            except FeedbackError as error:
                raise FeedbackError(f"{file}, line {line.number}: {error}") from error
        else:
            left_out += 1
    if not collected.rows:
        raise FeedbackError(f"{file} has no decision with a label to learn from; is it Vowpal Wabbit's dsjson?")
    without = f", {left_out} lines without a decision to learn from left out" if left_out else ""
    return collected.log(source=f"dsjson {file.name}{collected.sources}{without}")


def write_dsjson_log(log: LoggedFeedback, file: Path) -> None:
    """Write a log as dsjson: customer columns in namespace `U`, actions with their own namespaces.

    Stock VW with `--dsjson --cb_adf --cb_type mtr`, a policy's `space.vw_args()` and its learning rate
    ends with the weights that policy has after `learn` with `reward_scale=1`. The probabilities of the
    actions not chosen are not logged here; `p` shares what is left among them equally. `source` keeps the log's, which
    reading the file puts in front of the reader again.

    The cost of a line is minus the log's reward as it is: give a log of money as `log.net()`, since nobody who reads
    dsjson knows what actions cost.

    Raises:
        FeedbackError: a name VW's JSON ignores.
        FeatureError: a namespace VW cannot read.
    """
    _refuse_hidden(log)
    write_text_lines(_lines(log), file)


@dataclass
class _Collected:
    """Decisions as they are read, columns and actions numbered in order of appearance."""

    max_columns: int
    columns: dict[str, int] = field(default_factory=dict)
    actions: dict[str, set[tuple[str, float]]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    rows: list[tuple[DecisionLine, dict[int, float], list[int]]] = field(default_factory=list)

    @property
    def sources(self) -> str:
        """Where the decisions say they come from, so that simulated ones are not taken for real; empty if nowhere."""
        named = list(dict.fromkeys(line.source for line, _, _ in self.rows if line.source))
        return f" of: {'; '.join(named)}" if named else ""

    def add(self, line: DecisionLine) -> None:
        values: dict[int, float] = {}
        for feature in flatten(line.context):
            column = self.columns.setdefault(_label(feature), len(self.columns))
            values[column] = values.get(column, 0.0) + feature.value
        listed: list[int] = []
        for members in line.actions:
            listed.append(self._action(members, listed))
        for kind, names in (("shared features", self.columns), ("actions", self.numbers)):
            if len(names) > self.max_columns:
                raise FeedbackError(
                    f"more than {self.max_columns} distinct {kind}, the last one {list(names)[-1]!r}; put '_' before "
                    "the keys of ids and free text so that they are no features, or raise the limit"
                )
        self.rows.append((line, values, listed))

    def _action(self, members: JsonObject, taken: list[int]) -> int:
        features = {(_label(f), f.value) for f in flatten(members)}
        known_as = _action_id(members, features)
        name, count = known_as, 1
        while name in self.numbers and self.numbers[name] in taken:
            count += 1
            name = f"{known_as}#{count}"
        number = self.numbers.setdefault(name, len(self.numbers))
        self.actions[name] = self.actions.get(name, features) & features
        return number

    def log(self, *, source: str) -> LoggedFeedback:
        n = len(self.rows)
        features = np.zeros((n, len(self.columns)), dtype=np.float32)
        eligible = np.zeros((n, len(self.numbers)), dtype=bool)
        action = np.empty(n, dtype=np.int64)
        for i, (line, values, listed) in enumerate(self.rows):
            features[i, list(values)] = list(values.values())
            eligible[i, listed] = True
            action[i] = listed[line.label_index or 0]
        lines = [line for line, _, _ in self.rows]
        customers = [line.customer or line.event_id or f"line {line.number}" for line in lines]
        return LoggedFeedback(
            columns=tuple(self.columns),
            features=features,
            actions=ActionSet(
                ids=tuple(self.numbers),
                features=tuple(
                    (
                        ActionFeature("A", f"action={name}", 1.0),
                        *(ActionFeature("A", label, value) for label, value in sorted(self.actions[name])),
                    )
                    for name in self.numbers
                ),
                pairs=tuple(() for _ in self.numbers),
            ),
            eligible=eligible,
            action=action,
            propensity=np.array([line.probability * (1.0 - line.dropped) for line in lines]),
            reward=np.array([-line.cost for line in lines]) + 0.0,
            customer=np.array(customers, dtype=object),
            source=source,
        )


def _label(feature: JsonFeature) -> str:
    return feature.name if feature.namespace == DEFAULT_NAMESPACE else f"{feature.namespace}|{feature.name}"


def _action_id(members: JsonObject, features: set[tuple[str, float]]) -> str:
    tag = dict(members).get("_tag")
    if tag is not None and not isinstance(tag, str):
        raise FeedbackError(f"'_tag' must be a string, got {tag!r}")
    if tag:
        return tag
    labels = [label if value == 1.0 else f"{label}:{value:g}" for label, value in sorted(features)]
    return ",".join(labels) or "action"


def _lines(log: LoggedFeedback) -> Iterator[str]:
    position = {name: i for i, name in enumerate(log.columns)}
    names = [json.dumps(c) for c in log.columns]
    source = f',"source":{json.dumps(log.source)}' if log.source else ""
    for i in range(len(log)):
        row = log.features[i]
        listed = np.flatnonzero(log.eligible[i]).tolist()
        label = listed.index(int(log.action[i]))
        shared = ",".join(f"{names[c]}:{float(row[c])!r}" for c in np.flatnonzero(row).tolist())
        actions = ",".join(_action_json(log.actions, a, row, position) for a in listed)
        propensity, others = float(log.propensity[i]), len(listed) - 1
        rest = (1.0 - propensity) / others if others else 0.0
        order = [label + 1, *(a + 1 for a in range(len(listed)) if a != label)]
        yield (
            f'{{"_label_cost":{-float(log.reward[i])!r},"_label_probability":{propensity!r},'
            f'"_label_Action":{label + 1},"_labelIndex":{label},"EventId":"{i}",'
            f'"customer":{json.dumps(str(log.customer[i]))}{source},"a":{json.dumps(order)},'
            f'"c":{{"{CUSTOMER}":{{{shared}}},"_multi":[{actions}]}},"p":{json.dumps([propensity] + [rest] * others)}}}'
        )


def _action_json(actions: ActionSet, action: int, row: Float32Array, position: dict[str, int]) -> str:
    members: dict[str, list[str]] = {}
    for namespace, name, value in actions.features[action]:
        members.setdefault(namespace, []).append(f"{json.dumps(name)}:{float(value)!r}")
    for namespace, name, column in actions.pairs[action]:
        if value := float(row[position[column]]):
            members.setdefault(namespace, []).append(f"{json.dumps(name)}:{value!r}")
    namespaces = "".join(f",{json.dumps(namespace)}:{{{','.join(items)}}}" for namespace, items in members.items())
    return f'{{"_tag":{json.dumps(actions.ids[action])}{namespaces}}}'


def _refuse_hidden(log: LoggedFeedback) -> None:
    parts = [f[:2] for fs in (*log.actions.features, *log.actions.pairs) for f in fs]
    for namespace in {namespace for namespace, _ in parts}:
        namespace_letter(namespace)
    for name in [*log.columns, *(name for part in parts for name in part)]:
        if name.startswith("_"):
            raise FeedbackError(f"VW's JSON ignores names that start with '_'; rename {name!r}")
    for a, pairs in zip(log.actions.ids, log.actions.pairs, strict=True):
        for pair in pairs:
            if pair.column not in log.columns:
                raise FeedbackError(f"action {a!r} looks up column {pair.column!r}, which the log does not have")
