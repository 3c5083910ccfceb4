"""Segment's messages (identify, track, page, screen, group, alias) as our own events.

A message never makes its batch fail: what it says that cannot be used is kept raw, with the reason.

Source: Segment's spec and HTTP API (segment.com/docs/connections/spec, .../sources/catalog/libraries/server/http-api).
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.config import Retailer
from orchestrator.errors import EventError
from orchestrator.ingest.events import Events
from orchestrator.ingest.identifiers import fitting_id
from orchestrator.ingest.link import Link
from orchestrator.ingest.raw import RawMessage
from orchestrator.ingest.records import MAX_ID
from orchestrator.ingest.segment_products import Categories, goods_of, shared_category
from orchestrator.ingest.segment_times import happened
from orchestrator.ingest.segment_traits import Traits
from orchestrator.ingest.vocabulary import EventVocabulary

SOURCE = "segment"
KINDS = ("identify", "track", "page", "screen", "group", "alias")
_PER_CATEGORY = frozenset({"purchase", "return", "cart_add", "cart_remove", "want"})
_WITH_MONEY = frozenset({"purchase", "return"})
_CONTROL = r"[\x00-\x1f\x7f]"


@dataclass(frozen=True)
class Translation:
    """What some messages say.

    Attributes:
        events: those that were understood, in the order of the messages.
        bodies: each event as JSON, for the log.
        texts: what each event states as text, by name.
        raw: messages that were not understood, or not all of them.
        links: ids said to be of one customer.
    """

    events: Events
    bodies: Sequence[str]
    texts: Sequence[Mapping[str, str]]
    raw: Sequence[RawMessage]
    links: Sequence[Link]


@dataclass
class _Reading:
    """One message being read.

    Attributes:
        id: by which it counts once.
        records: our events, as `Events.from_records` takes them.
        texts: stated by each.
        faults: why it, or a part of it, cannot be used.
        links: ids it says to be a customer's, the customer, and when.
    """

    message: Any
    id: str
    name: str
    records: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    links: list[tuple[str, str, float]] = field(default_factory=list)


class SegmentReader:
    """Translates for one retailer."""

    def __init__(self, retailer: Retailer, schema: EventVocabulary) -> None:
        names = retailer.events
        self._schema = schema
        self._tracks = names.tracks_of(retailer.channels)
        self._categories = Categories(known=schema.categories, by_name=names.categories, by_sku=names.skus)
        self._traits = Traits(schema, retailer.profiles.content_fields, names)
        self._visit_every = names.visit_every

    def read(self, messages: Sequence[Any], *, received: float, sent_at: Any = None) -> Translation:
        """What the messages say, in their order.

        Args:
            messages: as sent; each has its `type`.
            received: our clock, seconds since 1970.
            sent_at: `sentAt` of the batch.
        """
        readings = [self._read(message, received=received, sent_at=sent_at) for message in messages]
        events = self._checked(readings, received)
        return Translation(
            events=events,
            bodies=[_body(record, texts) for r in readings for record, texts in zip(r.records, r.texts, strict=True)],
            texts=[texts for r in readings for texts in r.texts],
            raw=list(_raw(readings)),
            links=list(_links(readings)),
        )

    def _read(self, message: Any, *, received: float, sent_at: Any) -> _Reading:
        if not isinstance(message, Mapping):
            return _Reading(message, _digest(message), "", faults=["is no JSON object"])
        kind = message.get("type")
        name = message.get("event") if kind == "track" else kind
        reading = _Reading(message, _message_id(message), name if isinstance(name, str) else "")
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
        self, reading: _Reading, kind: str, record: Mapping[str, Any]
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

    def _customer(self, reading: _Reading, kind: str, at: float) -> str:
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

    def _identified(self, reading: _Reading) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
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

    def _checked(self, readings: Sequence[_Reading], now: float) -> Events:
        """The events of all records; wrong ones are taken out of their readings, which say why."""
        try:
            return self._columns(readings, now)
        except EventError:
            pass
        if len(readings) > 1:  # by halves, so that one wrong record does not have every other one looked at alone
            middle = len(readings) // 2
            self._checked(readings[:middle], now)
            self._checked(readings[middle:], now)
            return self._columns(readings, now)
        (reading,) = readings
        kept = []
        for record, texts in zip(reading.records, reading.texts, strict=True):
            try:
                Events.from_records(self._schema, [record], now=now)
            except EventError as error:
                reading.faults.append(str(error.fault or error))
            else:
                kept.append((record, texts))
        reading.records = [record for record, _ in kept]
        reading.texts = [texts for _, texts in kept]
        return self._columns(readings, now)

    def _columns(self, readings: Sequence[_Reading], now: float) -> Events:
        return Events.from_records(self._schema, [record for r in readings for record in r.records], now=now)


def _links(readings: Sequence[_Reading]) -> Iterator[Link]:
    before = 0
    for reading in readings:
        for alias, customer, at in reading.links:
            yield Link(alias_id=alias, customer_id=customer, at=at, before=before)
        before += len(reading.records)


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
    return re.search(_CONTROL, text) is None


def _printable(text: str) -> str:
    return re.sub(_CONTROL, " ", text)


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


def _body(record: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """A record without its customer: a column says whose it is, which may change, and the id be another's then."""
    attributes = {**record.get("attributes", {}), **texts}
    said = {name: value for name, value in record.items() if name != "customer_id"}
    return json.dumps({**said, "attributes": attributes} if attributes else said)


def _raw(readings: Sequence[_Reading]) -> Iterator[RawMessage]:
    """The messages that have faults; each named by every id in it that can be one, whatever else is wrong."""
    links = 0
    for reading in readings:
        links += len(reading.links)
        if reading.faults:
            yield RawMessage(
                source=SOURCE,
                message_id=fitting_id(reading.id),
                name=_printable(reading.name)[:MAX_ID],
                # Quotes names of traits, which may be any text; PostgreSQL keeps no NUL.
                reason=_printable("; ".join(reading.faults)),
                payload=json.dumps(reading.message),
                user_id=_readable(reading.message, "userId"),
                anonymous_id=_readable(reading.message, "anonymousId"),
                previous_id=_readable(reading.message, "previousId"),
                links=links,
            )


def _readable(message: Any, name: str) -> str | None:
    try:
        return identity(message, name) if isinstance(message, Mapping) else None
    except ValueError:
        return None


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
