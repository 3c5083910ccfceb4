"""What a purchase is worth, what goes with it, and what comes back."""

from __future__ import annotations

import numpy as np

from policies.arrays import Float32Array, IntArray
from simulator.world.latent_state import NEVER
from simulator.world.scene import Scene


def basket_values(scene: Scene, rows: IntArray, *, in_store: bool) -> Float32Array:
    """List prices of one basket each in money, log-normal per channel; a site order has a least value; float32 (m,)."""
    settings, place = scene.world.baskets, "store" if in_store else "site"
    random = scene.streams.generator(f"{place} basket", scene.day)
    normal = random.standard_normal(len(scene.people), dtype=np.float32)[rows]
    log_mean = np.float32(settings.store_log_mean if in_store else settings.site_log_mean)
    log_sd = np.float32(settings.store_log_sd if in_store else settings.site_log_sd)
    floor = np.float32(0.01 if in_store else settings.site_floor)
    values: Float32Array = np.maximum(floor, np.exp(log_mean + log_sd * normal))
    return values


def schedule_returns(
    scene: Scene, rows: IntArray, category: IntArray, *, paid: Float32Array, kept: Float32Array
) -> None:
    """Some site orders come back after an exponential time; one open return per customer."""
    settings, moods = scene.world.baskets, scene.moods
    returned = (scene.uniforms("returned", rows) < settings.return_share) & (moods.return_due[rows] == NEVER)
    chosen = rows[returned]
    delay = 1 - settings.return_days * np.log1p(-scene.uniforms("return delay", chosen))
    moods.return_due[chosen] = scene.day + delay.astype(np.int64)
    moods.return_value[chosen], moods.return_kept[chosen] = paid[returned], kept[returned]
    moods.return_category[chosen] = category[returned]
