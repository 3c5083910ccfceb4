"""When a Segment message happened, by our clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def happened(message: Mapping[str, Any], *, sent_at: Any, received: float) -> float:
    """Seconds since 1970 at which a message happened.

    The sender's clock may be wrong, but not between two of its own readings: `received - (sentAt - timestamp)`. A
    message that has an `originalTimestamp` too went through Segment, which corrected its `timestamp` already. Nothing
    happens after it was received.

    Args:
        message: may have `timestamp`, `originalTimestamp` and `sentAt`.
        sent_at: of the batch, for messages without a `sentAt`.
        received: our clock, seconds since 1970.

    Raises:
        ValueError: a time that cannot be read, or is before 1970.

    Source: Segment's common fields, "Timestamps" (segment.com/docs/connections/spec/common).
    """
    if message.get("timestamp") is None:
        return received
    at = _seconds(message["timestamp"], "timestamp")
    sent = message.get("sentAt") or sent_at
    if sent is not None and message.get("originalTimestamp") is None:
        at = received - (_seconds(sent, "sentAt") - at)
    if at < 0:
        raise ValueError(f"timestamp = {message['timestamp']!r} lies before 1970")
    return min(at, received)


def _seconds(text: Any, name: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {text!r} is no ISO 8601 time") from None
    # Libraries that leave out the zone mean UTC.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
