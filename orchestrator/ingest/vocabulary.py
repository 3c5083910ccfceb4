"""What events may name, as reading them needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from orchestrator.config.models import Attribute

# The code of no channel, and of no category.
NONE = -1


class EventVocabulary(Protocol):
    """The channels, categories and attributes of a retailer, in code order; `ProfileSchema` is one."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of channels."""

    @property
    def consent_kinds(self) -> tuple[str, ...]:
        """Per channel, `opt_in`, `opt_out` or `none`."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of categories."""

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """What customers may state, by name."""
