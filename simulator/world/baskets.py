"""What a purchase is worth, what goes with it, and what comes back."""

from __future__ import annotations

import numpy as np

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.streams import Streams
from simulator.world.moods import NOTHING, Moods
from simulator.world.settings import BasketSettings


def basket_values(settings: BasketSettings, normal: Float32Array, *, in_store: BoolArray) -> Float32Array:
    """List prices of baskets in money, log-normal per channel; a site order has a least value; float32 (m,)."""
    store = np.exp(settings.store_log_mean + settings.store_log_sd * normal)
    site = np.maximum(settings.site_floor, np.exp(settings.site_log_mean + settings.site_log_sd * normal))
    return np.where(in_store, store, site).astype(np.float32)


def schedule_returns(
    settings: BasketSettings,
    moods: Moods,
    streams: Streams,
    *,
    day: int,
    rows: IntArray,
    paid: Float32Array,
    category: IntArray,
) -> None:
    """Some site orders come back after an exponential time; one open return per customer."""
    n = len(moods.alive)
    returned = (streams.uniforms("returned", day, n)[rows] < settings.return_share) & (moods.return_due[rows] == NOTHING)
    delay = 1 - settings.return_days * np.log1p(-streams.uniforms("return delay", day, n)[rows[returned]])
    chosen = rows[returned]
    moods.return_due[chosen] = day + delay.astype(np.int64)
    moods.return_value[chosen] = paid[returned]
    moods.return_category[chosen] = category[returned]
