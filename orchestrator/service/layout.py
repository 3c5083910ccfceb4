"""What the positions of a logged decision's arrays mean, kept with the log so that it outlives the catalogue."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from policies.actions import ActionSet
from policies.arrays import BoolArray

if TYPE_CHECKING:
    from orchestrator.config import Catalogue


@dataclass(frozen=True)
class LoggedAction:
    """An action as it was when decided; empty texts for `hold`; `counted` as a contact, by channel or by a rule."""

    id: str
    channel: str
    intent: str
    subject: str
    discount: float
    template: str
    counted: bool = False


@dataclass(frozen=True)
class Layout:
    """Actions of every (A,) array and columns of every (F,) array of a decision.

    Attributes:
        id: digest of the content; equal layouts have equal ids.
        actions: in column order.
        columns: names of the features, in order.
        reasons: name of each reason code; position 0 is the eligible.
        action_set: the actions as policies saw them, costs too, to repeat decisions with; none in old logs.
        profiles: digest of how events make features; empty in old logs.
    """

    id: str
    actions: tuple[LoggedAction, ...]
    columns: tuple[str, ...]
    reasons: tuple[str, ...]
    action_set: ActionSet | None = None
    profiles: str = ""

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        *,
        columns: tuple[str, ...],
        reasons: tuple[str, ...],
        action_set: ActionSet,
        counted: BoolArray,
        profiles: str,
    ) -> Layout:
        """The layout of decisions over this catalogue; `counted` is bool (A,)."""
        actions = tuple(
            LoggedAction(a.id, a.channel, a.intent, a.subject, a.discount, a.template, of_contact)
            for a, of_contact in zip(catalogue.actions, counted.tolist(), strict=True)
        )
        draft = cls("", actions, columns, reasons, action_set, profiles)
        return replace(draft, id=digest(draft.to_json()))

    def to_json(self) -> str:
        """As kept in the log; the id is not part of it."""
        actions = [asdict(action) for action in self.actions]
        known = {"actions": actions, "columns": self.columns, "reasons": self.reasons, "profiles": self.profiles}
        return json.dumps(known if self.action_set is None else {**known, "action_set": self.action_set.to_json()})

    @classmethod
    @lru_cache(maxsize=64)
    def from_json(cls, layout_id: str, body: str) -> Layout:
        """Read what `to_json` wrote."""
        data = json.loads(body)
        return cls(
            id=layout_id,
            actions=tuple(LoggedAction(**action) for action in data["actions"]),
            columns=tuple(data["columns"]),
            reasons=tuple(data["reasons"]),
            action_set=ActionSet.from_json(data["action_set"]) if "action_set" in data else None,
            profiles=data.get("profiles", ""),
        )


def digest(text: str) -> str:
    """Short name for a text that another text does not have; 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
