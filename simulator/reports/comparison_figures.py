"""Figures of a comparison: margin over time, contacts per week, who gains by segment, and the mix of actions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from policies.arrays import Float64Array, IntArray
from simulator.comparison.comparison import HOLD, Comparison, Fate, Outcome, Standing
from simulator.comparison.numbers import listed, percent
from simulator.comparison.paired_intervals import MeanInterval
from simulator.reports.comparison_svg import GAIN, GRID, INK, LOSE, MUTED, ON_FILL, SERIES, UNCLEAR, wide_and_narrow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart without colour too. Lengths of dashes and gaps, in line widths.
DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 1.5), (2.0, 1.2), (6.0, 1.5, 1.5, 1.5), (1.0, 1.0))
POINTS_DRAWN = 100
LABELLED_SHARE = 0.08  # smaller parts of a bar have no room for a number
NARROW = 5.0  # inches
LONGEST_NAME = 32


def style(comparison: Comparison, policy: str) -> tuple[int, tuple[float, ...]]:
    """Colour number and dashes of a policy, the same in every figure; the reference is always first and solid."""
    order = [comparison.reference, *(standing.policy for standing in comparison.others)]
    i = order.index(policy)
    return i % len(SERIES), DASHES[(i + i // len(SERIES)) % len(DASHES)]


def margin_figure(comparison: Comparison) -> str:
    """Cumulative margin per customer against `hold`, with the bands of the paired intervals."""
    series, money = comparison.series, comparison.money
    ends = [f"{p} {money.signed(float(v))}" for p, v in zip(series.policies, series.margin.value[:, -1], strict=True)]
    against = f" minus that of {series.baseline}" if series.baseline else ""
    return wide_and_narrow(
        partial(_margin, comparison),
        name="margin",
        title=f"Cumulative margin per customer{against}",
        description=f"Lines over {comparison.days} days. On the last day: {listed(ends)}.",
    )


def weekly_figure(comparison: Comparison) -> str:
    """Contacts and unsubscribes per week."""
    contacts = comparison.series.weekly_contacts
    means = [f"{p} {float(c):.2f}" for p, c in zip(comparison.policies, contacts.mean(axis=1), strict=True)]
    return wide_and_narrow(
        partial(_weekly, comparison),
        name="weekly",
        title="Contacts per customer and unsubscribes per 1,000 customers, per week",
        description=f"Two panels of lines over the weeks. Mean contacts per customer and week: {listed(means)}.",
    )


def segment_figure(comparison: Comparison) -> str:
    """Forest plot: the reference against `hold` and against the best other policy of each segment."""
    fates = [(s.segment, comparison.fate(s, s.against_best)) for s in comparison.segments]
    won = [name for name, fate in fates if fate == "gains"]
    lost = [name for name, fate in fates if fate == "loses"]
    return wide_and_narrow(
        partial(_segments, comparison),
        name="segments",
        title=f"Margin per customer by segment, {comparison.reference} minus other policies",
        description=f"Points with 95 % intervals. Above the best other policy in: {listed(won) if won else 'none'}. "
        f"Below it in: {listed(lost) if lost else 'none'}.",
    )


def mix_figure(comparison: Comparison) -> str:
    """Stacked bars of channels and of intents per policy."""
    held = [f"{s.policy} {percent(s.hold_share)}" for s in comparison.standings]
    return wide_and_narrow(
        partial(_mix, comparison),
        name="mix",
        title="Channels and intents of the decisions that were not hold",
        description=f"Stacked bars per policy; the table below has the numbers. Held: {listed(held)}.",
    )


def _new(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if engine := figure.get_layout_engine():
        engine.set(h_pad=0.09)  # type: ignore[call-arg]
    return figure


def _margin(comparison: Comparison, width: float) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure = _new(width, 0.2 * width + 2.4)
    axes = figure.subplots()
    series = comparison.series
    shown = _thinned(comparison.days)
    for row, policy in enumerate(series.policies):
        color, dashes = style(comparison, policy)
        is_reference = policy == comparison.reference
        axes.fill_between(
            shown + 1,
            series.margin.lower[row, shown],
            series.margin.upper[row, shown],
            color=SERIES[color],
            alpha=0.18,
            linewidth=0,
        )
        _line(axes, shown + 1, series.margin.value[row, shown], color=color, dashes=dashes, bold=is_reference)
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_xlabel("day")
    _title(axes, f"cumulative margin per customer{', minus hold' if series.baseline else ''}")
    _plain(axes, grid="y")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 3, 6, 10], integer=True))
    axes.set_xlim(1 if comparison.days > 1 else 0, comparison.days)
    return figure


def _weekly(comparison: Comparison, width: float) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure = _new(width, 0.25 * width + 3.4)
    panels = figure.subplots(2, 1, sharex=True)
    series = comparison.series
    titles = ("contacts per customer and week", "unsubscribes per 1,000 customers and week")
    weeks = np.arange(1, series.weekly_contacts.shape[1] + 1)
    for axes, rows, title in zip(panels, (series.weekly_contacts, series.weekly_unsubscribes), titles, strict=True):
        for row, policy in enumerate(series.policies):
            color, dashes = style(comparison, policy)
            _line(axes, weeks, rows[row], color=color, dashes=dashes, bold=policy == comparison.reference)
        axes.set_ylim(bottom=0.0)
        _title(axes, title)
        _plain(axes, grid="y")
    panels[1].set_xlabel("week")
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[1].set_xlim(1 if len(weeks) > 1 else 0, len(weeks))
    return figure


def _segments(comparison: Comparison, width: float) -> Figure:
    best = comparison.next_best
    points = [_all_customers(comparison, best, label=f"all customers (vs {_short(best.policy)})")]
    points += [
        (f"{_short(s.segment)} (vs {_short(s.best_other)})", s.against_best, comparison.fate(s, s.against_best))
        for s in comparison.segments
    ]
    panels = [(f"{comparison.reference} minus the best other policy there", points)]
    if HOLD in comparison.policies and comparison.reference != HOLD:
        against_hold = [_all_customers(comparison, comparison.standing(HOLD), label="all customers")]
        against_hold += [
            (_short(s.segment), s.against_hold, comparison.fate(s, s.against_hold))
            for s in comparison.segments
            if s.against_hold
        ]
        panels.insert(0, (f"{comparison.reference} minus hold", against_hold))
    is_narrow = width < NARROW
    figure = _new(width, len(panels) * (0.75 + (0.42 if is_narrow else 0.3) * len(points)))
    for axes, (title, rows) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        _forest(axes, rows, labels_above=is_narrow)
        _title(axes, title)
    return figure


_Point = tuple[str, MeanInterval | None, Fate]
_FATES: dict[Outcome, Fate] = {"beaten": "gains", "ahead": "loses", "not enough units": "too few"}
_MARKS: dict[Fate, tuple[str, str]] = {"gains": (GAIN, "^"), "loses": (LOSE, "v"), "too few": (UNCLEAR, "x")}


def _all_customers(comparison: Comparison, other: Standing, *, label: str) -> _Point:
    return label, other.difference, _FATES.get(comparison.outcome(other.policy), "unclear")


def _forest(axes: Axes, points: Sequence[_Point], *, labels_above: bool) -> None:
    for row, (label, interval, fate) in enumerate(points):
        if interval is not None:
            color, marker = _MARKS.get(fate, (UNCLEAR, "o"))
            axes.plot([interval.lower, interval.upper], [row, row], color=color, linewidth=2)
            axes.plot([interval.value], [row], color=color, marker=marker, markersize=7, linestyle="none")
        if labels_above:
            text = axes.text(0.0, row - 0.28, label, transform=axes.get_yaxis_transform(), va="bottom")
            text.set_parse_math(False)
            text.set_in_layout(False)
    axes.set_ylim(len(points) - 0.5, -0.9 if labels_above else -0.6)
    axes.axvline(0.0, color=MUTED, linewidth=0.9, zorder=1)
    _plain(axes, grid="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if labels_above:
        axes.set_yticks([])
    else:
        axes.set_yticks(range(len(points)), [label for label, _, _ in points], parse_math=False)


def _mix(comparison: Comparison, width: float) -> Figure:
    mix, rows = comparison.mix, len(comparison.policies)
    is_narrow = width < NARROW
    figure = _new(width, 2 * (0.7 + (0.5 if is_narrow else 0.32) * rows))
    panels = figure.subplots(2, 1)
    for axes, share, title in zip(panels, (mix.channel_share, mix.intent_share), ("channels", "intents"), strict=True):
        _stacked(axes, comparison, share, labels_above=is_narrow)
        _title(axes, f"{title}, share of decisions that were not hold")
    return figure


def _stacked(axes: Axes, comparison: Comparison, share: Float64Array, *, labels_above: bool) -> None:
    rows = np.arange(len(share))
    height = 0.48 if labels_above else 0.72
    ends = np.cumsum(share, axis=1)
    for part in range(share.shape[1]):
        left = ends[:, part] - share[:, part]
        axes.barh(rows, share[:, part], height, left=left, color=SERIES[part % len(SERIES)])
        for row in rows[share[:, part] >= LABELLED_SHARE]:
            middle = left[row] + share[row, part] / 2
            axes.text(middle, row, f"{share[row, part]:.0%}", color=ON_FILL, ha="center", va="center", fontsize="small")
    for row in rows[share.sum(axis=1) == 0]:
        axes.text(0.005, row, "held always", color=MUTED, va="center", fontsize="small")
    if labels_above:
        for row, policy in enumerate(comparison.policies):
            axes.text(0.0, row - 0.26, _short(policy), va="bottom", parse_math=False)
        axes.set_yticks([])
    else:
        axes.set_yticks(rows, [_short(policy) for policy in comparison.policies], parse_math=False)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(len(share) - 0.5, -0.9 if labels_above else -0.5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _plain(axes, grid="")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _line(axes: Axes, x: IntArray, y: Float64Array, *, color: int, dashes: tuple[float, ...], bold: bool) -> None:
    axes.plot(
        x,
        y,
        color=SERIES[color],
        linestyle=(0, dashes) if dashes else "-",
        linewidth=2.6 if bold else 1.6,
        marker="o" if len(x) == 1 else "",
        zorder=4 if bold else 3,
    )


def _thinned(days: int) -> IntArray:
    """Indices of the days drawn: evenly spread, the last one among them."""
    return np.unique(np.linspace(0, days - 1, min(days, POINTS_DRAWN)).round().astype(np.int64))


def _short(name: str) -> str:
    """A name that leaves room for the figure; tables have it in full."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize="medium", fontweight="bold", color=INK, parse_math=False)


def _plain(axes: Axes, *, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if grid == "x":
        axes.grid(axis="x", color=GRID)
    elif grid == "y":
        axes.grid(axis="y", color=GRID)
