"""Applying events to customer states: sums, maxima and minima only, so that order never matters."""

from __future__ import annotations

import numpy as np

from orchestrator.errors import EventError
from orchestrator.profiles.events import Events
from orchestrator.profiles.schema import AS_OF, DECAYS, FIRST, LAST, ProfileSchema
from orchestrator.profiles.types import EVENT_TYPES
from policies.arrays import BoolArray, Float64Array, IntArray

CODE = {name: code for code, name in enumerate(EVENT_TYPES)}
# A click shows more interest than an open, which a mail program may have done by itself.
RESPONSE_WEIGHT = {"open": 0.25, "click": 1.0, "coupon_redeemed": 1.0}


def apply(schema: ProfileSchema, states: Float64Array, events: Events) -> None:
    """Bring states up to date with events, in place.

    Any order, and any split into batches, gives the same states up to rounding. Every event counts:
    drop repeated ids first (`Events.fresh`).

    Args:
        schema: layout of the states.
        states: float64 (n, S), C-contiguous; rows not named in the events stay as they are.
        events: `events.customer` are rows of `states`.

    Raises:
        EventError: a row, channel, category or attribute that `states` does not have; nothing was applied.
    """
    if not len(events):
        return
    _check(schema, states, events)
    touched = np.zeros(len(states), dtype=bool)
    touched[events.customer] = True
    rows = np.flatnonzero(touched)
    _advance(schema, states, events, rows)
    np.minimum.at(states[:, FIRST], events.customer, events.timestamp)
    writer = _Writer(schema, states, events)
    _browsing(writer)
    _purchases(writer)
    _contacts(writer)
    _attributes(schema, states, events)


def _check(schema: ProfileSchema, states: Float64Array, events: Events) -> None:
    """A code out of range would land in another block without a word."""
    if states.shape[1:] != (schema.state_size,) or not states.flags.c_contiguous:
        raise EventError(f"states must be C-contiguous (n, {schema.state_size}), got shape {states.shape}")
    limits = {
        "customer": len(states),
        "channel": len(schema.channels),
        "category": len(schema.categories),
        "attribute": len(schema.attributes),
    }
    for name, limit in limits.items():
        codes = getattr(events, name)
        if len(codes) and codes.max() >= limit:
            raise EventError(f"{name} {codes.max()} does not exist; the largest is {limit - 1}")


def _advance(schema: ProfileSchema, states: Float64Array, events: Events, rows: IntArray) -> None:
    """Move the touched rows to their latest event, decaying their sums to it."""
    before = states[rows, AS_OF]
    np.maximum.at(states[:, AS_OF], events.customer, events.timestamp)
    elapsed = states[rows, AS_OF] - before
    for block, half_life in schema.decays():
        states[rows, block] *= np.exp2(-elapsed / half_life)[:, None]


class _Writer:
    """Adds the events of some types to sums and last times."""

    def __init__(self, schema: ProfileSchema, states: Float64Array, events: Events) -> None:
        self.events = events
        self._schema = schema
        self._flat = states.reshape(-1)
        self._offset = events.customer * schema.state_size
        age = states[events.customer, AS_OF] - events.timestamp
        self._weights = {name: np.exp2(-age / getattr(schema.half_lives, name)) for name in DECAYS}

    def of(self, *types: str) -> IntArray:
        """Positions of the events of these types."""
        chosen: BoolArray = self.events.type == CODE[types[0]]
        for name in types[1:]:
            chosen |= self.events.type == CODE[name]
        return np.flatnonzero(chosen)

    def add(
        self,
        name: str,
        chosen: IntArray,
        *,
        half_life: str,
        amount: Float64Array | float = 1.0,
        code: IntArray | None = None,
    ) -> None:
        """Add `amount` (n_chosen,), decayed to the row's time, to the sum `name`; per `code` where given."""
        if not len(chosen):
            return
        at = self._offset[chosen] + self._schema.slot(name).start
        weight = self._weights[half_life][chosen] * amount
        if code is None:
            np.add.at(self._flat, at, weight)
        else:
            known = code[chosen] >= 0
            np.add.at(self._flat, (at + code[chosen])[known], weight[known])

    def last(self, name: str, chosen: IntArray, *, code: IntArray | None = None) -> None:
        """Raise the last time `name` to these events' times; per `code` where given."""
        if code is None:
            at = self._offset[chosen] + self._schema.slot("last").start + LAST.index(name)
            np.maximum.at(self._flat, at, self.events.timestamp[chosen])
        else:
            known = chosen[code[chosen] >= 0]
            at = self._offset[known] + self._schema.slot(f"last.{name}").start + code[known]
            np.maximum.at(self._flat, at, self.events.timestamp[known])


def _browsing(write: _Writer) -> None:
    category = write.events.category
    write.add("views", write.of("view"), half_life="browse", code=category)
    for kind, trace in (("visit", "visits"), ("store_visit", "store_visits")):
        write.add(trace, write.of(kind), half_life="browse")
        write.last(kind, write.of(kind))
    write.last("wanted", write.of("want"), code=category)
    write.last("carted", write.of("cart_add"), code=category)
    write.last("uncarted", write.of("cart_remove"), code=category)


def _purchases(write: _Writer) -> None:
    events, bought = write.events, write.of("purchase")
    write.add("buys", bought, half_life="purchase", code=events.category)
    write.add("purchases", bought, half_life="purchase")
    write.add("spend", bought, half_life="purchase", amount=events.value[bought])
    write.add("discounts", bought, half_life="purchase", amount=events.discount[bought])
    write.last("purchase", bought)
    write.last("bought", bought, code=events.category)
    returned = write.of("return")
    write.add("returns", returned, half_life="purchase", amount=events.value[returned])
    write.add("redemptions", write.of("coupon_redeemed"), half_life="purchase")


def _contacts(write: _Writer) -> None:
    channel, sent = write.events.channel, write.of("sent")
    write.add("fatigue", sent, half_life="fatigue", code=channel)
    write.add("sends", sent, half_life="response", code=channel)
    for kind, weight in RESPONSE_WEIGHT.items():
        write.add("responses", write.of(kind), half_life="response", amount=weight, code=channel)
    write.last("response", write.of(*RESPONSE_WEIGHT))
    write.last("response", write.of(*RESPONSE_WEIGHT), code=channel)
    write.last("subscribed", write.of("subscribe"), code=channel)
    write.last("unsubscribed", write.of("unsubscribe"), code=channel)


def _attributes(schema: ProfileSchema, states: Float64Array, events: Events) -> None:
    """Keep each attribute's latest statement; of two at the same moment, the larger value."""
    if not len(events.attribute):
        return
    row, time = events.customer[events.attribute_event], events.timestamp[events.attribute_event]
    order = np.lexsort((events.attribute_value, time, events.attribute, row))
    row, time, code = row[order], time[order], events.attribute[order]
    value = events.attribute_value[order]
    latest = np.append((row[1:] != row[:-1]) | (code[1:] != code[:-1]), True)
    row, time, code, value = row[latest], time[latest], code[latest], value[latest]
    time_at = schema.slot("attribute_times").start + code
    value_at = schema.slot("attribute_values").start + code
    known_time, known_value = states[row, time_at], states[row, value_at]
    newer = (time > known_time) | ((time == known_time) & (value > known_value))
    states[row[newer], time_at[newer]] = time[newer]
    states[row[newer], value_at[newer]] = value[newer]
