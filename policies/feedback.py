"""Logged feedback: what learning and off-policy evaluation read, in memory and on disk.

On disk it is a directory of two files, written to a temporary sibling and renamed into place, so a
reader never sees half of one: `feedback.parquet` (one row per decision) and `log.json` (columns,
actions, where the data came from, and the Parquet file's checksum).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray, StrArray
from policies.errors import FeedbackError
from policies.whole_files import put_in_place

FORMAT = 1
MONEY = "money"  # a reward of this name is gross: the cost of the action itself is not in it
NET_MONEY = "net_money"


@dataclass(frozen=True)
class LoggedFeedback:
    """Decisions of a logging policy and what followed.

    Attributes:
        columns: names of the F feature columns.
        features: float32 (n, F), finite.
        actions: the A actions.
        eligible: bool (n, A); the chosen action is always eligible.
        action: int64 (n,), index of the chosen action.
        propensity: float64 (n,), in (0, 1]: probability with which the logging policy chose it.
        reward: float64 (n,), what learning maximises; money, or the outcome named `reward_name`.
        reward_name: what `reward` is.
        customer: str (n,), customer ids; splits are by customer, never by row.
        outcomes: named float64 (n,) arrays of everything observed after the decision.
        source: provenance in one line, shown in reports.
    """

    columns: tuple[str, ...]
    features: Float32Array
    actions: ActionSet
    eligible: BoolArray
    action: IntArray
    propensity: Float64Array
    reward: Float64Array
    customer: StrArray
    reward_name: str = "reward"
    outcomes: Mapping[str, Float64Array] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        n = len(self.action)
        expected = {
            "features": (n, len(self.columns)),
            "eligible": (n, len(self.actions)),
            "action": (n,),
            "propensity": (n,),
            "reward": (n,),
            "customer": (n,),
        }
        for name, shape in expected.items():
            if (found := getattr(self, name).shape) != shape:
                raise FeedbackError(f"{name} has shape {found}, expected {shape}")
        for name, values in self.outcomes.items():
            if values.shape != (n,):
                raise FeedbackError(f"outcome {name!r} has shape {values.shape}, expected {(n,)}")
        _refuse_rows("action", (self.action < 0) | (self.action >= len(self.actions)), self.action, "an action index")
        in_range = (self.propensity > 0) & (self.propensity <= 1)
        _refuse_rows("propensity", ~in_range, self.propensity, "in (0, 1]")
        _refuse_rows("reward", ~np.isfinite(self.reward), self.reward, "finite")
        not_finite = ~np.isfinite(self.features).min(axis=1, initial=True)
        _refuse_rows("features", not_finite, None, "finite")
        for name, values in self.outcomes.items():
            _refuse_rows(name, ~np.isfinite(values), values, "finite")
        if n:
            chosen = self.eligible[np.arange(n), self.action]
            _refuse_rows("action", ~chosen, self.action, "an eligible action of its row")

    def __len__(self) -> int:
        return len(self.action)

    @classmethod
    def concat(cls, logs: Sequence[LoggedFeedback]) -> LoggedFeedback:
        """Logs of the same columns, actions, reward and outcomes as one, in order.

        Raises:
            FeedbackError: none given, or they differ.
        """
        if not logs:
            raise FeedbackError("no logs to concatenate")
        first = logs[0]
        for log in logs[1:]:
            for name in ("columns", "actions", "reward_name"):
                if getattr(log, name) != getattr(first, name):
                    raise FeedbackError(f"logs differ in {name}; import them with the same configuration")
            if set(log.outcomes) != set(first.outcomes):
                raise FeedbackError("logs differ in outcomes; import them with the same configuration")

        def joined(name: str) -> Any:
            return np.concatenate([getattr(log, name) for log in logs])

        return replace(
            first,
            features=joined("features"),
            eligible=joined("eligible"),
            action=joined("action"),
            propensity=joined("propensity"),
            reward=joined("reward"),
            customer=joined("customer"),
            outcomes={name: np.concatenate([log.outcomes[name] for log in logs]) for name in first.outcomes},
        )

    def net(self) -> LoggedFeedback:
        """The same log with rewards less what the actions cost; only money has a cost to subtract."""
        if self.reward_name != MONEY:
            return self
        return replace(self, reward=self.reward - self.actions.cost[self.action], reward_name=NET_MONEY)

    @property
    def answered(self) -> BoolArray:
        """Where something followed that is worth anything, bool (n,); the action's own cost is no answer."""
        if self.reward_name != NET_MONEY:
            answered: BoolArray = np.not_equal(self.reward, 0)
            return answered
        gross = self.reward + self.actions.cost[self.action]
        # Adding a cost back leaves rounding behind.
        limit = 1e-6 * np.maximum(1.0, np.abs(self.reward))
        answered = np.greater(np.abs(gross), limit)
        return answered

    def take(self, rows: IntArray | BoolArray) -> LoggedFeedback:
        """The same log restricted to `rows` (an index or mask array), in that order."""
        return replace(
            self,
            features=self.features[rows],
            eligible=self.eligible[rows],
            action=self.action[rows],
            propensity=self.propensity[rows],
            reward=self.reward[rows],
            customer=self.customer[rows],
            outcomes={name: values[rows] for name, values in self.outcomes.items()},
        )

    def with_reward(self, name: str) -> LoggedFeedback:
        """The same log with the outcome `name` as its reward.

        Raises:
            FeedbackError: no such outcome.
        """
        if name == self.reward_name:
            return self
        if name not in self.outcomes:
            raise FeedbackError(
                f"unknown reward {name!r}; this log has: {', '.join(dict.fromkeys([self.reward_name, *self.outcomes]))}"
            )
        return replace(self, reward=self.outcomes[name], reward_name=name)

    def split(self, share: float, *, salt: str = "split") -> tuple[LoggedFeedback, LoggedFeedback]:
        """Split by a salted hash of the customer id: a customer is in one part only, on any machine.

        Args:
            share: expected share of customers in the first part, in (0, 1).
            salt: another salt gives another split.

        Raises:
            FeedbackError: `share` is out of range, or a part would be empty.
        """
        if not 0 < share < 1:
            raise FeedbackError(f"split share must be between 0 and 1, got {share}")
        first = customer_hash(self.customer, salt=salt) < share
        if first.all() or not first.any():
            raise FeedbackError(f"splitting {len(self)} rows at {share} leaves one part empty; add data or change it")
        return self.take(first), self.take(~first)

    def save(self, directory: Path) -> None:
        """Write as a directory, whole or not at all; an existing log there is replaced."""
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            pq.write_table(self._table(), staging / "feedback.parquet", compression="zstd")
            meta = {
                "format": FORMAT,
                "rows": len(self),
                "columns": list(self.columns),
                "actions": self.actions.to_json(),
                "reward_name": self.reward_name,
                "outcomes": list(self.outcomes),
                "source": self.source,
                "sha256": _sha256(staging / "feedback.parquet"),
            }
            (staging / "log.json").write_text(json.dumps(meta, indent=1) + "\n")
            staging.chmod(0o755)
            _check_replaceable(directory)
            put_in_place(staging, directory)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise

    @classmethod
    def load(cls, directory: Path) -> LoggedFeedback:
        """Read a directory written by `save`.

        Raises:
            FeedbackError: not a log, of another format, or damaged.
        """
        meta_path, parquet_path = directory / "log.json", directory / "feedback.parquet"
        if not meta_path.exists() or not parquet_path.exists():
            raise FeedbackError(
                f"{directory} is not a feedback log (needs log.json and feedback.parquet); "
                "make one with `journey import`"
            )
        try:
            meta = json.loads(meta_path.read_text())
        except ValueError as error:
            raise FeedbackError(f"{meta_path} is not valid JSON ({error}); import the data again") from error
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            found = meta.get("format") if isinstance(meta, dict) else meta
            raise FeedbackError(f"{meta_path}: format {found!r}, this version reads {FORMAT}; import the data again")
        if _sha256(parquet_path) != meta.get("sha256"):
            raise FeedbackError(f"{parquet_path} does not match its checksum in log.json; import the data again")
        try:
            return cls._from_table(pq.read_table(parquet_path), meta)
        except (KeyError, TypeError, ValueError) as error:
            raise FeedbackError(f"{meta_path} is incomplete or damaged ({error}); import the data again") from error

    def _table(self) -> pa.Table:
        packed = np.packbits(self.eligible, axis=1)
        columns: dict[str, Any] = {
            "customer": pa.array(self.customer.tolist(), pa.string()),
            "action": self.action,
            "propensity": self.propensity,
            "reward": self.reward,
            "eligible": pa.array([row.tobytes() for row in packed], pa.binary(packed.shape[1])),
        }
        columns |= {f"outcome.{name}": values for name, values in self.outcomes.items()}
        columns |= {f"x.{name}": self.features[:, i] for i, name in enumerate(self.columns)}
        return pa.table(columns)

    @classmethod
    def _from_table(cls, table: pa.Table, meta: Mapping[str, Any]) -> LoggedFeedback:
        actions = ActionSet.from_json(meta["actions"])
        n, columns = table.num_rows, tuple(meta["columns"])
        features = np.empty((n, len(columns)), dtype=np.float32)
        for i, name in enumerate(columns):
            features[:, i] = table[f"x.{name}"].to_numpy()
        packed = np.frombuffer(b"".join(row.as_py() for row in table["eligible"]), dtype=np.uint8)
        packed = packed.reshape(n, -(-len(actions) // 8))
        return cls(
            columns=columns,
            features=features,
            actions=actions,
            eligible=np.unpackbits(packed, axis=1, count=len(actions)).astype(bool),
            action=table["action"].to_numpy().astype(np.int64),
            propensity=table["propensity"].to_numpy(),
            reward=table["reward"].to_numpy(),
            customer=np.array(table["customer"].to_pylist(), dtype=object),
            reward_name=meta["reward_name"],
            outcomes={name: table[f"outcome.{name}"].to_numpy() for name in meta["outcomes"]},
            source=meta["source"],
        )


def customer_hash(customer: StrArray, *, salt: str) -> Float64Array:
    """Uniform number in [0, 1) per customer id, the same on every machine; float64 (n,)."""
    key = hashlib.blake2b(salt.encode(), digest_size=16).digest()
    digests = b"".join(hashlib.blake2b(str(c).encode(), digest_size=8, key=key).digest() for c in customer)
    return (np.frombuffer(digests, dtype="<u8") >> np.uint64(11)).astype(np.float64) / 2.0**53


def _refuse_rows(name: str, bad: BoolArray, values: Any, rule: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        found = "" if values is None else f", found {values[row]!r}"
        count = int(bad.sum())
        raise FeedbackError(f"{name} must be {rule}; wrong in {count} rows, first in row {row}{found}")


def _check_replaceable(directory: Path) -> None:
    if not directory.exists() or (directory / "log.json").exists():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise FeedbackError(f"{directory} exists and is not a feedback log; choose an empty directory")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
