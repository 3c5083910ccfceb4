"""What people read: the terminal's table and the page."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from simulator.comparison.comparison import ActionInfo, Comparison, compare_results
from simulator.comparison.numbers import MINUS, UNKNOWN, Money, bounds, number
from simulator.comparison.paired_intervals import MeanInterval
from simulator.reports.comparison_guide import COLUMNS, NOTHING_KNOWN, POLICY_NOTES, notes_of
from simulator.reports.comparison_report import TEMPLATES, comparison_html
from simulator.reports.comparison_text import comparison_text
from simulator.rollout.rollout import Setting
from simulator.runs.line_up import UserPolicy, line_up
from simulator.scenarios import load_scenario
from simulator.world.results import BlockResult

MARGINS = {"journey": 10.4, "hold": 10.0, "rules": 9.9, "random": 7.0}
CONTACTS = {"journey": 0.05, "rules": 0.1, "random": 0.6}
FACTS = {"scenario": "retail <b>", "version": "0.1.0"}
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
def comparison(synthetic_results: Callable[..., list[BlockResult]], actions: tuple[ActionInfo, ...]) -> Comparison:
    results = synthetic_results(MARGINS, contacts=CONTACTS, segment_margins={"journey": {"new": -1.0}})
    return compare_results(results, reference="journey", actions=actions)


class Page(HTMLParser):
    """Cells of every table, ids, and what elements refer to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[dict[str, list[str]]] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if found.get("id") else []  # type: ignore[list-item]
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                self.references.append(str(value))
            self.references += re.findall(r"url\(([^)]*)\)", str(value))
        if tag == "table":
            self.tables.append({})
        if tag == "tr":
            self._row: list[str] = []
        if tag in {"th", "td"}:
            self._cell = True
            self._row.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"th", "td"}:
            self._cell = False
        if tag == "tr":
            self.tables[-1][self._row[0]] = self._row[1:]

    def handle_data(self, data: str) -> None:
        if self._cell:
            self._row[-1] += data


def test_the_page_asks_nobody_for_anything(comparison: Comparison) -> None:
    html = comparison_html(comparison, title="Four policies", facts=FACTS)
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    page = Page(html)
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}


def test_ids_are_unique_and_every_reference_is_met(comparison: Comparison) -> None:
    page = Page(comparison_html(comparison, title="Four policies", facts=FACTS))
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert {reference.removeprefix("#") for reference in page.references} <= set(page.ids)


def test_numbers_of_the_page_are_those_of_the_comparison(comparison: Comparison) -> None:
    html = comparison_html(comparison, title="Four policies", facts=FACTS)
    page, money = Page(html), comparison.money
    assert comparison.verdict in html.replace("\N{NO-BREAK SPACE}", " ")
    league, seeds, lived, segments, everywhere, mix = page.tables
    assert [*league][1:] == [*comparison.policies]
    for standing in comparison.others:
        cells = league[standing.policy]
        assert cells[0] == money.plain(standing.margin.value)
        assert standing.difference is not None
        assert cells[2:4] == [money.signed(standing.difference.value), money.bounds(standing.difference, sign=True)]
        assert seeds[standing.policy] == [money.signed(float(d)) for d in standing.difference_by_seed]
        assert lived[standing.policy][2:5] == [f"{contacts:.2f}" for contacts in standing.contacts]
    assert [league[name][-1] for name in comparison.policies] == ["reference", "beats it", "beats it", "beats it"]
    for segment in comparison.segments:
        best = segment.against_best
        assert segments[segment.segment][1:4] == [
            segment.best_other,
            money.signed(best.value),
            money.bounds(best, sign=True),
        ]
        assert everywhere[segment.segment] == [money.plain(segment.margins[p].value) for p in comparison.policies]
    assert mix["random"] == ["60.0 %", "30.0 %", "10.0 %", "70.0 %", "20.0 %", "10.0 %"]


