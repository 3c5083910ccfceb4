"""From states to features: decayed to the moment asked for, on scales a linear policy can use."""

from __future__ import annotations

import numpy as np

from orchestrator.profiles.schema import AS_OF, FIRST, LAST, ProfileSchema
from policies.arrays import BoolArray, Float32Array, Float64Array

DAY = 86400.0
# Divisors of logarithms: tens of events, hundreds of money and a year all come out around 1 or 2.
COUNT_SCALE, FREQUENCY_SCALE, MONEY_SCALE, TENURE_SCALE = 1.5, 2.0, 4.0, 6.0
# What is believed of a channel's response rate before anything was sent: worth this many sends.
PRIOR_RATE, PRIOR_SENDS = 0.2, 2.0
LARGEST = 3.0
# Rows worked on at once, so that intermediate arrays stay in the processor's cache.
BLOCK = 2048


def features(schema: ProfileSchema, states: Float64Array, now: float | Float64Array) -> Float32Array:
    """Customer features at a moment.

    Args:
        schema: layout of the states.
        states: float64 (n, S).
        now: seconds since 1970, one or (n,); a moment before a state's last event counts as that event's.

    Returns:
        float32 (n, F), finite, in [0, 3], in the order of `schema.columns`.
    """
    n = len(states)
    moment = np.maximum(np.broadcast_to(np.asarray(now, dtype=np.float64), (n,)), states[:, AS_OF])
    columns = np.empty((n, len(schema.columns)), dtype=np.float32)
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        view = _Decayed(schema, states[block], moment[block])
        parts = (_affinities, _totals, _recencies, _channels, _attributes)
        np.concatenate(
            [array for part in parts for array in part(view)], axis=1, out=columns[block], casting="same_kind"
        )
    return np.clip(columns, 0, LARGEST, out=columns)


def consent(schema: ProfileSchema, states: Float64Array) -> BoolArray:
    """Whether each channel may be used for each customer; bool (n, channels).

    The later of the last subscription and unsubscription decides, and an unsubscription at the same
    moment wins. Without either, `opt_in` channels may not be used and the others may; a channel of
    kind `none` may always be used.
    """
    subscribed = states[:, schema.slot("last.subscribed")]
    unsubscribed = states[:, schema.slot("last.unsubscribed")]
    kinds = np.array(schema.consent_kinds, dtype=object)
    neither = np.isneginf(subscribed) & np.isneginf(unsubscribed)
    return np.asarray((kinds == "none") | (subscribed > unsubscribed) | ((kinds == "opt_out") & neither), dtype=bool)


class _Decayed:
    """States seen from a moment; every method gives (n, k)."""

    def __init__(self, schema: ProfileSchema, states: Float64Array, moment: Float64Array) -> None:
        self.schema = schema
        self.states = states
        self.moment = moment[:, None]
        elapsed = moment - states[:, AS_OF]
        self._sums = np.empty((len(states), schema.decays()[-1][0].stop))
        for block, half_life in schema.decays():
            self._sums[:, block] = states[:, block] * np.exp2(-elapsed / half_life)[:, None]

    def sum(self, name: str) -> Float64Array:
        return self._sums[:, self.schema.slot(name)]

    def count(self, name: str) -> Float64Array:
        return np.log1p(self.sum(name)) / COUNT_SCALE

    def last(self, name: str) -> Float64Array:
        return self.states[:, self.schema.slot(name)]

    def recency(self, name: str, half_life: float) -> Float64Array:
        """1 just now, half after a half-life, 0 if never."""
        return np.exp2(-np.maximum(self.moment - self.last(name), 0) / half_life)


def _affinities(view: _Decayed) -> list[Float64Array]:
    schema = view.schema
    want = view.last("last.wanted")
    want_open = (want > view.last("last.bought")) & (view.moment - want <= schema.want_expires)
    cart = view.last("last.carted")
    cleared = np.maximum(view.last("last.bought"), view.last("last.uncarted"))
    cart_open = (cart > cleared) & (view.moment - cart <= schema.cart_expires)
    return [view.count("buys"), view.count("views"), cart_open.astype(float), want_open.astype(float)]


def _totals(view: _Decayed) -> list[Float64Array]:
    spend, discounts, returns = view.sum("spend"), view.sum("discounts"), view.sum("returns")
    return [
        np.log1p(view.sum("purchases")) / FREQUENCY_SCALE,
        np.log1p(spend) / MONEY_SCALE,
        # One unit of money more in the denominator, so that a share fades with what it is of.
        discounts / (spend + discounts + 1),
        returns / (spend + 1),
        view.count("redemptions"),
        view.count("visits"),
        view.count("store_visits"),
    ]


def _recencies(view: _Decayed) -> list[Float64Array]:
    recency = view.recency("last", view.schema.half_lives.recency)
    known = np.isfinite(view.last("last")).astype(float)
    both = np.empty((len(known), 2 * len(LAST)))
    both[:, 0::2], both[:, 1::2] = recency, known
    days = np.maximum(view.moment[:, 0] - view.states[:, FIRST], 0) / DAY
    return [both, (np.log1p(days) / TENURE_SCALE)[:, None]]


def _channels(view: _Decayed) -> list[Float64Array]:
    sends, responses = view.sum("sends"), view.sum("responses")
    rate = (responses + PRIOR_RATE * PRIOR_SENDS) / (sends + PRIOR_SENDS)
    recency = view.recency("last.response", view.schema.half_lives.response)
    traces = (view.count("sends"), view.count("responses"), rate, view.count("fatigue"), recency)
    return [np.stack(traces, axis=2).reshape(len(sends), -1)]


def _attributes(view: _Decayed) -> list[Float64Array]:
    schema, states = view.schema, view.states
    known = np.isfinite(states[:, schema.slot("attribute_times")])
    values = states[:, schema.slot("attribute_values")]
    columns = []
    for i, attribute in enumerate(schema.attributes.values()):
        if attribute.scale is None:
            one_hot = values[:, [i]] == np.arange(len(attribute.values))
            columns.append((one_hot & known[:, [i]]).astype(float))
        else:
            size = np.log1p(values[:, i]) / np.log1p(attribute.scale)
            columns.append(np.column_stack([size * known[:, i], known[:, i]]))
    return columns
