"""What happens to everybody on a day: categories out of stock, sales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import BoolArray, Float32Array
from simulator.world.settings import MarketSettings
from simulator.world.streams import Streams

YEAR = 365.0


@dataclass(frozen=True)
class Market:
    """Events of a horizon of D days.

    Attributes:
        in_stock: bool (D, K).
        back: bool (D, K), in stock again since at most a week.
        price_cut: float32 (D, K), share taken off the price in a sale.
    """

    in_stock: BoolArray
    back: BoolArray
    price_cut: Float32Array

    def on(self, day: int) -> tuple[BoolArray, BoolArray]:
        """What is in stock, and what is back in stock, on a day; bool (K,) each. Before the horizon all is normal."""
        if day < 0:
            return np.ones(self.in_stock.shape[1], dtype=bool), np.zeros(self.in_stock.shape[1], dtype=bool)
        return self.in_stock[day], self.back[day]

    def cut(self, day: int) -> Float32Array:
        """Price cuts of a day, float32 (K,)."""
        return np.zeros(self.price_cut.shape[1], dtype=np.float32) if day < 0 else self.price_cut[day]


def draw_market(settings: MarketSettings, *, days: int, categories: int, streams: Streams) -> Market:
    """Draw the market of one block, the same under every policy.

    Every block has its own: blocks are what intervals count as independent, so they may share no luck.

    Stock-outs and sales start as Poisson events per category and last a geometric number of days.
    """
    out = _episodes(
        streams.generator("stock"),
        days,
        categories,
        per_year=settings.stock_outs_per_year,
        length=settings.stock_out_days,
    )
    sale = _episodes(
        streams.generator("sales"), days, categories, per_year=settings.sales_per_year, length=settings.sale_days
    )
    back = np.zeros_like(out)
    for lag in range(1, 8):
        back[lag:] |= out[:-lag]
    return Market(in_stock=~out, back=back & ~out, price_cut=(sale * settings.sale_depth).astype(np.float32))


def _episodes(random: np.random.Generator, days: int, categories: int, *, per_year: float, length: float) -> BoolArray:
    # Both numbers of a day in one draw, so that a longer horizon begins like a shorter one.
    chance = random.random((days, 2, categories))
    starts, stops = chance[:, 0] < per_year / YEAR, chance[:, 1] < 1 / length
    active = np.zeros((days, categories), dtype=bool)
    now = np.zeros(categories, dtype=bool)
    for day in range(days):
        now = np.where(now, ~stops[day], starts[day])
        active[day] = now
    return active
