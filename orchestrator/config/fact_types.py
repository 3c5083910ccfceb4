"""The table of facts: each kind of event and outcome, what it needs, what it changes, and what it counts as.

Everything that knows kinds of facts reads them here: the HTTP models, Segment's and CloudEvents' readers, profiles,
goals, contact rules and the ledger. A new kind is a new row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

Needed = Literal["channel", "category", "value"]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One number of a customer's state that an event changes.

    Attributes:
        slot: block of the state, as `ProfileSchema.slot` knows it.
        of: of the block `last`, which last time.
        code: which code of the event chooses the cell of the block; an event without that code leaves nothing.
        amount: what is added: 1, or an amount of the event.
        weight: times this.
    """

    slot: str
    of: str = ""
    code: Literal["", "category", "channel"] = ""
    amount: Literal["count", "value", "discount"] = "count"
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FactType:
    """One kind of fact.

    Attributes:
        name: as senders write it.
        event: whether it is told as something a customer did (`POST /v1/events`) and kept in profiles.
        outcome: whether it is told of a decision (`POST /v1/outcomes`), has a worth in goals.yaml, and may silence.
        needs: fields without which it says nothing.
        adds: what it adds to decayed sums.
        last: which last times it raises.
        reports: column of the ledger of contacts that it fills, where a channel reports its own contact by it.
    """

    name: str
    event: bool = True
    outcome: bool = False
    needs: tuple[Needed, ...] = ()
    adds: tuple[Trace, ...] = ()
    last: tuple[Trace, ...] = ()
    reports: str = ""


def _response(weight: float) -> Trace:
    return Trace(slot="responses", code="channel", weight=weight)


_RESPONDED = (Trace(slot="last", of="response"), Trace(slot="last.response", code="channel"))
FACT_TYPES: tuple[FactType, ...] = (
    FactType(name="view", adds=(Trace(slot="views", code="category"),)),
    FactType(name="want", needs=("category",), last=(Trace(slot="last.wanted", code="category"),)),
    FactType(name="cart_add", needs=("category",), last=(Trace(slot="last.carted", code="category"),)),
    FactType(name="cart_remove", needs=("category",), last=(Trace(slot="last.uncarted", code="category"),)),
    FactType(
        name="purchase",
        outcome=True,
        needs=("value",),
        adds=(
            Trace(slot="buys", code="category"),
            Trace(slot="purchases"),
            Trace(slot="spend", amount="value"),
            Trace(slot="discounts", amount="discount"),
        ),
        last=(Trace(slot="last", of="purchase"), Trace(slot="last.bought", code="category")),
    ),
    FactType(name="return", outcome=True, needs=("value",), adds=(Trace(slot="returns", amount="value"),)),
    FactType(
        name="sent",
        outcome=True,
        needs=("channel",),
        adds=(Trace(slot="fatigue", code="channel"), Trace(slot="sends", code="channel")),
        reports="sent_at",
    ),
    # A click shows more interest than an open, which a mail program may have done by itself.
    FactType(name="open", outcome=True, needs=("channel",), adds=(_response(0.25),), last=_RESPONDED),
    FactType(name="click", outcome=True, needs=("channel",), adds=(_response(1.0),), last=_RESPONDED),
    FactType(
        name="unsubscribe",
        outcome=True,
        needs=("channel",),
        last=(Trace(slot="last.unsubscribed", code="channel"),),
    ),
    FactType(name="subscribe", needs=("channel",), last=(Trace(slot="last.subscribed", code="channel"),)),
    FactType(name="coupon_redeemed", outcome=True, adds=(_response(1.0), Trace(slot="redemptions")), last=_RESPONDED),
    FactType(name="visit", outcome=True, adds=(Trace(slot="visits"),), last=(Trace(slot="last", of="visit"),)),
    FactType(
        name="store_visit",
        outcome=True,
        adds=(Trace(slot="store_visits"),),
        last=(Trace(slot="last", of="store_visit"),),
    ),
    FactType(name="profile"),
    FactType(name="accept", event=False, outcome=True),
    FactType(name="dismiss", event=False, outcome=True),
    FactType(name="seen", event=False, outcome=True, reports="seen_at"),
    FactType(name="failed", event=False, outcome=True, reports="cancelled_at"),
)
# Their order is that of event codes and of outcome codes.
EVENTS: tuple[FactType, ...] = tuple(kind for kind in FACT_TYPES if kind.event)
EVENT_TYPES: tuple[str, ...] = tuple(kind.name for kind in EVENTS)
OUTCOMES: tuple[str, ...] = tuple(kind.name for kind in FACT_TYPES if kind.outcome)
# What a channel reports of a contact itself, and the column of the ledger that keeps when.
REPORTED: dict[str, str] = {kind.name: kind.reports for kind in FACT_TYPES if kind.reports}
# Kinds of facts that need a field.
NEEDS: dict[str, frozenset[str]] = {
    field: frozenset(kind.name for kind in FACT_TYPES if field in kind.needs) for field in get_args(Needed)
}

if TYPE_CHECKING:
    EventType = str
    OutcomeType = str
else:  # pydantic refuses other names, and tells these
    EventType = Literal[EVENT_TYPES]
    OutcomeType = Literal[OUTCOMES]
