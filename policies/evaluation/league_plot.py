"""Forest plot of a league table as one self-contained SVG file."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from policies.evaluation.league import LeagueTable, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette, told apart with any colour vision; markers differ too, so that grey print is enough.
STYLES: dict[str, tuple[str, str]] = {
    "reference": ("#000000", "D"),
    "better": ("#009E73", "^"),
    "worse": ("#D55E00", "v"),
    "no significant difference": ("#0072B2", "o"),
    "not enough data": ("#767676", "x"),
}


def league_svg(table: LeagueTable) -> str:
    """SVG text: one panel per outcome, one row per policy with its SNIPS value and 95 % interval.

    The same table gives the same text: no dates, no random ids.
    """
    # matplotlib takes a second to import and is not needed to load this module.
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    with mpl.rc_context({"svg.hashsalt": "league", "svg.fonttype": "none", "font.size": 10}):
        outcomes = table.outcomes
        rows = len(table.of(outcomes[0]))
        figure = Figure(figsize=(8.0, len(outcomes) * (0.9 + 0.34 * rows) + 1.1), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(len(outcomes), 1, squeeze=False)[:, 0]
        for axes, outcome in zip(panels, outcomes, strict=True):
            _panel(axes, table.of(outcome), title=_title(outcome, table))
        shown = {standing.verdict for standing in table.standings}
        handles = [
            Line2D([], [], color=color, marker=marker, linestyle="-", label=verdict)
            for verdict, (color, marker) in STYLES.items()
            if verdict in shown
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
        out = StringIO()
        title = f"Policies against {table.reference}"
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": title})
    return out.getvalue()


def _panel(axes: Axes, standings: tuple[Standing, ...], *, title: str) -> None:
    for row, standing in enumerate(standings):
        color, marker = STYLES[standing.verdict]
        snips = standing.snips
        axes.plot([snips.lower, snips.upper], [row, row], color=color, linewidth=2)
        axes.plot([snips.value], [row], color=color, marker=marker, markersize=7)
        if standing.verdict == "reference":
            axes.axvline(snips.value, color=color, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(standings)), [standing.policy for standing in standings])
    axes.set_ylim(len(standings) - 0.5, -0.5)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)


def _title(outcome: str, table: LeagueTable) -> str:
    direction = ", lower is better" if outcome in table.lower_is_better else ""
    return f"{outcome} per round (SNIPS, 95 % interval{direction})"
