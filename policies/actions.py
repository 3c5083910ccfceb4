"""The actions a policy chooses among, described by features so that relatives share what is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from policies.arrays import Float32Array
from policies.errors import FeatureError


class ActionFeature(NamedTuple):
    """One feature of an action, e.g. `("A", "channel=email", 1.0)`."""

    namespace: str
    name: str
    value: float


class PairFeature(NamedTuple):
    """A look-up: for this action, feature `name` takes the value of customer column `column`.

    `PairFeature("P", "affinity", "buy.shoes")` on `email.inspire.shoes` gives the one shared feature
    `affinity` this customer's purchases of the action's own category.
    """

    namespace: str
    name: str
    column: str


@dataclass(frozen=True)
class ActionSet:
    """An ordered set of actions; column a of every (n, A) array is `ids[a]`.

    Attributes:
        ids: action ids, unique, length A.
        features: per action, its features.
        pairs: per action, its customer look-ups.
        costs: money each use costs, per action; empty for none.
    """

    ids: tuple[str, ...]
    features: tuple[tuple[ActionFeature, ...], ...]
    pairs: tuple[tuple[PairFeature, ...], ...]
    costs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            twice = sorted({a for a in self.ids if self.ids.count(a) > 1})
            raise FeatureError(f"action ids must be unique; given twice: {', '.join(twice)}")
        if not len(self.ids) == len(self.features) == len(self.pairs):
            raise FeatureError(
                f"{len(self.ids)} action ids but {len(self.features)} feature lists and {len(self.pairs)} pair lists"
            )

        if self.costs and len(self.costs) != len(self.ids):
            raise FeatureError(f"{len(self.ids)} action ids but {len(self.costs)} costs")

    @classmethod
    def of(cls, *ids: str) -> ActionSet:
        """Actions known by id only: one indicator feature each, nothing shared."""
        return cls(
            ids=ids,
            features=tuple((ActionFeature("A", f"action={a}", 1.0),) for a in ids),
            pairs=tuple(() for _ in ids),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def cost(self) -> Float32Array:
        """Money each use costs, float32 (A,)."""
        return np.array(self.costs or [0.0] * len(self.ids), dtype=np.float32)

    def index(self, action_id: str) -> int:
        """Position of an action.

        Raises:
            FeatureError: no such action.
        """
        try:
            return self.ids.index(action_id)
        except ValueError:
            raise FeatureError(f"unknown action {action_id!r}; known: {', '.join(self.ids)}") from None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form, read back by `from_json`."""
        return {
            "ids": list(self.ids),
            "features": [[list(f) for f in fs] for fs in self.features],
            "pairs": [[list(p) for p in ps] for ps in self.pairs],
            "costs": list(self.costs),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ActionSet:
        """Rebuild from `to_json`."""
        return cls(
            ids=tuple(data["ids"]),
            features=tuple(tuple(ActionFeature(*f) for f in fs) for fs in data["features"]),
            pairs=tuple(tuple(PairFeature(*p) for p in ps) for ps in data["pairs"]),
            costs=tuple(data["costs"]),
        )
