"""Applying events to customer states: sums, maxima and minima only, so that order never matters."""

from __future__ import annotations

import numpy as np

from orchestrator.errors import EventError
from orchestrator.ingest.events import EventRows
from orchestrator.profiles.schema import AS_OF, FIRST, ProfileSchema
from policies.arrays import Float64Array

# Events and customers worked on at once, so that intermediate arrays stay in the processor's cache.
BLOCK = 2048


def apply(schema: ProfileSchema, states: Float64Array, events: EventRows) -> None:
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
    _advance(schema, states, events)
    _leave_traces(schema, states, events)
    _attributes(schema, states, events)


def _check(schema: ProfileSchema, states: Float64Array, events: EventRows) -> None:
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


def _advance(schema: ProfileSchema, states: Float64Array, events: EventRows) -> None:
    """Move the touched rows to their latest event, decaying their sums to it."""
    touched = np.zeros(len(states), dtype=bool)
    touched[events.customer] = True
    rows = np.flatnonzero(touched)
    before = states[rows, AS_OF]
    flat, at = states.reshape(-1), events.customer * schema.state_size
    np.maximum.at(flat, at + AS_OF, events.timestamp)
    np.minimum.at(flat, at + FIRST, events.timestamp)
    after = states[rows, AS_OF]
    aged = (after > before) & (before > -np.inf)  # the sums of somebody new are zero
    rows, elapsed = rows[aged], (after - before)[aged]
    decays = schema.decays()
    start, stop = decays[0][0].start, decays[-1][0].stop
    for first in range(0, len(rows), BLOCK):
        some, aging = rows[first : first + BLOCK], elapsed[first : first + BLOCK]
        sums = states[some, start:stop]
        for block, half_life in decays:
            left = np.exp2(-aging / half_life)
            for column in range(block.start - start, block.stop - start):  # a loop per customer would be of a few steps
                sums[:, column] *= left
        states[some, start:stop] = sums


def _leave_traces(schema: ProfileSchema, states: Float64Array, events: EventRows) -> None:
    """Add to sums what is left of each event at the time of its row, and raise last times."""
    flat, sums, last_times = states.reshape(-1), schema.sums, schema.last_times
    for start in range(0, len(events), BLOCK):
        block = slice(start, start + BLOCK)
        at, time, types = events.customer[block] * schema.state_size, events.timestamp[block], events.type[block]
        category, value = events.category[block], events.value[block]
        codes = np.stack([np.zeros_like(category), category, events.channel[block]])
        amounts = np.stack([np.ones_like(value), value, events.discount[block]])
        age = flat[at + AS_OF] - time
        event, trace, cell = sums.left_by(types, codes)
        left = np.exp2(-age[event] / sums.half_life[trace]) * amounts[sums.amount[trace], event] * sums.weight[trace]
        np.add.at(flat, at[event] + cell, left)
        event, _, cell = last_times.left_by(types, codes)
        np.maximum.at(flat, at[event] + cell, time[event])


def _attributes(schema: ProfileSchema, states: Float64Array, events: EventRows) -> None:
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