def test_tables_and_figures_can_be_heard(comparison: Comparison) -> None:
    page = Page(comparison_html(comparison, title="Four policies", facts=FACTS))
    tags = Counter(tag for tag, _ in page.tags)
    assert tags["caption"] == tags["table"] == 6
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    figures = [attributes for tag, attributes in page.tags if tag == "svg" and "aria-hidden" not in attributes]
    assert len(figures) == 8  # four, each for screens and for phones
    for figure in figures:
        assert figure["role"] == "img"
        assert set(str(figure["aria-labelledby"]).split()) <= set(page.ids)


def test_the_same_comparison_gives_the_same_page_and_leaves_matplotlib_alone(comparison: Comparison) -> None:
    before = dict(mpl.rcParams)
    first = comparison_html(comparison, title="Four policies", facts=FACTS)
    assert comparison_html(comparison, title="Four policies", facts=FACTS) == first
    assert dict(mpl.rcParams) == before


def test_names_are_text_wherever_they_appear(
    synthetic_results: Callable[..., list[BlockResult]], actions: tuple[ActionInfo, ...]
) -> None:
    odd = "<script>alert(1)</script>", "a$b$ & _c", "_hidden", "x" * 60
    results = synthetic_results({"journey": 3.0} | dict.fromkeys(odd, 2.0), contacts={odd[1]: 0.1})
    found = compare_results(results, reference="journey", actions=actions)
    html = comparison_html(found, title="<i>odd</i>", facts={"<u>": "<s>"})
    page = Page(html)
    assert not {"script", "i", "u", "s"} & {tag for tag, _ in page.tags}
    assert set(odd) <= set(page.tables[0])


def test_policies_beyond_the_palette_still_look_different(
    synthetic_results: Callable[..., list[BlockResult]], actions: tuple[ActionInfo, ...]
) -> None:
    results = synthetic_results({f"policy {i}": float(i) for i in range(20)}, seeds=1)
    found = compare_results(results, reference="policy 3", actions=actions)
    html = comparison_html(found, title="Twenty", facts={})
    legend = re.findall(r'<line [^>]*stroke="([^"]*)"\s+stroke-width="[^"]*"(?: stroke-dasharray="([^"]*)")?', html)
    assert len(set(legend[:20])) == 20


def test_one_unit_is_reported_without_intervals(
    synthetic_results: Callable[..., list[BlockResult]], actions: tuple[ActionInfo, ...]
) -> None:
    results = synthetic_results(MARGINS, seeds=1, blocks=1, days=1)
    found = compare_results(results, reference="journey", actions=actions)
    html, text = comparison_html(found, title="One", facts={}), comparison_text(found)
    for said in (html, text):
        assert "not enough units" in said
        assert "nan" not in said.lower()


def test_the_page_says_how_to_read_it(comparison: Comparison) -> None:
    facts = {**FACTS, "scenario file": "configs/scenarios/mine.yaml"}
    html = comparison_html(comparison, title="Four", facts=facts, notes={"rules": "Sends what a table says."})
    for said in (
        "How to read this",
        POLICY_NOTES["journey"].split("'")[0],
        POLICY_NOTES["hold"],
        "Sends what a table says.",
        "docs/simulation.md",
        "This scenario: configs/scenarios/mine.yaml",
        COLUMNS["unsubscribes"],
    ):
        assert said in html
    assert POLICY_NOTES["click_greedy"] not in html  # it takes no part
    assert "Too few units" not in html


def test_the_page_and_the_terminal_warn_of_few_units(
    synthetic_results: Callable[..., list[BlockResult]], actions: tuple[ActionInfo, ...]
) -> None:
    results = synthetic_results(MARGINS, contacts=CONTACTS, seeds=2, blocks=1)
    found = compare_results(results, reference="journey", actions=actions)
    html, text = comparison_html(found, title="Two", facts={}), comparison_text(found)
    assert html.count(found.warning) == 1
    assert found.warning in " ".join(text.split())
    for said in (html, text):
        assert "beats it" not in said
        assert "not enough units" in said


def test_every_segment_has_its_verdict(
    synthetic_results: Callable[..., list[BlockResult]], actions: tuple[ActionInfo, ...]
) -> None:
    tilt = {"journey": {"loyal": 2.0, "new": -2.0}}
    results = synthetic_results({"journey": 5.0, "hold": 5.0}, customers=80, own=1e-9, segment_margins=tilt)
    found = compare_results(results, reference="journey", actions=actions)
    segments = Page(comparison_html(found, title="Small", facts={})).tables[3]
    assert [segments[name][-1] for name in ("loyal", "new", "lapsed")] == ["gains", "loses", "too few"]
    last = [line.split("  ")[-1].strip() for line in comparison_text(found).splitlines() if line.startswith("l")]
    assert last == ["gains", "too few"]


