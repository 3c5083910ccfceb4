"""What the traits of a Segment `identify` say: attributes, texts, and consent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.contact_policy import time_zone
from orchestrator.config.event_names import ALWAYS_STATED, EventNames
from orchestrator.errors import EventError
from orchestrator.ingest.records import attribute_code
from orchestrator.ingest.vocabulary import EventVocabulary

_LONGEST_TEXT = 100


@dataclass
class Said:
    """What traits said that is of use here.

    Attributes:
        attributes: that policies may learn from.
        texts: that are kept as text.
        consent: whether the customer wants each channel.
        faults: what was of use by its name, but could not be used.
    """

    attributes: dict[str, str | float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    consent: dict[str, bool] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Traits:
    """How traits are understood; those without a use here are left out, and not kept."""

    schema: EventVocabulary
    content_fields: tuple[str, ...]
    names: EventNames

    def read(self, traits: Mapping[str, Any]) -> Said:
        """What these traits say."""
        said = Said()
        channels = [
            c for c, kind in zip(self.schema.channels, self.schema.consent_kinds, strict=True) if kind != "none"
        ]
        consent = {self.names.consent.get(channel, f"{channel}_subscribed"): channel for channel in channels}
        for trait, value in traits.items():
            if value is None:
                continue
            name = self.names.traits.get(trait, _snake_case(trait))
            channel = consent.get(trait, consent.get(_snake_case(trait)))
            if channel is not None:
                if isinstance(value, bool):
                    said.consent[channel] = value
                else:
                    said.faults.append(f"traits.{trait} = {value!r}: must be true or false")
            if name in self.content_fields or name in ALWAYS_STATED:
                self._text(said, trait, name, value)
            if name in self.schema.attributes:
                try:
                    attribute_code(self.schema, name, value)
                except EventError as error:
                    said.faults.append(f"traits.{trait}: {error}")
                else:
                    said.attributes[name] = value
        return said

    def _text(self, said: Said, trait: str, name: str, value: Any) -> None:
        text = value if isinstance(value, str) else ""
        if not 0 < len(text) <= _LONGEST_TEXT or re.search(r"[\x00-\x1f\x7f]", text):
            said.faults.append(
                f"traits.{trait} = {value!r}: must be a printable text of 1 to {_LONGEST_TEXT} characters"
            )
            return
        if name == "timezone":
            try:
                time_zone(text)
            except ValueError as error:
                said.faults.append(f"traits.{trait} = {value!r}: {error}")
                return
        said.texts[name] = text


def _snake_case(name: str) -> str:
    """`firstName` and `First Name` as `first_name`."""
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())).lower()
