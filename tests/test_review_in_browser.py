"""What a reviewer sees: the MLflow UI and the report in a real browser, with nothing asked of any other host."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from policies.feedback import LoggedFeedback
from policies.learning.training import TrainingResult, TrainingSettings, train
from policies.registry.store import Store
from policies.registry.ui import MlflowUI
from policies.review.publish import Published, publish
from simulator.reports.training_publish import PublishedIteration, TrainingPublisher
from simulator.scenarios import load_scenario
from simulator.training.plan import TrainingPlan
from simulator.training.training import train as train_in_simulation

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
SECOND = 1000.0
CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}; install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Shown:
    """A running MLflow UI on a store with one published policy."""

    ui: MlflowUI
    store: Store
    published: Published
    result: TrainingResult


@pytest.fixture(scope="module")
def shown(two_kinds: Callable[..., LoggedFeedback], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    store, log, settings = Store(tmp_path_factory.mktemp("review")), two_kinds(n=8_000, gap=0.6), TrainingSettings()
    result = train(log, settings, progress=lambda *_: None)
    published = publish(result, log, settings, store=store, model="mail", name="browser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with MlflowUI(store.directory, port=port, model="mail") as ui:
        yield Shown(ui=ui, store=store, published=published, result=result)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that remembers which hosts it asked; every other host than 127.0.0.1 is out of reach."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.hosts = set()
    page.on("request", lambda request: page.hosts.add(urlsplit(request.url).hostname))
    context.route(lambda url: urlsplit(url).hostname not in (None, "127.0.0.1"), lambda route: route.abort())
    yield page
    context.close()


def test_the_link_to_the_policies_leads_to_the_version_with_its_evidence(shown: Shown, page: Any) -> None:
    page.goto(shown.ui.links["policies"])
    page.get_by_text("Next best action per customer").first.wait_for(timeout=30 * SECOND)
    version = page.get_by_role("row").filter(has_text="Version 1")
    version.filter(has_text=re.compile("@.champion")).wait_for(timeout=10 * SECOND)
    page.goto(f"{shown.ui.url}/#/models/mail/versions/1")
    page.get_by_text(shown.published.headline).first.wait_for(timeout=30 * SECOND)
    for standing in shown.result.league.of("reward"):
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=standing.policy, exact=True)).first
        row.wait_for(timeout=10 * SECOND)
        assert standing.verdict in row.inner_text()
    assert page.hosts <= {"127.0.0.1"}


def test_the_run_shows_its_headline_parameters_and_report(shown: Shown, page: Any) -> None:
    page.goto(shown.ui.links["runs"])
    page.get_by_role("link", name="browser").first.wait_for(timeout=30 * SECOND)
    experiment = shown.ui.links["runs"].split("/experiments/")[1].split("/")[0]
    run = f"{shown.ui.url}/#/experiments/{experiment}/runs/{shown.published.run_id}"
    page.goto(run)
    page.get_by_text(shown.published.headline).first.wait_for(timeout=30 * SECOND)
    page.get_by_text("learning_rates").first.wait_for(timeout=10 * SECOND)
    page.goto(f"{run}/artifacts/report.html")
    report = page.frame_locator("iframe").first
    report.get_by_role("heading", name="How the policies compare").wait_for(timeout=30 * SECOND)
    assert shown.published.headline in report.locator(".verdict").inner_text()
    names = report.locator("table").first.locator("tbody td:first-child").all_inner_texts()
    assert names == [s.policy for s in shown.result.league.of("reward")]
    assert report.locator("svg").first.bounding_box()["width"] > 300
    assert page.hosts <= {"127.0.0.1"}


def test_the_report_opened_as_a_file_asks_nobody_for_anything(shown: Shown, page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    report = shown.published.policy.directory.parent / "report.html"
    page.goto(report.as_uri(), wait_until="networkidle")
    assert asked == [report.as_uri()]
    assert problems == []
    assert shown.published.headline in page.locator(".verdict").inner_text()
    # Both plots are really drawn: the league and the learning curve.
    boxes = [svg.bounding_box() for svg in page.locator("svg").all()]
    assert len([box for box in boxes if box and box["width"] > 300 and box["height"] > 100]) == 2
    # Readable on a phone: wide tables scroll inside their own box, the page does not.
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@dataclass(frozen=True)
class Simulated:
    """A training in simulation that was published."""

    store: Store
    run_id: str
    published: PublishedIteration


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    plan = TrainingPlan(
        iterations=1, customers=200, days=80, block_size=100, evaluation_customers=80, evaluation_days=3
    )
    scenario, folder = load_scenario("baseline", configs=CONFIGS), tmp_path_factory.mktemp("training")
    store = Store(tmp_path_factory.mktemp("simulated"))
    publisher = TrainingPublisher(scenario, plan, store=store, model="journey-tiny", folder=folder)
    published: list[PublishedIteration | None] = []
    with publisher.open():
        train_in_simulation(
            scenario,
            plan,
            folder=folder,
            workers=1,
            on_start=publisher.begin,
            on_iteration=lambda found: published.append(publisher.publish(found)),
        )
    assert published[0] is not None
    return Simulated(store=store, run_id=publisher.run_id, published=published[0])


def test_a_version_trained_in_simulation_begins_with_its_verdict(simulated: Simulated, page: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with MlflowUI(simulated.store.directory, port=port, model="journey-tiny") as ui:
        page.goto(f"{ui.url}/#/models/journey-tiny/versions/1")
        page.get_by_text(simulated.published.verdict).first.wait_for(timeout=30 * SECOND)
        experiment = ui.links["runs"].split("/experiments/")[1].split("/")[0]
        page.goto(f"{ui.url}/#/experiments/{experiment}/runs/{simulated.run_id}/artifacts/report.html")
        report = page.frame_locator("iframe").first
        report.get_by_role("heading", name="Learning over iterations").wait_for(timeout=30 * SECOND)
    assert page.hosts <= {"127.0.0.1"}


def test_the_reports_of_a_training_ask_nobody_and_fit_screens_and_phones(simulated: Simulated, page: Any) -> None:
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    training = simulated.store.artifacts / simulated.run_id / "artifacts" / "report.html"
    iteration = simulated.published.policy.directory.parent / "report.html"
    for report, figures in ((iteration, 4), (training, 5)):
        asked.clear()
        for width in (1200, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(report.as_uri(), wait_until="networkidle")
            boxes = [svg.bounding_box() for svg in page.locator("figure > div > svg:visible").all()]
            assert len([box for box in boxes if box and box["width"] > 300 and box["height"] > 100]) == figures
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert set(asked) == {report.as_uri()}
    assert problems == []
