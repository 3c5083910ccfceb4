"""A fidelity report as one HTML page that needs no network."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from simulator.calibration.fidelity.fidelity import Fidelity
from simulator.calibration.fidelity.fidelity_figures import figures
from simulator.calibration.fidelity.fidelity_text import row_cells, verdict

TEMPLATES = Path(__file__).parents[2] / "reports" / "templates"
PAGE = "fidelity.html"


def fidelity_html(fidelity: Fidelity) -> str:
    """The verdict, the table, inline figures and what is not compared."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("fidelity.html.j2").render(
        verdict=verdict(fidelity),
        rows=[(row.name, row_cells(row)[1:], row.because) for row in fidelity.rows],
        # Figures are our own drawings, in which matplotlib has escaped every name.
        figures=[(title, Markup(svg)) for title, svg in figures(fidelity)],  # noqa: S704
        not_compared=fidelity.not_compared,
    )
