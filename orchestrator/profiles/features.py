"""From states to features: decayed to the moment asked for, on scales a linear policy can use."""

from __future__ import annotations

import numpy as np

from orchestrator.profiles.schema import AS_OF, CHANNEL_TRACES, FIRST, LAST, ProfileSchema
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray

DAY = 86400.0
# Divisors of logarithms: tens of events, hundreds of money and a year all come out around 1 or 2.
COUNT_SCALE, FREQUENCY_SCALE, MONEY_SCALE, TENURE_SCALE = (np.float32(x) for x in (1.5, 2.0, 4.0, 6.0))
# What is believed of a channel's response rate before anything was sent: worth this many sends.
PRIOR_RATE, PRIOR_SENDS = 0.2, 2.0
LARGEST = 3.0
# Contacts in a fatigue half-life, and money in a purchase half-life, that come out around 1.
PRESSURE_SCALE, VALUE_SCALE = 3.0, 300.0
# Half-lives after which nothing is left: 2 ** -160 is zero as float32. Powers of two of anything further, of
# minus infinity above all, take ten times as long.
GONE = 160.0
# Customers worked on at once, so that intermediate arrays stay in the processor's cache. No power of two: columns would
# lie a multiple of the cache's size apart, and writing one would evict another.
BLOCK = 1920
_GATHERED = 240  # states turned into columns at once


def features(
    schema: ProfileSchema,
    states: Float64Array,
    now: float | Float64Array,
    *,
    rows: IntArray | None = None,
    out: Float32Array | None = None,
) -> Float32Array:
    """Customer features at a moment.

    Args:
        schema: layout of the states.
        states: float64 (n, S).
        now: seconds since 1970, one or (n,); a moment before a state's last event counts as that event's.
        rows: int64 (n,), which of the states; then there may be more of them than n. None for all.
        out: float32 (n, F) to write to; a new one if not given.

    Returns:
        float32 (n, F), finite, in [0, 3], in the order of `schema.columns`.
    """
    n = len(states) if rows is None else len(rows)
    nows = np.broadcast_to(np.asarray(now, dtype=np.float64), (n,))
    if out is None:
        out = np.empty((n, len(schema.columns)), dtype=np.float32)
    parts = (_affinities, _totals, _recencies, _channels, _attributes, _consent)
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        some = _gathered(states[block], None) if rows is None else _gathered(states, rows[block])
        view = _Decayed(schema, some, nows[block])
        columns = _Columns(len(schema.columns), len(view.moment))
        for part in parts:
            part(view, columns)
        np.clip(columns.array, 0, LARGEST, out=columns.array)
        out[block] = columns.array.T
    return out


def consent(schema: ProfileSchema, states: Float64Array) -> BoolArray:
    """Whether each channel may be used for each customer; bool (n, channels).

    The later of the last subscription and unsubscription decides, and an unsubscription at the same
    moment wins. Without either, `opt_in` channels may not be used and the others may; a channel of
    kind `none` may always be used.
    """
    subscribed, unsubscribed = (states[:, schema.slot(f"last.{word}")].T for word in ("subscribed", "unsubscribed"))
    return _allowed(schema, subscribed, unsubscribed).T


def _allowed(schema: ProfileSchema, subscribed: Float64Array, unsubscribed: Float64Array) -> BoolArray:
    """`consent` of last words (channels, n)."""
    allowed: BoolArray = subscribed > unsubscribed
    allowed |= (unsubscribed == -np.inf) & schema.allowed_unless_refused[:, None]
    allowed |= ~schema.asks_consent[:, None]
    return allowed


def _gathered(states: Float64Array, rows: IntArray | None) -> Float64Array:
    """States as columns, float64 (S, n): those of `rows`, or all."""
    n = len(states) if rows is None else len(rows)
    gathered = np.empty((states.shape[1], n))
    for start in range(0, n, _GATHERED):
        some = slice(start, start + _GATHERED)
        gathered[:, some] = (states[some] if rows is None else states[rows[some]]).T
    return gathered


class _Columns:
    """Features of a block of customers, filled in the order of `ProfileSchema.columns`.

    Here and in `_Decayed` a column is a row of memory, float32 (F, n): a few values of each customer side by side
    would be loops of a few steps each.
    """

    def __init__(self, count: int, customers: int) -> None:
        self.array = np.empty((count, customers), dtype=np.float32)
        self._end = 0

    def next(self, count: int) -> Float32Array:
        """The next columns, float32 (count, n), to be written."""
        start, self._end = self._end, self._end + count
        return self.array[start : self._end]


