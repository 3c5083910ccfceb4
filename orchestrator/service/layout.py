"""What the positions of a logged decision's arrays mean, kept with the log so that it outlives the catalogue."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.config import Catalogue


@dataclass(frozen=True)
class LoggedAction:
    """An action as it was when decided; empty texts for `hold`."""

    id: str
    channel: str
    intent: str
    subject: str
    discount: float
    template: str


@dataclass(frozen=True)
class Layout:
    """Actions of every (A,) array and columns of every (F,) array of a decision.

    Attributes:
        id: digest of the content; equal layouts have equal ids.
        actions: in column order.
        columns: names of the features, in order.
        reasons: name of each reason code; position 0 is the eligible.
    """

    id: str
    actions: tuple[LoggedAction, ...]
    columns: tuple[str, ...]
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, catalogue: Catalogue, *, columns: tuple[str, ...], reasons: tuple[str, ...]) -> Layout:
        """The layout of decisions over this catalogue."""
        actions = tuple(
            LoggedAction(a.id, a.channel, a.intent, a.subject, a.discount, a.template) for a in catalogue.actions
        )
        draft = cls(id="", actions=actions, columns=columns, reasons=reasons)
        return cls(id=digest(draft.to_json()), actions=actions, columns=columns, reasons=reasons)

    def to_json(self) -> str:
        """As kept in the log; the id is not part of it."""
        actions = [asdict(action) for action in self.actions]
        return json.dumps({"actions": actions, "columns": self.columns, "reasons": self.reasons})

    @classmethod
    def from_json(cls, layout_id: str, body: str) -> Layout:
        """Read what `to_json` wrote."""
        data = json.loads(body)
        return cls(
            id=layout_id,
            actions=tuple(LoggedAction(**action) for action in data["actions"]),
            columns=tuple(data["columns"]),
            reasons=tuple(data["reasons"]),
        )


def digest(text: str) -> str:
    """Short name for a text that another text does not have; 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
