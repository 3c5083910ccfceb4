"""What a purchase is worth, what goes with it, and what comes back."""

from __future__ import annotations

import numpy as np

from policies.arrays import BoolArray, Float32Array, IntArray
from simulator.world.moods import NEVER
from simulator.world.scene import Scene


def basket_values(scene: Scene, rows: IntArray, *, in_store: BoolArray) -> Float32Array:
    """List prices of one basket each in money, log-normal per channel; a site order has a least value; float32 (m,)."""
    settings = scene.world.baskets
    normal = scene.streams.generator("basket", scene.day).standard_normal(len(scene.people), dtype=np.float32)[rows]
    log_mean = np.where(in_store, np.float32(settings.store_log_mean), np.float32(settings.site_log_mean))
    log_sd = np.where(in_store, np.float32(settings.store_log_sd), np.float32(settings.site_log_sd))
    floor = np.where(in_store, np.float32(0.01), np.float32(settings.site_floor))
    return np.maximum(floor, np.exp(log_mean + log_sd * normal))


def schedule_returns(scene: Scene, rows: IntArray, paid: Float32Array, category: IntArray) -> None:
    """Some site orders come back after an exponential time; one open return per customer."""
    settings, moods = scene.world.baskets, scene.moods
    returned = (scene.uniforms("returned", rows) < settings.return_share) & (moods.return_due[rows] == NEVER)
    chosen = rows[returned]
    delay = 1 - settings.return_days * np.log1p(-scene.uniforms("return delay", chosen))
    moods.return_due[chosen] = scene.day + delay.astype(np.int64)
    moods.return_value[chosen] = paid[returned]
    moods.return_category[chosen] = category[returned]