@dataclass(frozen=True)
class Undescribed:
    actions: object = None
    columns: object = None
    name: str = "undescribed"


class Careful:
    """Writes on Mondays.

    And more that nobody asked for.
    """

    name = "careful"

    def __init__(self, *, actions: object, columns: object) -> None: ...


def test_a_users_policy_is_described_by_the_first_line_of_its_docstring(configs: Path) -> None:
    core = Setting.of(load_scenario("baseline", configs=configs)).core
    own = {kind.name: UserPolicy(kind(actions=None, columns=None), core.actions, core.columns) for kind in OWN}
    ours = line_up(["hold"], core=core, folder=Path("nowhere"), scenario="baseline")
    notes = notes_of({**ours, **own})
    assert notes == {"hold": POLICY_NOTES["hold"], "careful": "Writes on Mondays.", "undescribed": NOTHING_KNOWN}


OWN = (Careful, Undescribed)


def test_the_terminal_shows_every_policy_best_first_with_its_difference(comparison: Comparison) -> None:
    text = comparison_text(comparison)
    assert " ".join(text.split()).startswith(comparison.verdict)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    start = lines.index("Margin, money per customer over 14 days; 95 % intervals, differences are paired") + 2
    rows = lines[start : start + 4]
    assert [row.split()[0] for row in rows] == list(comparison.policies)
    for row, standing in zip(rows, comparison.standings, strict=True):
        if standing.difference:
            assert f" {comparison.money.signed(standing.difference.value)} " in row
            assert comparison.money.bounds(standing.difference, sign=True) in row
    for segment in comparison.segments:
        assert any(line.startswith(segment.segment) and segment.best_other in line for line in lines)


def test_the_template_lies_inside_the_package() -> None:
    import simulator

    assert (Path(simulator.__file__).parent / "reports" / "templates" / "comparison.html.j2").is_file()
    assert Path(simulator.__file__).parent in TEMPLATES.parents


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (1234.5, 2, "1,234.50"),
        (-3.214, 2, f"{MINUS}3.21"),
        (-0.001, 2, "0.00"),
        (float("nan"), 2, UNKNOWN),
        (0.0, 0, "0"),
    ],
)
def test_numbers_are_written_to_be_read(value: float, decimals: int, text: str) -> None:
    assert number(value, decimals=decimals) == text


def test_an_interval_shows_its_signs_or_a_dash() -> None:
    assert bounds(MeanInterval(0.0, -1.0, 1.0, 0.5, units=3), decimals=1, sign=True) == f"[{MINUS}1.0, +1.0]"
    assert bounds(None, decimals=1) == UNKNOWN


@pytest.mark.parametrize(
    ("resolutions", "decimals"), [([0.2, 30.0], 2), ([0.004, 1.0], 3), ([250.0], 2), ([], 2), ([0.0, 1e-14], 2)]
)
def test_money_has_the_decimals_its_errors_need(resolutions: list[float], decimals: int) -> None:
    assert Money.fitting(resolutions).decimals == decimals


@pytest.fixture
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}; install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_fits_the_screen_and_its_ink_shows(
    comparison: Comparison, browser: Any, tmp_path: Path, scheme: str, width: int
) -> None:
    report = tmp_path / "report.html"
    report.write_text(comparison_html(comparison, title="Four policies", facts=FACTS), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri(), wait_until="networkidle")
    assert asked == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = [svg.bounding_box() for svg in page.locator("figure div > svg").all() if svg.is_visible()]
    assert len(shown) == 4
    assert all(box["width"] > 0.85 * min(width, 768) for box in shown)
    text = page.locator("figure div > svg:visible text").first
    ink = text.evaluate("element => getComputedStyle(element).fill")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert abs(brightness(ink) - brightness(paper)) > 150
    context.close()


def brightness(color: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", color)[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue
