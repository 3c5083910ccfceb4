"""What other systems send by themselves: where it comes in, and how messages become events, or are kept as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.config import Retailer
from orchestrator.errors import EventError
from orchestrator.ingest.events import Events
from orchestrator.ingest.identifiers import fitting_id
from orchestrator.ingest.link import Link
from orchestrator.ingest.raw import RawMessage
from orchestrator.ingest.records import MAX_ID
from orchestrator.ingest.vocabulary import EventVocabulary

CONTROL = r"[\x00-\x1f\x7f]"


@dataclass(frozen=True)
class Delivery:
    """Messages of one request, the context they share, and when the sender says they were sent."""

    messages: Sequence[Any]
    context: Mapping[str, Any] = field(default_factory=dict)
    sent_at: Any = None


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


class Reader(Protocol):
    """Translates one system's messages for one retailer; never fails for what a message says."""

    def read(self, delivery: Delivery, *, received: float) -> Translation:
        """What the messages say; `received` is our clock, seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One path that a system sends to.

    Attributes:
        path: below `/v1`.
        name: of the operation in the API's documentation.
        summary: there.
        description: there.
        example: a body.
        delivery: the messages of a body that is a JSON object; raises a WireError that names the field at fault.
    """

    path: str
    name: str
    summary: str
    description: str
    example: Mapping[str, Any]
    delivery: Callable[[Mapping[str, Any]], Delivery]


@dataclass(frozen=True)
class Source:
    """Another system: its name, kept with raw messages; who reads them; and where they come in."""

    name: str
    reader: Callable[[Retailer, EventVocabulary], Reader]
    webhooks: tuple[Webhook, ...]


@dataclass
class Reading:
    """One message being read.

    Attributes:
        message: as sent.
        id: by which it counts once.
        name: of what it tells, as the sender names it.
        records: our events, as `Events.from_records` takes them.
        texts: stated by each.
        faults: why it, or a part of it, cannot be used.
        links: ids it says to be a customer's, the customer, and when.
        named: the user, anonymous and previous ids in it that can be ids, whatever else is wrong.
    """

    message: Any
    id: str
    name: str
    records: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    links: list[tuple[str, str, float]] = field(default_factory=list)
    named: tuple[str | None, str | None, str | None] = (None, None, None)


def translation(readings: Sequence[Reading], schema: EventVocabulary, *, source: str, received: float) -> Translation:
    """What was read, checked: a record that is no event of ours is kept raw with its message and fails nothing else."""
    events = _checked(readings, schema, received)
    return Translation(
        events=events,
        bodies=[_body(record, texts) for r in readings for record, texts in zip(r.records, r.texts, strict=True)],
        texts=[texts for r in readings for texts in r.texts],
        raw=list(_raw(readings, source)),
        links=list(_links(readings)),
    )


def printable(text: str) -> str:
    """The text without control characters."""
    return re.sub(CONTROL, " ", text)


def _checked(readings: Sequence[Reading], schema: EventVocabulary, now: float) -> Events:
    """The events of all records; wrong ones are taken out of their readings, which say why."""
    try:
        return _columns(readings, schema, now)
    except EventError:
        pass
    if len(readings) > 1:  # by halves, so that one wrong record does not have every other one looked at alone
        middle = len(readings) // 2
        _checked(readings[:middle], schema, now)
        _checked(readings[middle:], schema, now)
        return _columns(readings, schema, now)
    (reading,) = readings
    kept = []
    for record, texts in zip(reading.records, reading.texts, strict=True):
        try:
            Events.from_records(schema, [record], now=now)
        except EventError as error:
            reading.faults.append(str(error.fault or error))
        else:
            kept.append((record, texts))
    reading.records = [record for record, _ in kept]
    reading.texts = [texts for _, texts in kept]
    return _columns(readings, schema, now)


def _columns(readings: Sequence[Reading], schema: EventVocabulary, now: float) -> Events:
    return Events.from_records(schema, [record for r in readings for record in r.records], now=now)


def _links(readings: Sequence[Reading]) -> Iterator[Link]:
    before = 0
    for reading in readings:
        for alias, customer, at in reading.links:
            yield Link(alias_id=alias, customer_id=customer, at=at, before=before)
        before += len(reading.records)


def _body(record: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """A record without its customer: a column says whose it is, which may change, and the id be another's then."""
    attributes = {**record.get("attributes", {}), **texts}
    said = {name: value for name, value in record.items() if name != "customer_id"}
    return json.dumps({**said, "attributes": attributes} if attributes else said)


def _raw(readings: Sequence[Reading], source: str) -> Iterator[RawMessage]:
    """The messages that have faults."""
    links = 0
    for reading in readings:
        links += len(reading.links)
        if reading.faults:
            user, anonymous, previous = reading.named
            yield RawMessage(
                source=source,
                message_id=fitting_id(reading.id),
                name=printable(reading.name)[:MAX_ID],
                # Quotes names of traits, which may be any text; PostgreSQL keeps no NUL.
                reason=printable("; ".join(reading.faults)),
                payload=json.dumps(reading.message),
                user_id=user,
                anonymous_id=anonymous,
                previous_id=previous,
                links=links,
            )
