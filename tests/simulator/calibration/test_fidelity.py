"""`journey calibrate` and `journey fidelity`: the shipped world is like real customers, and a changed one is caught."""

from __future__ import annotations

import html
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import nan
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli import main
from orchestrator.load import load_retailer
from simulator.calibration.data import data
from simulator.calibration.fidelity import fidelity, fidelity_report
from simulator.calibration.fidelity.fidelity import Fidelity, Row, read_fidelity_file
from simulator.calibration.fidelity.fidelity_text import fidelity_text, verdict
from simulator.calibration.fit.world_file import differences, with_fitted
from simulator.calibration.fit.world_fit import FittedNumber, FittedWorld
from simulator.errors import CalibrationError
from simulator.scenarios import load_world

CONFIG = Path(__file__).parents[3] / "configs" / "retail"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def journey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: object) -> Said:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["journey", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Said(end.value.code if isinstance(end.value.code, int) else 0, said.out, said.err)

    return run


@pytest.fixture(scope="module", autouse=True)
def files_are_read_once() -> Iterator[None]:
    """The real data and their moments: no test here changes them, and reading them takes longer than simulating."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("read_orders", "read_baskets", "read_mail_test", "read_contacts", "read_redemptions"):
            patch.setattr(data, name, cache(getattr(data, name)))
        patch.setattr(fidelity, "real_moments", cache(fidelity.real_moments))
        yield


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG, tmp_path / "retail"))


def change(config: Path, name: str, by: Callable[[float], float]) -> None:
    content = yaml.safe_load((config / "world.yaml").read_text())
    section, key = name.split(".")
    content[section][key]["value"] = by(content[section][key]["value"])
    (config / "world.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.slow
def test_the_shipped_world_is_like_real_customers(journey: Callable[..., Said], data_dir: Path, tmp_path: Path) -> None:
    said = journey("fidelity", "--data", data_dir, "--config", CONFIG, "--out", tmp_path / "out")
    assert said.code == 0, said.out
    page = (tmp_path / "out" / "fidelity.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count("<svg") == 2 * 5  # five figures, for screens and for phones
    for told in yaml.safe_load((CONFIG / "fidelity.yaml").read_text())["tolerances"].values():
        assert told["because"] in html.unescape(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "by", "caught"),
    [
        ("shopping.regular_rate", lambda rate: 1.3 * rate, "journey.trips_per_household_week"),
        ("email.visit", lambda log_odds: log_odds + 0.5, "hillstrom.visit_lift_mail"),
        ("shopping.occasional_scale", lambda weeks: weeks / 1.5, "cdnow.repeat_per_customer_39w"),
        ("baskets.store_log_mean", lambda mean: mean + 0.2, "journey.basket_mean"),
    ],
)
def test_a_changed_world_is_caught_and_the_moment_named(  # noqa: PLR0917 - fixtures and a table
    journey: Callable[..., Said], data_dir: Path, config: Path, name: str, by: Callable[[float], float], caught: str
) -> None:
    change(config, name, by)
    said = journey("fidelity", "--data", data_dir, "--config", config, "--customers", "6000")
    assert said.code == 1
    assert caught in said.out.split("out of tolerance:")[1]


@pytest.mark.slow
def test_the_shipped_world_is_what_the_fit_gives_and_a_changed_one_is_not(
    journey: Callable[..., Said], data_dir: Path, config: Path
) -> None:
    change(config, "email.relevance", lambda value: 1.1 * value)
    before = (config / "world.yaml").read_bytes()
    said = journey("calibrate", "--data", data_dir, "--config", config, "--check")
    assert said.code == 1
    assert [line.split(":")[0] for line in said.out.splitlines() if "the fit" in line][:-1] == ["email.relevance"]
    assert (config / "world.yaml").read_bytes() == before


@pytest.mark.parametrize("command", ["calibrate", "fidelity"])
def test_missing_data_are_told(journey: Callable[..., Said], tmp_path: Path, command: str) -> None:
    said = journey(command, "--data", tmp_path / "nowhere", "--config", CONFIG)
    assert said.code == 2
    assert f"--data names {tmp_path / 'nowhere'}, which is no folder" in said.err
    assert "holds cdnow/, dunnhumby/ and hillstrom/" in said.err


@pytest.mark.parametrize("command", ["calibrate", "fidelity"])
def test_a_wrong_variable_is_named_with_what_was_looked_for(
    journey: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "elsewhere" / "cdnow").mkdir(parents=True)
    monkeypatch.setenv("JOURNEY_DATA", str(tmp_path / "elsewhere"))
    said = journey(command, "--config", CONFIG)
    assert said.code == 2
    assert f"JOURNEY_DATA names {tmp_path / 'elsewhere'}, which holds no dunnhumby/, hillstrom/" in said.err
    monkeypatch.delenv("JOURNEY_DATA")
    assert "the default of --data (or of JOURNEY_DATA) names ../shared/data" in journey(command, "--config", CONFIG).err


def row(name: str, simulated: float, error: float) -> Row:
    """A real moment of 1 with a tolerance of 0.1."""
    return Row(
        name=name,
        real=1.0,
        real_error=0.01,
        simulated=simulated,
        simulated_error=error,
        tolerance=0.1,
        because="se .05",
    )


def fidelity_of(*rows: Row, customers: int = 400) -> Fidelity:
    nothing: Any = None
    return Fidelity(rows, {}, real=nothing, simulated=nothing, customers=customers)


@pytest.mark.parametrize(
    ("simulated", "error", "shown"),
    [
        (1.05, 0.0, "ok"),
        (1.2, 0.04, "OUT"),
        (1.2, 0.06, "OUT?"),
        (0.8, 0.06, "OUT?"),
        (nan, 0.1, "OUT"),
        (nan, nan, "OUT"),
    ],
)
def test_a_miss_within_two_standard_errors_is_marked(simulated: float, error: float, shown: str) -> None:
    text = fidelity_text(fidelity_of(row("a.b", simulated, error)))
    assert text.splitlines()[1].split()[-1] == shown


def test_the_verdict_says_whether_more_customers_could_tell() -> None:
    fine, out, close = row("a.fine", 1.0, 0.1), row("a.out", 1.5, 0.1), row("a.close", 1.2, 0.1)
    assert verdict(fidelity_of(fine)) == "All 1 moments are within their tolerances."
    assert "too few to tell" not in verdict(fidelity_of(fine, out))
    both = verdict(fidelity_of(fine, out, close))
    assert both.startswith("2 of 3 moments are out of tolerance: a.out, a.close.")
    assert "Of these, a.close lies within two standard errors of the tolerance" in both
    assert "400 simulated customers are too few to tell; give --customers 20000" in both
    assert "give --customers 80000" in verdict(fidelity_of(close, customers=20_000))


def test_a_moment_without_a_number_is_out_and_not_called_noise() -> None:
    none, close = row("a.none", nan, nan), row("a.close", 1.2, 0.1)
    alone = verdict(fidelity_of(row("a.fine", 1.0, 0.1), none))
    assert alone.startswith("1 of 2 moments is out of tolerance: a.none. There is no number for a.none")
    assert "standard errors" not in alone
    assert "Of these, a.close lies within two standard errors" in verdict(fidelity_of(none, close))
    assert "Each of the others is off by more than two" in verdict(fidelity_of(none, row("a.out", 1.5, 0.1)))


def page_of(*rows: Row, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page without figures, which need everybody who was simulated."""
    monkeypatch.setattr(fidelity_report, "figures", lambda _: [])
    return fidelity_report.fidelity_html(fidelity_of(*rows))


def test_the_page_says_why_each_tolerance_is_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(row("a.b", 1.0, 0.1), monkeypatch=monkeypatch)
    assert re.search(r'<th scope="row">a\.b<small>se \.05</small></th>', page)
    assert re.findall(r'scope="colgroup"[^>]*>(\w+)<', page) == ["real", "simulated"]


@pytest.mark.slow
def test_the_table_fits_a_screen_and_scrolls_on_a_phone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("no browser at /usr/bin/chromium; install chromium")
    from playwright.sync_api import sync_playwright

    longest = "cdnow.repeat_per_customer_39w_all_orders"
    file = tmp_path / "fidelity.html"
    file.write_text(page_of(row(longest, 1.5, 0.1), row("a.b", 1234.5, 0.1), monkeypatch=monkeypatch))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for width in (1024, 1280, 1920, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.goto(file.as_uri())
            whole, table, room = page.evaluate(
                "() => [document.documentElement.scrollWidth, document.querySelector('table').offsetWidth,"
                " document.querySelector('.scroll').clientWidth]"
            )
            assert whole <= width
            assert (table > room) == (width == 390)
            assert page.get_by_text("Scroll the table sideways").is_visible() == (width == 390)
        browser.close()


@pytest.mark.slow
def test_few_customers_fail_and_say_that_they_are_few(
    journey: Callable[..., Said], data_dir: Path, tmp_path: Path
) -> None:
    said = journey("fidelity", "--data", data_dir, "--config", CONFIG, "--customers", "400", "--out", tmp_path / "out")
    assert said.code == 1
    assert "OUT?" in said.out
    page = (tmp_path / "out" / "fidelity.html").read_text()
    for told in (said.out, page):
        assert "are too few to tell; give --customers 20000" in " ".join(told.split())


def fitted_as_shipped() -> FittedWorld:
    content = yaml.safe_load((CONFIG / "world.yaml").read_text())
    numbers = {
        f"{section}.{key}": FittedNumber(entry["value"], entry["source"])
        for section, entries in content.items()
        if isinstance(entries, dict)
        for key, entry in entries.items()
        if isinstance(entry, dict) and "source" in entry
    }
    return FittedWorld(tuple(content["weekday"]), numbers)


def test_writing_what_is_there_changes_nothing() -> None:
    text = (CONFIG / "world.yaml").read_text()
    assert with_fitted(text, fitted_as_shipped()) == text
    assert differences(text, fitted_as_shipped()) == []


def test_writing_changes_the_number_and_its_source_only(config: Path) -> None:
    fitted = fitted_as_shipped()
    text = (config / "world.yaml").read_text()
    changed = FittedWorld(fitted.weekday, {**fitted.numbers, "email.visit": FittedNumber(-2.12345, "Test: a, b")})
    assert [line.split(":")[0] for line in differences(text, changed)] == ["email.visit"]
    (config / "world.yaml").write_text(with_fitted(text, changed))
    different = [
        (a, b)
        for a, b in zip(text.splitlines(), (config / "world.yaml").read_text().splitlines(), strict=True)
        if a != b
    ]
    assert len(different) == 1
    assert different[0][0].split("#")[1] == different[0][1].split("#")[1]
    assert load_world(load_retailer(config), {}).email.visit == -2.123


def test_a_source_without_a_fit_is_refused() -> None:
    fitted = fitted_as_shipped()
    numbers = {name: number for name, number in fitted.numbers.items() if name != "email.visit"}
    with pytest.raises(CalibrationError, match=r"email\.visit has a source"):
        with_fitted((CONFIG / "world.yaml").read_text(), FittedWorld(fitted.weekday, numbers))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tolerances: {a.b: {within: 0.1, because: so}}\n", "not_compared"),
        ("tolerances: {a.b: {within: 0, because: so}}\nnot_compared: {}\n", r"tolerances\.a\.b\.within = 0"),
        ("tolerances: {a.b: {within: .nan, because: so}}\nnot_compared: {}\n", r"tolerances\.a\.b\.within"),
        ("tolerances: {a.b: {within: 0.1}}\nnot_compared: {}\n", r"tolerances\.a\.b\.because"),
        ("tolerances: {a.b: {within: 0.1, because: ''}}\nnot_compared: {}\n", r"tolerances\.a\.b\.because"),
        ("tolerances: {a.c: {within: 0.1, because: so}}\nnot_compared: {}\n", r"a\.c is not a moment.*did you mean"),
        ("tolerances: {a.b: {within: 0.1, because: so}}\nnot_compared: {a.b: because}\n", "keep one"),
        ("tolerances: {}\nnot_compared: {}\n", r"says nothing of a\.b"),
        ("tolerances: [\n", "fidelity.yaml"),
    ],
)
def test_a_wrong_tolerance_file_is_told(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "fidelity.yaml"
    file.write_text(content)
    with pytest.raises(CalibrationError, match=message):
        read_fidelity_file(file, known=("a.b",))


def test_a_missing_tolerance_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="missing"):
        read_fidelity_file(tmp_path / "fidelity.yaml", known=("a.b",))
