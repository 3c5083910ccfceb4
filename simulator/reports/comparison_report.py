"""A comparison as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import jinja2
from markupsafe import Markup

from simulator.comparison.comparison import FEW_UNITS, FIXED, HOLD, Comparison
from simulator.comparison.numbers import bounds, number, percent
from simulator.reports.comparison_figures import margin_figure, mix_figure, segment_figure, style, weekly_figure
from simulator.reports.comparison_guide import COLUMNS, WORLD, note_of_name
from simulator.reports.comparison_svg import SERIES
from simulator.reports.comparison_text import CONTACTS, OUTCOMES, said_of_fixed
from simulator.runs.run_spec import RunSpec, scenario_digest
from simulator.scenarios import Scenario
from simulator.world.channels import CHANNELS

TEMPLATES = Path(__file__).parent / "templates"
_NO_NOTES: Mapping[str, str] = MappingProxyType({})


def facts_of(scenario: Scenario, spec: RunSpec) -> dict[str, str]:
    """Which world and which policies a report is about, so that it is never read as one about others."""
    marks = spec.content["policies"].items()
    return {
        "scenario": f"{scenario.name}: {scenario.file.description}",
        "scenario file": str(scenario.path),
        "scenario SHA-256": scenario_digest(scenario)[:16],
        "world": str(scenario.retailer.directory / "world.yaml"),
        "money": scenario.retailer.goals.currency,
        "version": str(spec.content["version"]),
        "fingerprints": ", ".join(f"{name} {mark[:12]}" for name, mark in marks),
    }


def comparison_html(
    comparison: Comparison,
    *,
    title: str,
    facts: Mapping[str, str],
    notes: Mapping[str, str] = _NO_NOTES,
    section: Markup | None = None,
) -> str:
    """The verdict, tables and inline figures; readable in light and dark, on screens and phones.

    Args:
        comparison: what to report.
        title: heading.
        facts: how it was made, name and value: scenario, versions and the like. Policies, seeds, units, days and
            customers are added to them.
        notes: by policy, what it does (`simulator.reports.comparison_guide.notes_of`); what is left out is known by its
            name.
        section: a part of the page that is shown right after the verdict, if any.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("comparison.html.j2").render(
        title=title,
        c=comparison,
        reference=comparison.reference,
        hold=HOLD,
        money=comparison.money,
        channels=CHANNELS,
        facts=dict(facts) | _own_facts(comparison),
        section=section or "",
        swatches={policy: style(comparison, policy) for policy in comparison.policies},
        colors=len(SERIES),
        notes={policy: _note(comparison, policy, notes=notes) for policy in comparison.policies},
        columns=COLUMNS,
        world=WORLD,
        contacts=CONTACTS,
        outcomes=OUTCOMES,
        few=FEW_UNITS,
        # Figures are our own drawings, in which matplotlib has escaped every name.
        margin_figure=Markup(margin_figure(comparison)),  # noqa: S704
        weekly_figure=Markup(weekly_figure(comparison)),  # noqa: S704
        segment_figure=Markup(segment_figure(comparison)),  # noqa: S704
        mix_figure=Markup(mix_figure(comparison)),  # noqa: S704
        number=number,
        count=partial(number, decimals=2),
        rate=partial(number, decimals=1),
        bounds=bounds,
        percent=percent,
    )


def _note(comparison: Comparison, policy: str, *, notes: Mapping[str, str]) -> str:
    said = notes.get(policy, note_of_name(policy))
    always = said_of_fixed(comparison) if policy == FIXED else ""
    return f"{said} Here: {always.removeprefix(f'{FIXED}: ')}" if always else said


def _own_facts(comparison: Comparison) -> dict[str, str]:
    return {
        "policies": str(len(comparison.policies)),
        "seeds": ", ".join(map(str, comparison.seeds)),
        "independent units": f"{comparison.units} (a block of customers under a seed)",
        "days": str(comparison.days),
        "customers": f"{comparison.customers:,} under each policy, the same ones",
    }
