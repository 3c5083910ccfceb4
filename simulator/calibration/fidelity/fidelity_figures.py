"""Figures of real and simulated customers side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from policies.arrays import Float64Array, IntArray
from simulator.calibration.data import trips
from simulator.calibration.data.data import Baskets, Orders
from simulator.calibration.data.moments import HALF
from simulator.calibration.data.purchase_process import summarise
from simulator.calibration.fidelity.fidelity import Fidelity, Records
from simulator.reports.comparison_svg import GRID, MUTED, SERIES, wide_and_narrow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_TRIPS, _MOST_REPEATS = 7, 10
_LOG_BINS = np.linspace(-1, 3, 41)
_WEEKS = 2 * HALF


def figures(fidelity: Fidelity) -> list[tuple[str, str]]:
    """Titles and inline SVG."""
    real, simulated = fidelity.real, fidelity.simulated
    return [
        _figure(
            "trips",
            "Trips per household and week, Complete Journey",
            f"trips in a week ({_MOST_TRIPS}: or more)",
            "share of household-weeks",
            lambda axes: _bars(axes, np.arange(_MOST_TRIPS + 1), _weekly(real), _weekly(simulated)),
        ),
        _figure(
            "repeats",
            "Repeat purchases in weeks 1 to 39, CDNOW",
            f"repeat purchases ({_MOST_REPEATS}: or more)",
            "share of customers",
            lambda axes: _bars(axes, np.arange(_MOST_REPEATS + 1), _repeats(real.orders), _repeats(simulated.orders)),
        ),
        _figure(
            "curve",
            "Repeat purchases by week, CDNOW",
            "week",
            "repeat purchases per customer so far",
            lambda axes: _lines(axes, np.arange(1, _WEEKS + 1), _curve(real.orders), _curve(simulated.orders)),
        ),
        _figure(
            "baskets",
            "What a basket is worth, Complete Journey",
            "dollars, decimal logarithm",
            "share of baskets",
            lambda axes: _lines(axes, _LOG_BINS[:-1] + 0.05, _values(real.baskets), _values(simulated.baskets)),
        ),
        _figure(
            "mail",
            "What a mail adds in two weeks, Hillstrom",
            "",
            "added share",
            lambda axes: _mail(axes, fidelity),
        ),
    ]


def _figure(name: str, title: str, x_label: str, y_label: str, draw: Callable[[Axes], None]) -> tuple[str, str]:
    def build(width: float) -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, 0.2 * width + 1.8), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y", color=GRID)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        draw(axes)
        axes.legend(frameon=False)
        return figure

    description = f"{y_label}, real and simulated; the table has the numbers."
    return title, wide_and_narrow(build, name=name, title=title, description=description)


def _bars(axes: Axes, at: IntArray, real: Float64Array, simulated: Float64Array) -> None:
    axes.bar(at - 0.2, real, width=0.4, color=SERIES[0], label="real")
    axes.bar(at + 0.2, simulated, width=0.4, color=SERIES[1], label="simulated")
    axes.set_xticks(at)


def _lines(axes: Axes, at: Float64Array | IntArray, real: Float64Array, simulated: Float64Array) -> None:
    axes.plot(at, real, color=SERIES[0], label="real")
    axes.plot(at, simulated, color=SERIES[1], dashes=(4, 1.5), label="simulated")


def _mail(axes: Axes, fidelity: Fidelity) -> None:
    rows = {row.name: row for row in fidelity.rows}
    shown = [f"{outcome}_lift_{kind}" for outcome in ("visit", "conversion") for kind in ("matched", "mismatched")]
    found = [(name, rows[f"hillstrom.{name}"]) for name in shown if f"hillstrom.{name}" in rows]
    at = np.arange(len(found))
    errors = [1.96 * row.real_error for _, row in found]
    axes.errorbar(at - 0.1, [r.real for _, r in found], errors, fmt="o", color=SERIES[0], capsize=3, label="real, 95 %")
    axes.plot(at + 0.1, [r.simulated for _, r in found], "D", color=SERIES[1], label="simulated")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xticks(at, [name.replace("_lift_", "\n") for name, _ in found])


def _weekly(records: Records) -> Float64Array:
    """Share of household-weeks by trips, float64 (_MOST_TRIPS + 1,)."""
    baskets = records.baskets
    weeks = trips.weeks_covered(baskets)
    whole = baskets.day < 7 * weeks
    _, unit = np.unique(baskets.household[whole], return_inverse=True)
    per_week = np.bincount(unit * weeks + baskets.day[whole] // 7, minlength=records.households * weeks)
    return _shares(per_week, _MOST_TRIPS)


def _repeats(orders: Orders) -> Float64Array:
    return _shares(summarise(orders, weeks=HALF).repeats, _MOST_REPEATS)


def _shares(counts: IntArray, most: int) -> Float64Array:
    return np.bincount(np.minimum(counts, most), minlength=most + 1) / len(counts)


def _curve(orders: Orders) -> Float64Array:
    """Repeat purchases per customer up to each week, float64 (_WEEKS,)."""
    totals: Sequence[float] = [
        float(summary.repeats.sum()) for summary in (summarise(orders, weeks=week) for week in range(1, _WEEKS + 1))
    ]
    return np.array(totals) / len(np.unique(orders.customer))


def _values(baskets: Baskets) -> Float64Array:
    logs = np.log10(baskets.value[baskets.value > 0])
    return np.asarray(np.histogram(logs, _LOG_BINS)[0] / len(logs), dtype=np.float64)
