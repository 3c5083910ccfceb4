"""Differences of groups as customers came in, as one SVG text."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.experiments.lift import Lift

# Okabe & Ito's palette, told apart with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73")


def lift_svg(found: Lift, *, currency: str) -> str:
    """One line with its band per group; the same numbers give the same text."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "lift", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0.0, color="#767676", linewidth=1)
        shown = [(group.group, group.lift) for group in found.groups if group.lift is not None]
        for colour, (name, lift) in zip(_COLOURS, shown, strict=False):
            axes.fill_between(lift.customers, lift.lower, lift.upper, color=colour, alpha=0.15, linewidth=0)
            axes.plot(lift.customers, lift.value, color=colour, label=f"{name} minus {found.reference}")
        axes.set_xlabel("customers of both groups, as their time was over")
        axes.set_ylabel(f"{currency} per customer, 95 % at any time")
        if shown:
            axes.legend(frameon=False)
        text = StringIO()
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return text.getvalue()
