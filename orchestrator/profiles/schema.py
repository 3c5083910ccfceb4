"""Where each number of a customer's state stands, and which features are made of them.

A state is float64 of fixed length, in blocks:

- the time it is of (`as_of`, the latest event) and the first time anything was known;
- decayed sums, as of that time, in one contiguous block per half-life;
- last times (maxima), `-inf` where it never happened;
- per attribute, the time it was stated and its value.

Each part is a sum, a maximum or a minimum over events, so the order of events never matters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from orchestrator.config import Retailer
from orchestrator.config.fact_types import EVENTS, Trace
from orchestrator.config.models import Attribute, HalfLives
from orchestrator.errors import ConfigError
from orchestrator.profiles.decayed_counters import TraceTable
from policies.arrays import BoolArray, Float64Array

FORMAT = 1
AS_OF, FIRST = 0, 1
# Decayed sums, by the half-life they decay with.
DECAYS = ("browse", "purchase", "fatigue", "response")
BROWSE_TOTALS = ("visits", "store_visits")
PURCHASE_TOTALS = ("purchases", "spend", "discounts", "returns", "redemptions")
# Last times: per customer, per category, per channel.
LAST = ("purchase", "visit", "store_visit", "response")
LAST_BY_CATEGORY = ("wanted", "bought", "carted", "uncarted")
CHANNEL_TRACES = ("sends", "responses", "response_rate", "fatigue", "recency_response", "pressure", "burden")
LAST_BY_CHANNEL = ("response", "subscribed", "unsubscribed")


@dataclass(frozen=True)
class ProfileSchema:
    """Names, positions and time constants of customer state for one retailer.

    Attributes:
        categories: in code order.
        channels: in code order.
        consent_kinds: per channel, `opt_in`, `opt_out` or `none`.
        half_lives: seconds.
        want_expires: seconds after which an unanswered want is closed.
        cart_expires: seconds after which a cart is abandoned for good.
        attributes: stated facts, in code order.
        columns: names of the F customer features.
    """

    categories: tuple[str, ...]
    channels: tuple[str, ...]
    consent_kinds: tuple[str, ...]
    half_lives: HalfLives
    want_expires: float
    cart_expires: float
    attributes: dict[str, Attribute]
    columns: tuple[str, ...] = field(init=False)
    _slots: dict[str, slice] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        columns = tuple(self._column_names())
        if len(set(columns)) < len(columns):
            twice = sorted({name for name in columns if columns.count(name) > 1})
            raise ConfigError(
                [f"feature {name!r} would exist twice; rename the attribute, category or channel" for name in twice]
            )
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "_slots", self._layout())

    @classmethod
    def from_retailer(cls, retailer: Retailer) -> ProfileSchema:
        """The schema of a retailer's configuration."""
        return cls(
            categories=retailer.catalogue.categories,
            channels=tuple(retailer.channels),
            consent_kinds=tuple(channel.consent for channel in retailer.channels.values()),
            half_lives=retailer.profiles.half_lives,
            want_expires=retailer.profiles.want_expires,
            cart_expires=retailer.profiles.cart_expires,
            attributes=dict(retailer.profiles.attributes),
        )

    @property
    def state_size(self) -> int:
        """S, the length of one customer's state."""
        return int(self._slots["attribute_values"].stop)

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever stored states would be misread; keep it beside them and rebuild from events then."""
        half_lives = self.half_lives.model_dump(include=set(DECAYS))
        attributes = {name: attribute.values for name, attribute in self.attributes.items()}
        meaning = [FORMAT, self.categories, self.channels, half_lives, attributes]
        return hashlib.blake2b(json.dumps(meaning).encode(), digest_size=8).hexdigest()

    @cached_property
    def features_fingerprint(self) -> str:
        """Changes whenever the same events would make other features."""
        meaning = [
            self.fingerprint,
            self.consent_kinds,
            self.half_lives.model_dump(),
            self.want_expires,
            self.cart_expires,
            {name: attribute.model_dump(mode="json") for name, attribute in self.attributes.items()},
        ]
        return hashlib.blake2b(json.dumps(meaning).encode(), digest_size=8).hexdigest()

    @cached_property
    def asks_consent(self) -> BoolArray:
        """Which channels may be closed to a customer, and so have a column `<channel>.consent`; bool (channels,)."""
        return np.array([kind != "none" for kind in self.consent_kinds], dtype=bool)

    @cached_property
    def consent_columns(self) -> slice:
        """Where the consent columns stand in `columns`: of the channels of `asks_consent`, in order."""
        return slice(len(self.columns) - int(self.asks_consent.sum()), len(self.columns))

    @cached_property
    def allowed_unless_refused(self) -> BoolArray:
        """Which channels are open to customers who never said anything of them; bool (channels,)."""
        return np.array([kind != "opt_in" for kind in self.consent_kinds], dtype=bool)

    def slot(self, name: str) -> slice:
        """Where a block of the state stands; blocks per category or channel are in code order."""
        return self._slots[name]

    def blocks(self, state: Float64Array) -> dict[str, list[float]]:
        """A state, float64 (S,), as its blocks by name; `as_of` and `first` are the times it begins with."""
        named = {"as_of": slice(AS_OF, AS_OF + 1), "first": slice(FIRST, FIRST + 1)}
        named |= {name: block for name, block in self._slots.items() if not name.startswith("decay.")}
        return {name: state[block].tolist() for name, block in named.items()}

    def empty(self, n: int) -> Float64Array:
        """States of n customers nothing is known about; float64 (n, S)."""
        states = np.zeros((n, self.state_size))
        states[:, AS_OF] = -np.inf
        states[:, FIRST] = np.inf
        states[:, self._slots["last"].start : self._slots["attribute_values"].start] = -np.inf
        return states

    def decays(self) -> tuple[tuple[slice, float], ...]:
        """The blocks of decayed sums with their half-lives in seconds."""
        return tuple((self._slots[f"decay.{name}"], getattr(self.half_lives, name)) for name in DECAYS)

    @cached_property
    def sums(self) -> TraceTable:
        """What events add to decayed sums."""
        return TraceTable.of([kind.adds for kind in EVENTS], cell=self._cell, half_life=self._half_life)

    @cached_property
    def last_times(self) -> TraceTable:
        """Which last times events raise."""
        return TraceTable.of([kind.last for kind in EVENTS], cell=self._cell)

    def _cell(self, trace: Trace) -> int:
        return int(self.slot(trace.slot).start) + (LAST.index(trace.of) if trace.of else 0)

    def _half_life(self, trace: Trace) -> float:
        cell = self._cell(trace)
        return next(half_life for block, half_life in self.decays() if block.start <= cell < block.stop)

    def _layout(self) -> dict[str, slice]:
        slots: dict[str, slice] = {}
        end = FIRST + 1

        def place(name: str, size: int) -> None:
            nonlocal end
            slots[name] = slice(end, end + size)
            end += size

        categories, channels = len(self.categories), len(self.channels)
        blocks = {
            "browse": {"views": categories} | dict.fromkeys(BROWSE_TOTALS, 1),
            "purchase": {"buys": categories} | dict.fromkeys(PURCHASE_TOTALS, 1),
            "fatigue": {"fatigue": channels},
            "response": {"sends": channels, "responses": channels},
        }
        for half_life, sums in blocks.items():
            start = end
            for name, size in sums.items():
                place(name, size)
            slots[f"decay.{half_life}"] = slice(start, end)
        place("last", len(LAST))
        for name in LAST_BY_CATEGORY:
            place(f"last.{name}", categories)
        for name in LAST_BY_CHANNEL:
            place(f"last.{name}", channels)
        place("attribute_times", len(self.attributes))
        place("attribute_values", len(self.attributes))
        return slots

    def _column_names(self) -> Iterator[str]:
        for trace in ("buy", "view", "cart", "want"):
            for category in self.categories:
                yield f"{trace}.{category}"
        yield from ("frequency", "spend", "value", "discount_share", "return_share", "redemptions")
        yield from ("visits", "store_visits")
        for what in LAST:
            yield from (f"recency.{what}", f"known.{what}")
        yield "tenure"
        for channel in self.channels:
            for trace in CHANNEL_TRACES:
                yield f"{channel}.{trace}"
        for name, attribute in self.attributes.items():
            if attribute.values:
                yield from (f"{name}={value}" for value in attribute.values)
            else:
                yield from (name, f"known.{name}")
        for channel, kind in zip(self.channels, self.consent_kinds, strict=True):
            if kind != "none":
                yield f"{channel}.consent"
