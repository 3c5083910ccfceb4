"""A message of another system that was not understood, or not all of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message kept as it was sent.

    Attributes:
        source: the kind of system, such as `segment`.
        message_id: within the source; the same message sent again has the same one.
        name: of what it tells, as the sender names it; may be empty.
        reason: why it was not understood.
        payload: as JSON.
    """

    source: str
    message_id: str
    name: str
    reason: str
    payload: str
