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
        user_id: whom it names, as it names them; none if it does not, or not readably.
        anonymous_id: another id it names.
        previous_id: one it says to be somebody's.
        links: how many links of the same request were said until then, its own among them.
    """

    source: str
    message_id: str
    name: str
    reason: str
    payload: str
    user_id: str | None
    anonymous_id: str | None
    previous_id: str | None
    links: int

    @property
    def about(self) -> str | None:
        """The id of whom it is about: like an event's, by name rather than by device."""
        return self.user_id or self.anonymous_id or self.previous_id
