"""Figures of a training: what changed from iteration to iteration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from policies.arrays import Float64Array
from simulator.comparison.comparison import HOLD, Comparison
from simulator.comparison.numbers import listed
from simulator.reports.comparison_figures import style
from simulator.reports.comparison_svg import GRID, INK, MUTED, SERIES, wide_and_narrow
from simulator.training.training import REFERENCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Who is drawn; the others earn so much less that nothing could be seen of these.
DRAWN = (REFERENCE, "myopic", HOLD)
NARROW = 5.0  # inches
BESIDE = 0.03  # iterations between points of one iteration


@dataclass(frozen=True)
class Step:
    """One iteration, as curves need it.

    Attributes:
        index: of the iteration, from 0.
        comparison: of all policies on the customers held out.
        loss: progressive mean squared loss, by learner.
        regret: margin per customer of the best policy so far minus that of a policy, by policy.
        twins: pairs of lives learned from.
        version: registered for it; 0 where that is not known.
    """

    index: int
    comparison: Comparison
    loss: dict[str, float]
    regret: dict[str, float]
    twins: int
    version: int


def training_figure(steps: Sequence[Step]) -> str:
    """Six panels over iterations: margin against `hold`, unsubscribes, contacts, entropy, regret, loss.

    Args:
        steps: iterations in order, at least one.
    """
    last = steps[-1].comparison
    told = [f"iteration {s.index} {last.money.signed(_against_hold(s, REFERENCE)[0])}" for s in steps]
    return wide_and_narrow(
        partial(_panels, steps),
        name="training",
        title="Learning over iterations",
        description=f"Six panels of lines. Margin per customer of {REFERENCE} minus hold: {listed(told)}. The table "
        "below has the numbers.",
    )


def _panels(steps: Sequence[Step], width: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    columns = 1 if width < NARROW else 2
    rows = 6 // columns
    figure = Figure(figsize=(width, 1.75 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    drawings: tuple[tuple[str, Callable[[Step, str], float]], ...] = (
        ("margin per customer, minus hold", lambda s, p: _against_hold(s, p)[0]),
        ("unsubscribes per 1,000 customers", lambda s, p: s.comparison.standing(p).unsubscribes.value),
        ("contacts per customer", lambda s, p: float(s.comparison.standing(p).contacts.sum())),
        ("action entropy, nats", lambda s, p: s.comparison.standing(p).entropy),
        ("regret: best so far minus its margin", lambda s, p: s.regret[p]),
        ("loss of the learner", lambda s, p: s.loss.get(p, np.nan)),
    )
    for panel, (axes, (title, value)) in enumerate(zip(panels.flat, drawings, strict=True)):
        for policy in DRAWN:
            # Where there are intervals, policies stand beside each other.
            x = _places(steps, policy) if panel == 0 else np.array([float(step.index) for step in steps])
            _line(axes, x, np.array([value(step, policy) for step in steps]), steps[-1].comparison, policy)
        axes.set_title(title, loc="left", fontsize="medium", fontweight="bold", color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=GRID)
    margin = panels.flat[0]
    for policy in DRAWN:
        value, lower, upper = np.array([_against_hold(step, policy) for step in steps]).T
        margin.errorbar(
            _places(steps, policy),
            value,
            yerr=(value - lower, upper - value),
            fmt="none",
            ecolor=SERIES[style(steps[-1].comparison, policy)[0]],
            elinewidth=1.2,
            capsize=3,
        )
    margin.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    for axes in panels[-1]:
        axes.set_xlabel("iteration")
    # A single iteration stands in the middle.
    margin.set_xlim(steps[0].index - 0.25, steps[-1].index + 0.25)
    margin.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    return figure


def _places(steps: Sequence[Step], policy: str) -> Float64Array:
    return np.array([step.index + BESIDE * (DRAWN.index(policy) - 1) for step in steps])


def _line(axes: Axes, x: Float64Array, y: Float64Array, comparison: Comparison, policy: str) -> None:
    color, dashes = style(comparison, policy)
    axes.plot(
        x,
        y,
        color=SERIES[color],
        linestyle=(0, dashes) if dashes else "-",
        linewidth=2.4 if policy == REFERENCE else 1.6,
        marker="o",
        markersize=4.5,
        zorder=4 if policy == REFERENCE else 3,
    )


def _against_hold(step: Step, policy: str) -> tuple[float, float, float]:
    """Margin of a policy minus that of `hold`, with the bounds of the paired interval."""
    series = step.comparison.series
    row, margin = series.policies.index(policy), series.margin
    return float(margin.value[row, -1]), float(margin.lower[row, -1]), float(margin.upper[row, -1])
