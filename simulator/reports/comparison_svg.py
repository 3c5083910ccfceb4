"""Matplotlib figures as SVG to put into a page: accessible, in the page's colours, and with ids of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Matplotlib draws in colours nobody else uses; the page says what they are, in light and in dark.
INK, MUTED, GRID, ON_FILL = "#010101", "#010102", "#010103", "#010104"
GAIN, LOSE, UNCLEAR = "#010105", "#010106", "#010107"
SERIES = tuple(f"#0102{i:02x}" for i in range(8))
_IN_PAGE = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    ON_FILL: "var(--on-fill)",
    GAIN: "var(--gain)",
    LOSE: "var(--lose)",
    UNCLEAR: "var(--unclear)",
} | {color: f"var(--series-{i})" for i, color in enumerate(SERIES)}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
    "axes.grid": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


@contextmanager
def drawing(*, font_size: float) -> Iterator[None]:
    """Settings under which figures have to be built; those of the caller return afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS | {"font.size": font_size}):
        yield


def inline_svg(figure: Figure, *, name: str, title: str, description: str) -> str:
    """The same figure and name give the same text: no dates, no random ids, nothing to fetch.

    Args:
        figure: drawn in the colours of this module.
        name: unique in the page; every id in the SVG starts with it.
        title: what it is, read out first.
        description: what it shows, in words.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    out = StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context(_SETTINGS | {"svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata=nothing)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    opening, _, body = svg.partition(">")
    opening = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", opening)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub("|".join(_IN_PAGE), lambda match: _IN_PAGE[match[0]], body)
    labels = f'role="img" aria-labelledby="{name}-title {name}-description"'
    texts = (
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
    )
    return f"{opening} {labels}>\n{texts}{body}"


def wide_and_narrow(
    draw: Callable[[float], Figure], *, name: str, title: str, description: str, narrow: float = 3.75, wide: float = 8.0
) -> str:
    """One figure drawn twice, for screens and for phones; the page shows the one that fits.

    Args:
        draw: makes the figure for a width in inches.
        name: unique in the page.
        title: what it is.
        description: what it shows, in words.
        narrow: width for phones, inches.
        wide: width for screens, inches.
    """
    parts = []
    for variant, width, font_size in (("wide", wide, 10.0), ("narrow", narrow, 9.0)):
        with drawing(font_size=font_size):
            svg = inline_svg(draw(width), name=f"{name}-{variant}", title=title, description=description)
        parts.append(f'<div class="{name} {variant}">{svg}</div>')
    return "\n".join(parts)
