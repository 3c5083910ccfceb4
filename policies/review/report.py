"""The evidence for a policy: a self-contained HTML report, a Markdown card, and one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from policies.evaluation.league import LeagueTable, Standing
from policies.evaluation.league_plot import league_svg
from policies.learning.training import Curve
from policies.review.curve_plot import curve_svg

_TEMPLATES = Path(__file__).parent


def headline(league: LeagueTable, policy: str) -> str:
    """What the league table says of one policy on the reward, in one sentence."""
    outcome = league.outcomes[0]
    standing = league.standing(policy, outcome)
    if np.isnan(standing.snips.value):
        return f"{policy} takes actions this log never shows: nothing can be said about its {outcome}."
    value = f"{policy} earns {number(standing.snips.value)} {outcome} per decision"
    difference = standing.difference
    if difference is None:
        return f"{value}; it is the reference."
    against = f"{signed(difference.value)} [{signed(difference.lower)}, {signed(difference.upper)}]"
    verdicts = {
        "better": "significantly better than",
        "worse": "significantly worse than",
        "no significant difference": "no significant difference to",
        "not enough data": "too little data to compare it with",
        "reference": "the same as",
    }
    return f"{value}, {against}: {verdicts[standing.verdict]} {league.reference}."


def report_html(
    league: LeagueTable,
    *,
    title: str,
    policy: str,
    facts: Mapping[str, str],
    curve: Curve | None = None,
    shares: Sequence[tuple[str, float, float]] = (),
) -> str:
    """A report that needs no network: text, tables and inline SVG.

    Args:
        league: the judgement.
        title: heading.
        policy: whose headline is shown.
        facts: name and value pairs shown at the top.
        curve: how learning went, if it did.
        shares: (action, share as served, share in the log), largest first.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    svg = league_svg(league)
    return environment.get_template("report.html.j2").render(
        title=title,
        source=league.source,
        headline=headline(league, policy),
        facts=facts,
        league=league,
        league_svg=Markup(svg[svg.index("<svg") :]),  # noqa: S704 - our own plot, text escaped by matplotlib
        curve_svg=Markup(curve_svg(curve)) if curve else "",  # noqa: S704
        shares=shares,
        warnings=sorted({f"{s.policy}: {w}" for s in league.standings for w in s.warnings}),
        number=number,
        signed=signed,
    )


def card_markdown(league: LeagueTable, *, policy: str, facts: Mapping[str, str]) -> str:
    """A policy card for MLflow: headline, facts, and the league table of the reward."""
    outcome = league.outcomes[0]
    lines = [
        f"**{headline(league, policy)}**",
        "",
        *(f"- **{name}**: {value}" for name, value in facts.items()),
        "",
        f"| policy | {outcome} | 95 % interval | difference to {league.reference} | verdict |",
        "|---|---:|---:|---:|---|",
        *(_card_row(s) for s in league.of(outcome)),
        "",
        "Full evidence: `report.html` in the artifacts of the run this version comes from.",
    ]
    return "\n".join(lines)


def number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def signed(value: float) -> str:
    """Three significant digits with sign."""
    return f"{value:+.3g}"


def _card_row(s: Standing) -> str:
    d = s.difference
    difference = f"{signed(d.value)} [{signed(d.lower)}, {signed(d.upper)}]" if d else ""
    interval = f"[{number(s.snips.lower)}, {number(s.snips.upper)}]"
    return f"| {s.policy} | {number(s.snips.value)} | {interval} | {difference} | {s.verdict} |"