class _Decayed:
    """States seen from a moment; every method gives (k, n).

    States are given as columns, float64 (S, n). Sums are float32: they keep seven digits, of which features show six.
    """

    def __init__(self, schema: ProfileSchema, states: Float64Array, now: Float64Array) -> None:
        self.schema = schema
        self._states = states
        self.moment = np.maximum(now, self._states[AS_OF])
        self.first = self._states[FIRST]
        decays = schema.decays()
        self._first = decays[0][0].start
        self._sums = self._states[self._first : decays[-1][0].stop].astype(np.float32)
        elapsed = self.moment - self._states[AS_OF]
        for block, half_life in decays:
            self._sums[self._sum_at(block)] *= _halved(elapsed, half_life).astype(np.float32)
        self._logs = np.log1p(self._sums)

    def sum(self, name: str) -> Float32Array:
        return self._sums[self._sum_at(self.schema.slot(name))]

    def log(self, name: str) -> Float32Array:
        """The logarithm of 1 + the sum."""
        return self._logs[self._sum_at(self.schema.slot(name))]

    def last(self, name: str) -> Float64Array:
        """Times, or whatever else is no sum."""
        return self._states[self.schema.slot(name)]

    def recency(self, name: str, half_life: float) -> Float64Array:
        """1 just now, half after a half-life, 0 (once it is float32) if never."""
        return _halved(self.moment - self.last(name), half_life)

    def since(self, seconds: float) -> Float64Array:
        """What is later than this, (n,), happened at most so many seconds before the moment."""
        limit: Float64Array = np.nextafter(self.moment - seconds, -np.inf)
        return limit

    def _sum_at(self, slot: slice) -> slice:
        return slice(slot.start - self._first, slot.stop - self._first)


def _halved(elapsed: Float64Array, half_life: float) -> Float64Array:
    """What is left of 1 after `elapsed` seconds."""
    return np.exp2(np.maximum(elapsed / -half_life, -GONE))


def _affinities(view: _Decayed, columns: _Columns) -> None:
    schema, count = view.schema, len(view.schema.categories)
    for trace in ("buys", "views"):
        np.divide(view.log(trace), COUNT_SCALE, out=columns.next(count))
    bought = view.last("last.bought")
    cleared = np.maximum(np.maximum(bought, view.last("last.uncarted")), view.since(schema.cart_expires))
    columns.next(count)[:] = view.last("last.carted") > cleared
    columns.next(count)[:] = view.last("last.wanted") > np.maximum(bought, view.since(schema.want_expires))


def _totals(view: _Decayed, columns: _Columns) -> None:
    spend, discounts, returns = view.sum("spend"), view.sum("discounts"), view.sum("returns")
    np.divide(view.log("purchases"), FREQUENCY_SCALE, out=columns.next(1))
    np.divide(view.log("spend"), MONEY_SCALE, out=columns.next(1))
    columns.next(1)[:] = _value(view)
    # One unit of money more in the denominator, so that a share fades with what it is of.
    np.divide(discounts, spend + discounts + 1, out=columns.next(1))
    np.divide(returns, spend + 1, out=columns.next(1))
    for trace in ("redemptions", "visits", "store_visits"):
        np.divide(view.log(trace), COUNT_SCALE, out=columns.next(1))


def _recencies(view: _Decayed, columns: _Columns) -> None:
    both = columns.next(2 * len(LAST))
    both[0::2] = view.recency("last", view.schema.half_lives.recency)
    both[1::2] = view.last("last") > -np.inf
    days = np.maximum(view.moment - view.first, 0) / DAY
    columns.next(1)[:] = np.log1p(days) / TENURE_SCALE


def _channels(view: _Decayed, columns: _Columns) -> None:
    traces = len(CHANNEL_TRACES)
    block = columns.next(traces * len(view.schema.channels))
    np.divide(view.log("sends"), COUNT_SCALE, out=block[0::traces])
    np.divide(view.log("responses"), COUNT_SCALE, out=block[1::traces])
    prior = PRIOR_RATE * PRIOR_SENDS
    np.divide(view.sum("responses") + prior, view.sum("sends") + PRIOR_SENDS, out=block[2::traces])
    np.divide(view.log("fatigue"), COUNT_SCALE, out=block[3::traces])
    block[4::traces] = view.recency("last.response", view.schema.half_lives.response)
    # Not on a logarithmic scale: each further contact weighs as much as the one before, and on who spends more, more.
    pressure = view.sum("fatigue") / PRESSURE_SCALE
    block[5::traces] = pressure
    block[6::traces] = np.minimum(pressure, LARGEST) * _value(view)


def _value(view: _Decayed) -> Float32Array:
    """Recent spend as it is, float32 (1, n): what there is to lose."""
    value: Float32Array = np.minimum(view.sum("spend") / VALUE_SCALE, LARGEST)
    return value


def _attributes(view: _Decayed, columns: _Columns) -> None:
    times, values = view.last("attribute_times"), view.last("attribute_values")
    for attribute, time, value in zip(view.schema.attributes.values(), times, values, strict=True):
        known = time > -np.inf
        if not known.any():
            columns.next(len(attribute.values) if attribute.scale is None else 2)[:] = 0
        elif attribute.scale is None:
            options = np.arange(len(attribute.values))[:, None]
            columns.next(len(options))[:] = (value == options) & known
        else:
            columns.next(1)[:] = np.log1p(value) / np.log1p(attribute.scale) * known
            columns.next(1)[:] = known


def _consent(view: _Decayed, columns: _Columns) -> None:
    asked = view.schema.asks_consent
    allowed = _allowed(view.schema, view.last("last.subscribed"), view.last("last.unsubscribed"))
    columns.next(int(asked.sum()))[:] = allowed[asked]
