"""`events.yaml`: what the events of other systems mean here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import Field, model_validator

from orchestrator.config.fact_types import NEEDS, EventType
from orchestrator.config.models import Channel, Duration, ProfileSettings, Settings
from orchestrator.errors import suggestion

# Texts that every customer may state, whatever profiles.yaml names.
ALWAYS_STATED = ("timezone", "home_store")


class Track(Settings):
    """What one name of a Segment `track` message means.

    Attributes:
        type: our event type.
        channel: of the event; needed by types that are about a channel.
    """

    type: EventType
    channel: str | None = None

    @model_validator(mode="after")
    def _has_its_channel(self) -> Track:
        if self.type in NEEDS["channel"] and self.channel is None:
            raise ValueError(f"a {self.type!r} event needs a channel; add it")
        return self


def _tracks(names: dict[str, str], channel: str | None = None) -> dict[str, Track | None]:
    return {name: Track.model_validate({"type": kind, "channel": channel}) for name, kind in names.items()}


# Segment's names for shops (v2 of its e-commerce spec, and the names of v1 it takes for the same), apps and e-mail.
DEFAULT_TRACKS: dict[str, Track | None] = {
    **_tracks(
        {
            "Products Searched": "view",
            "Product List Viewed": "view",
            "Product List Filtered": "view",
            "Product Clicked": "view",
            "Product Viewed": "view",
            "Product Added": "cart_add",
            "Product Removed": "cart_remove",
            "Cart Viewed": "cart_add",
            "Checkout Started": "cart_add",
            "Order Completed": "purchase",
            "Order Refunded": "return",
            "Order Cancelled": "return",
            "Product Added to Wishlist": "want",
            "Wishlist Product Added to Cart": "cart_add",
            "Application Opened": "visit",
            "Viewed Product Category": "view",
            "Viewed Product": "view",
            "Added Product": "cart_add",
            "Removed Product": "cart_remove",
            "Completed Order": "purchase",
        }
    ),
    **_tracks({"Promotion Clicked": "click"}, "site"),
    **_tracks(
        {
            "Email Delivered": "sent",
            "Email Opened": "open",
            "Email Link Clicked": "click",
            "Email Marked as Spam": "unsubscribe",
            "Unsubscribed": "unsubscribe",
        },
        "email",
    ),
}


class EventNames(Settings):
    """`events.yaml`: what the events of other systems mean. Without the file, names as they are most common.

    Attributes:
        cloudevents: our event type by CloudEvents `type`. Not needed for our own, alone or behind dots, such as
            `com.example.purchase`.
        tracks: by name of a Segment `track` message, beside and instead of `DEFAULT_TRACKS`; none to know it no more.
        categories: our category by a product's `category`, where it is another name.
        skus: our category by a product's `sku` or `product_id`, or a pattern such as `G-*`; before `categories`.
        traits: attribute or content field by a trait of Segment's `identify`, where it is another name.
        consent: by channel, the trait that is true or false as the customer subscribes or unsubscribes; without an
            entry, `<channel>_subscribed`.
        visit_every: seconds; `page` and `screen` messages within so long are one visit.
    """

    cloudevents: dict[str, EventType] = Field(default_factory=dict)
    tracks: dict[str, Track | None] = Field(default_factory=dict)
    categories: dict[str, str] = Field(default_factory=dict)
    skus: dict[str, str] = Field(default_factory=dict)
    traits: dict[str, str] = Field(default_factory=dict)
    consent: dict[str, str] = Field(default_factory=dict)
    visit_every: Duration = 1800.0

    def tracks_of(self, channels: Iterable[str]) -> dict[str, Track]:
        """What each name means to a retailer with these channels, by case-folded name."""
        known = {None, *channels}
        usual = {name: track for name, track in DEFAULT_TRACKS.items() if track and track.channel in known}
        folded = {name.casefold(): track for name, track in usual.items()}
        folded |= {name.casefold(): track for name, track in self.tracks.items() if track}
        return {name: track for name, track in folded.items() if name not in self._unknown()}

    def _unknown(self) -> set[str]:
        return {name.casefold() for name, track in self.tracks.items() if track is None}


def event_name_problems(
    path: Path,
    names: EventNames,
    *,
    channels: Mapping[str, Channel] | None,
    categories: Iterable[str] | None,
    profiles: ProfileSettings | None,
) -> Iterator[str]:
    """What `events.yaml` names that the other files lack; none of what could not be read.

    Args:
        path: of events.yaml.
        names: its content.
        channels: by name.
        categories: of the catalogue.
        profiles: whose attributes and content fields traits become.
    """
    if channels is not None:
        for name, track in names.tracks.items():
            if track and track.channel is not None and track.channel not in channels:
                hint = suggestion(track.channel, channels)
                yield f"{path}: tracks.{name}.channel = {track.channel!r}: no such channel; {hint}"
        for channel in names.consent:
            if channel not in channels:
                yield f"{path}: consent.{channel}: no such channel; {suggestion(channel, channels)}"
    for key, mapping in (("categories", names.categories), ("skus", names.skus)):
        for name, category in mapping.items():
            if categories is not None and category not in categories:
                yield f"{path}: {key}.{name} = {category!r}: no such category; {suggestion(category, categories)}"
    if profiles is not None:
        stated = (*profiles.attributes, *profiles.content_fields, *ALWAYS_STATED)
        for trait, name in names.traits.items():
            if name not in stated:
                yield f"{path}: traits.{trait} = {name!r}: no attribute or content field; {suggestion(name, stated)}"
