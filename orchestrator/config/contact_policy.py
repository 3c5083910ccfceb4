"""`contacts.yaml`: how often, when and after what customers may be contacted."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator.config.fact_types import OutcomeType
from orchestrator.config.models import Channel, Duration, Intent, Name, Settings
from orchestrator.errors import FieldError

if TYPE_CHECKING:
    from orchestrator.config.catalogue import Action

DAY = 86400
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CLOSED = (0, 0)
Counts = Literal["decided", "sent", "seen"]


def time_of_day(text: Any) -> int:
    """Seconds since midnight of a time such as `21:30`; `24:00` is the end of the day.

    Raises:
        ValueError: not a time of day.
    """
    found = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*", str(text))
    if not found or int(found[2]) > 59 or (since := int(found[1]) * 3600 + int(found[2]) * 60) > DAY:
        raise ValueError("must be a time of day such as '08:00' or '21:30'")
    return since


def hours(text: Any) -> tuple[int, int]:
    """Start and end in seconds since midnight of hours such as `09:00-20:00`; `closed` is (0, 0).

    An end at or before its start is on the next day: `18:00-02:00` ends at 26 h.

    Raises:
        ValueError: not hours, or none between start and end.
    """
    if text == "closed":
        return CLOSED
    start, dash, end = str(text).partition("-")
    try:
        first, last = time_of_day(start), time_of_day(end)
    except ValueError:
        dash = ""
    if not dash:
        raise ValueError("must be hours such as '09:00-20:00', or 'closed'")
    if first == last:
        raise ValueError("starts when it ends; use '00:00-24:00' for all day, or 'closed'")
    return first, last if last > first else last + DAY


def time_zone(name: str) -> str:
    """The name of a time zone, checked.

    Raises:
        FieldError: no such time zone.
    """
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, zoneinfo.available_timezones(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "use a name of the IANA list, such as 'Europe/Berlin'"
        raise FieldError("no such time zone", hint) from None
    return name


TimeOfDay = Annotated[int, BeforeValidator(time_of_day)]
Hours = Annotated[tuple[int, int], BeforeValidator(hours)]
SomeHours = Annotated[tuple[int, int] | None, BeforeValidator(hours)]  # a union outside would hide the message
TimeZone = Annotated[str, AfterValidator(time_zone)]
Some = Field(min_length=1)


class Scope(Settings):
    """Which actions a rule is about: those that fit everything given here; with nothing given, every contact.

    Attributes:
        channels: names of channels; in any of them.
        intents: with any of these intents.
        actions: ids, or patterns such as `email.offer.*`; any of them.
    """

    channels: Annotated[tuple[str, ...], Some] = ()
    intents: Annotated[tuple[Intent, ...], Some] = ()
    actions: Annotated[tuple[str, ...], Some] = ()

    def covers(self, action: Action, channels: Mapping[str, Channel]) -> bool:
        """Whether an action is in scope; `hold` never is.

        Without channels, intents and actions, those of channels that contact (`contacts: true`) are.
        """
        if not action.channel:
            return False
        if not (self.channels or self.intents or self.actions):
            return action.channel in channels and channels[action.channel].contacts
        return (
            (not self.channels or action.channel in self.channels)
            and (not self.intents or action.intent in self.intents)
            and (not self.actions or any(fnmatchcase(action.id, pattern) for pattern in self.actions))
        )


class Cap(Scope):
    """At most `limit` contacts in any `window`.

    Attributes:
        name: what an explanation calls it.
        limit: so many contacts.
        window: in so many seconds; a contact exactly that long ago no longer counts.
        counts: from which moment a contact counts. Before it is reported `sent` or `seen`, it holds a reservation.
    """

    name: Name
    limit: Annotated[int, Field(ge=1)]
    window: Duration
    counts: Counts = "decided"


class MinGap(Scope):
    """At least `gap` seconds between two contacts; `name` and `counts` as of a cap."""

    name: Name
    gap: Duration
    counts: Counts = "decided"


class QuietHours(Settings):
    """No contacts in these channels at these times of day, as the customer's own clock shows them.

    Attributes:
        name: what an explanation calls it.
        channels: names of channels.
        start: `from` in the file; seconds since midnight.
        end: `to` in the file; at or before `from`, it is on the next day.
    """

    name: Name
    channels: Annotated[tuple[str, ...], Some]
    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")

    @model_validator(mode="after")
    def _some_time_is_loud(self) -> QuietHours:
        if (self.end - self.start) % DAY == 0:
            raise ValueError("quiet all day; change 'from' or 'to', or pause the channel's actions instead")
        return self


class Suppression(Scope):
    """No contacts for some time after an outcome.

    Attributes:
        name: what an explanation calls it.
        after: the outcomes.
        lasts: `for` in the file; seconds.
    """

    name: Name
    after: Annotated[tuple[OutcomeType, ...], Some]
    lasts: Duration = Field(alias="for")


class WeekHours(Settings):
    """When a store is open: every day alike, but for the days named."""

    every_day: Hours = (0, DAY)
    monday: SomeHours = None
    tuesday: SomeHours = None
    wednesday: SomeHours = None
    thursday: SomeHours = None
    friday: SomeHours = None
    saturday: SomeHours = None
    sunday: SomeHours = None

    def of_week(self) -> tuple[tuple[int, int], ...]:
        """Start and end per day, Monday first, in seconds since that day's midnight."""
        named = (getattr(self, day) for day in WEEKDAYS)
        return tuple(self.every_day if of_day is None else of_day for of_day in named)


class Store(Settings):
    """One store's own hours, on its own clock; none for the default's."""

    hours: WeekHours
    time_zone: TimeZone | None = None


class StoreHours(Settings):
    """Channels that need an open store.

    Attributes:
        channels: names of channels; none for no such rule.
        hours: of every store that has none of its own.
        stores: by the store's name.
    """

    channels: tuple[str, ...] = ()
    hours: WeekHours = WeekHours()
    stores: dict[str, Store] = Field(default_factory=dict)


class ContactPolicy(Settings):
    """`contacts.yaml`: how often, when and after what customers may be contacted. Without the file, always.

    Attributes:
        time_zone: of customers whose own is not known, and of stores that do not name theirs.
        reserved_for: seconds for which a contact that is not yet reported counts as if it were.
        caps: sliding windows.
        gaps: minimum times between contacts.
        quiet_hours: by the customer's clock.
        suppressions: silence after outcomes.
        store_hours: by the store's clock.
    """

    time_zone: TimeZone = "UTC"
    reserved_for: Duration = 86400.0
    caps: tuple[Cap, ...] = ()
    gaps: tuple[MinGap, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    store_hours: StoreHours = StoreHours()
