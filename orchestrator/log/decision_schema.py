"""What the positions of a logged decision's arrays mean, kept with the log so that it outlives the catalogue."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from policies.actions import ActionSet
from policies.arrays import BoolArray

if TYPE_CHECKING:
    from orchestrator.config import Retailer


@dataclass(frozen=True)
class LoggedAction:
    """An action as it was when decided; empty texts for `hold`; `counted` as a contact, by channel or by a rule.

    `status`, `valid_from`, `valid_until` (like 2026-11-20, empty for always) and `targeting` are as in catalog.yaml.
    """

    id: str
    channel: str
    intent: str
    subject: str
    discount: float
    template: str
    counted: bool = False
    status: str = "live"
    valid_from: str = ""
    valid_until: str = ""
    targeting: str = ""


# Left out where they are as they nearly always are: schemas are read with every outcome.
_USUAL = {"status": "live", "valid_from": "", "valid_until": "", "targeting": ""}


@dataclass(frozen=True)
class LoggedChannel:
    """A channel as it was when decided: whether it asks for consent, and where it can put content."""

    name: str
    asks_consent: bool
    placements: tuple[str, ...]


@dataclass(frozen=True)
class DecisionSchema:
    """Actions of every (A,) array and columns of every (F,) array of a decision.

    Attributes:
        id: digest of the content; equal schemas have equal ids.
        actions: in column order.
        columns: names of the features, in order.
        reasons: name of each reason code; position 0 is the eligible.
        action_set: the actions as policies saw them, costs too, to repeat decisions with.
        profiles: digest of how events make features.
        channels: which ones requests could ask about.
        contact_rules: digest of the rules about contacts and content, empty if there were none.
    """

    id: str
    actions: tuple[LoggedAction, ...]
    columns: tuple[str, ...]
    reasons: tuple[str, ...]
    action_set: ActionSet
    profiles: str
    channels: tuple[LoggedChannel, ...]
    contact_rules: str

    @classmethod
    def of(
        cls,
        retailer: Retailer,
        *,
        columns: tuple[str, ...],
        reasons: tuple[str, ...],
        action_set: ActionSet,
        counted: BoolArray,
        profiles: str,
    ) -> DecisionSchema:
        """The schema of a retailer's decisions; `counted` is bool (A,)."""
        actions = tuple(
            LoggedAction(
                id=a.id,
                channel=a.channel,
                intent=a.intent,
                subject=a.subject,
                discount=a.discount,
                template=a.template,
                counted=of_contact,
                status=a.status,
                valid_from=str(a.valid_from or ""),
                valid_until=str(a.valid_until or ""),
                targeting=a.targeting,
            )
            for a, of_contact in zip(retailer.catalogue.actions, counted.tolist(), strict=True)
        )
        channels = tuple(
            LoggedChannel(name, channel.consent != "none", channel.placements)
            for name, channel in retailer.channels.items()
        )
        draft = cls("", actions, columns, reasons, action_set, profiles, channels, contact_digest(retailer))
        return replace(draft, id=digest(draft.to_json()))

    def to_json(self) -> str:
        """As kept in the log; the id is not part of it."""
        known: dict[str, Any] = {
            "actions": [_unusual(asdict(action)) for action in self.actions],
            "columns": self.columns,
            "reasons": self.reasons,
            "profiles": self.profiles,
            "channels": [asdict(channel) for channel in self.channels],
            "contact_rules": self.contact_rules,
            "action_set": self.action_set.to_json(),
        }
        return json.dumps(known)

    @classmethod
    @lru_cache(maxsize=64)
    def from_json(cls, schema_id: str, body: str) -> DecisionSchema:
        """Read what `to_json` wrote."""
        data = json.loads(body)
        return cls(
            id=schema_id,
            actions=tuple(LoggedAction(**action) for action in data["actions"]),
            columns=tuple(data["columns"]),
            reasons=tuple(data["reasons"]),
            action_set=ActionSet.from_json(data["action_set"]),
            profiles=data["profiles"],
            channels=tuple(
                LoggedChannel(**{**channel, "placements": tuple(channel["placements"])}) for channel in data["channels"]
            ),
            contact_rules=data["contact_rules"],
        )


def _unusual(action: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in action.items() if name not in _USUAL or value != _USUAL[name]}


def contact_digest(retailer: Retailer) -> str:
    """Of what forbids actions by facts and clocks: contacts.yaml, and the texts actions need; empty if nothing does."""
    policy, requires = retailer.contacts, {a.id: a.requires for a in retailer.catalogue.actions if a.requires}
    rules = (policy.caps, policy.gaps, policy.quiet_hours, policy.suppressions, policy.store_hours.channels, requires)
    if not any(rules):
        return ""
    covers = {name: channel.contacts for name, channel in retailer.channels.items()}
    return digest(json.dumps([policy.model_dump(mode="json"), retailer.profiles.content_fields, requires, covers]))


def digest(text: str) -> str:
    """Short name for a text that another text does not have; 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
