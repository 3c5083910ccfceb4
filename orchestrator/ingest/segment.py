"""Segment's messages (identify, track, page, screen, group, alias) as our own events.

A message never makes its batch fail: what it says that cannot be used is kept raw, with the reason.

Source: Segment's spec and HTTP API (segment.com/docs/connections/spec, .../sources/catalog/libraries/server/http-api).
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.config import Retailer
from orchestrator.errors import Fault, WireError
from orchestrator.ingest.identifiers import fitting_id
from orchestrator.ingest.records import MAX_ID
from orchestrator.ingest.segment_products import Categories, goods_of, shared_category
from orchestrator.ingest.segment_times import happened
from orchestrator.ingest.segment_traits import Traits
from orchestrator.ingest.vocabulary import EventVocabulary
from orchestrator.ingest.webhooks import CONTROL, Delivery, Reading, Translation, Webhook, translation

SOURCE = "segment"
KINDS = ("identify", "track", "page", "screen", "group", "alias")
_PER_CATEGORY = frozenset({"purchase", "return", "cart_add", "cart_remove", "want"})
_WITH_MONEY = frozenset({"purchase", "return"})


def _delivery(body: Mapping[str, Any]) -> Delivery:
    """Of `/v1/batch`: the messages, what they share, and when they were sent."""
    messages, context = body.get("batch"), body.get("context")
    if not isinstance(messages, list):
        raise WireError([Fault("batch", "is no list", "send {'batch': [...]}")])
    return Delivery(messages, context if isinstance(context, Mapping) else {}, body.get("sentAt"))


class SegmentReader:
    """Translates for one retailer."""

    def __init__(self, retailer: Retailer, schema: EventVocabulary) -> None:
        names = retailer.events
        self._schema = schema
        self._tracks = names.tracks_of(retailer.channels)
        self._categories = Categories(known=schema.categories, by_name=names.categories, by_sku=names.skus)
        self._traits = Traits(schema, retailer.profiles.content_fields, names)
        self._visit_every = names.visit_every

    def read(self, delivery: Delivery, *, received: float) -> Translation:
        """What the messages say, in their order; each has its `type`. `received`: our clock, seconds since 1970."""
        readings = [
            self._read(_with_context(message, delivery.context), received=received, sent_at=delivery.sent_at)
            for message in delivery.messages
        ]
        return translation(readings, self._schema, source=SOURCE, received=received)

    def _read(self, message: Any, *, received: float, sent_at: Any) -> Reading:
        if not isinstance(message, Mapping):
            return Reading(message, _digest(message), "", faults=["is no JSON object"])
        kind = message.get("type")
        name = message.get("event") if kind == "track" else kind
        reading = Reading(message, _message_id(message), name if isinstance(name, str) else "", named=_named(message))
        try:
            if kind not in KINDS:
                raise ValueError(f"type = {kind!r} is none of {', '.join(KINDS)}")
            at = happened(message, sent_at=sent_at, received=received)
            record = {"customer_id": self._customer(reading, kind, at), "timestamp": _iso(at)}
            for event, texts in self._events(reading, kind, record):
                reading.records.append({**record, **event})
                reading.texts.append(texts)
        except ValueError as error:
            reading.faults.append(str(error))
        for i, event in enumerate(reading.records):
            event.setdefault("event_id", fitting_id(reading.id if len(reading.records) == 1 else f"{reading.id}/{i}"))
        return reading

    def _events(
        self, reading: Reading, kind: str, record: Mapping[str, Any]
    ) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
        message = reading.message
        if kind == "identify":
            yield from self._identified(reading)
        elif kind in ("page", "screen"):
            yield self._visit(record), {}
        elif kind == "group":
            raise ValueError("group messages have no use here")
        elif kind == "track":
            track = self._tracks.get(reading.name.casefold())
            if track is None:
                raise ValueError("no such name in events.yaml")
            properties = _mapping(message, "properties")
            if track.type == "visit":
                yield self._visit(record), {}
                return
            about = {"type": track.type} | ({"channel": track.channel} if track.channel else {})
            if track.type not in _PER_CATEGORY:
                category = shared_category(properties, self._categories)
                yield about | ({"category": category} if category else {}), {}
                return
            for goods in goods_of(properties, self._categories):
                event: dict[str, Any] = {**about, "quantity": goods.quantity}
                if goods.category is not None:
                    event["category"] = goods.category
                if track.type in _WITH_MONEY:
                    event |= {"value": goods.value, "discount": goods.discount}
                yield event, {}

    def _customer(self, reading: Reading, kind: str, at: float) -> str:
        """`userId`, or `anonymousId` of somebody who is not known by name; and whose another id is by this message.

        Raises:
            ValueError: no id, or none that can be used.
        """
        message = reading.message
        user, anonymous = identity(message, "userId"), None
        try:
            anonymous = identity(message, "anonymousId")
        except ValueError as error:
            if user is None:
                raise
            reading.faults.append(str(error))
        customer = anonymous if user is None else user
        if customer is None:
            raise ValueError("has neither userId nor anonymousId")
        previous = identity(message, "previousId") if kind == "alias" else None
        if kind == "alias" and previous is None:
            raise ValueError("has no previousId")
        reading.links += [(other, customer, at) for other in (previous, anonymous) if other not in (None, customer)]
        return customer

    def _identified(self, reading: Reading) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
        context = _mapping(reading.message, "context")
        # The zone of the device is that of the customer, unless a trait says another.
        zone = {"timezone": context["timezone"]} if context.get("timezone") else {}
        said = self._traits.read({**zone, **_mapping(reading.message, "traits")})
        reading.faults += said.faults
        # Also without a trait of use here: the customer is known from now on.
        yield {"type": "profile", "attributes": said.attributes, "event_id": fitting_id(reading.id)}, said.texts
        for channel, wanted in said.consent.items():
            kind = "subscribe" if wanted else "unsubscribe"
            yield {"type": kind, "channel": channel, "event_id": fitting_id(f"{reading.id}/{kind}.{channel}")}, {}

    def _visit(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A visit to the site or app: one event however many pages it has, so at the start of its stretch of time.

        Counted by customer: a device may have several users, and a customer several devices.
        """
        at = datetime.fromisoformat(record["timestamp"]).timestamp()
        stretch = at // self._visit_every
        start = _iso(stretch * self._visit_every)
        return {"type": "visit", "timestamp": start, "event_id": f"visit {_digest([record['customer_id'], stretch])}"}


def identity(message: Mapping[str, Any], name: str) -> str | None:
    """An id of a customer; none if it is null or empty. Numbers are taken as texts.

    Raises:
        ValueError: anything else, or not printable, or too long.
    """
    value = message.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= len(value) <= MAX_ID or not _is_printable(value):
        raise ValueError(f"{name} is no printable text of 1 to {MAX_ID} characters")
    return value


def _is_printable(text: str) -> bool:
    return re.search(CONTROL, text) is None


def _message_id(message: Mapping[str, Any]) -> str:
    """By which the message counts once; one that says neither an id nor a time is another one each time it is sent."""
    given = message.get("messageId")
    if isinstance(given, str) and given.strip() and _is_printable(given):
        return given
    return _digest(message) if message.get("timestamp") else f"message {uuid.uuid4()}"


def _mapping(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = message.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is no JSON object")
    return value


def _named(message: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    return _readable(message, "userId"), _readable(message, "anonymousId"), _readable(message, "previousId")


def _readable(message: Any, name: str) -> str | None:
    try:
        return identity(message, name) if isinstance(message, Mapping) else None
    except ValueError:
        return None


def _with_context(message: Any, shared: Mapping[str, Any]) -> Any:
    if not isinstance(message, dict) or not shared:
        return message
    own = message.get("context")
    return {**message, "context": {**shared, **own} if own and isinstance(own, Mapping) else shared}


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


_TRACK = {
    "type": "track",
    "messageId": "022bb90c-bbac-11e4-8dfc-aa07a5b093db",
    "userId": "c-1042",
    "event": "Product Viewed",
    "properties": {"sku": "G-32", "category": "home"},
    "timestamp": "2026-01-20T18:00:00Z",
}
_ANONYMOUS_ID = "5e8f7a1c-4a51-4c4e-9a5b-2f6d1f0c7b3a"
_EXAMPLES: dict[str, dict[str, Any]] = {
    "identify": {
        "userId": "c-1042",
        "anonymousId": _ANONYMOUS_ID,
        "traits": {"age": "25-34", "email_subscribed": True, "timezone": "Europe/Berlin"},
    },
    "track": _TRACK,
    "page": {"userId": "c-1042", "name": "Home", "properties": {"path": "/"}},
    "screen": {"userId": "c-1042", "name": "Home"},
    "group": {"userId": "c-1042", "groupId": "family-7"},
    "alias": {"userId": "c-1042", "previousId": _ANONYMOUS_ID},
}
_BATCH = "Keep every message of the batch: as events, or raw and counted where it is not understood."


def _of_kind(kind: str) -> Webhook:
    return Webhook(
        path=f"/{kind}",
        name=kind,
        summary=f"One {kind} message of Segment",
        description=f"Keep one {kind} message: as events, or raw and counted where it is not understood.",
        example={"type": kind, "messageId": f"{kind}-881", **_EXAMPLES[kind]},
        delivery=lambda body: Delivery([{**body, "type": kind}]),
    )


WEBHOOKS = (
    Webhook(
        path="/import",
        name="receive_batch",
        summary="Messages of a Segment SDK, of long ago",
        description=_BATCH,
        example={"batch": [_TRACK]},
        delivery=_delivery,
    ),
    Webhook(
        path="/batch",
        name="receive_batch",
        summary="Messages of a Segment SDK",
        description=_BATCH,
        example={"batch": [_TRACK], "sentAt": "2026-01-20T18:00:01Z"},
        delivery=_delivery,
    ),
    *(_of_kind(kind) for kind in KINDS),
)
