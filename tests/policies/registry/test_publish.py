"""What a published policy leaves in the MLflow store, read back by MLflow's own client."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from policies.errors import PolicyFormatError
from policies.registry.store import Store
from policies.registry.tracking import Tracker
from policies.review.publish import publish
from policies.review.report import report_html
from policies.vw.files import load_policy


@pytest.fixture(scope="session")
def client(shelf: Any) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=shelf.store.uri, registry_uri=shelf.store.uri)


@pytest.fixture(scope="session")
def run(shelf: Any, client: Any) -> Any:
    return client.get_run(shelf.first.run_id)


@pytest.fixture(scope="session")
def artifacts(shelf: Any) -> Path:
    return shelf.first.policy.directory.parent


def test_the_run_says_what_was_done(shelf: Any, run: Any) -> None:
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "one"
    parameters = run.data.params
    assert parameters["reward"] == "reward"
    assert parameters["rows"] == "8000"
    assert parameters["learning_rate"] == f"{shelf.result.policy.settings.learning_rate:g}"
    assert float(parameters["gamma_scale"]) == pytest.approx(
        shelf.result.policy.settings.explorer.gamma_scale, rel=1e-3
    )
    assert run.data.tags["verdict"] == shelf.result.league.standing("journey", "reward").verdict
    assert shelf.first.headline in run.data.tags["mlflow.note.content"]


def test_metrics_hold_the_curve_step_by_step_and_the_league(shelf: Any, run: Any, client: Any) -> None:
    curve = shelf.result.curve
    for r, rate in enumerate(curve.rates):
        history = client.get_metric_history(run.info.run_id, f"learning/squared_error.rate_{rate:g}")
        points = sorted((point.step, point.value) for point in history)
        assert [step for step, _ in points] == list(curve.decisions)
        np.testing.assert_allclose([value for _, value in points], curve.loss[:, r])
    for standing in shelf.result.league.standings:
        name = f"value {standing.outcome}/{standing.policy}"
        stored = {re.sub(r"[^\w./ -]", "", key): value for key, value in run.data.metrics.items()}
        assert stored[re.sub(r"[^\w./ -]", "", name)] == pytest.approx(standing.snips.value)


def test_the_run_names_the_data_and_another_log_is_other_data(shelf: Any, run: Any, client: Any) -> None:
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "two kinds of customers, made up"
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]
    (again,) = client.get_run(shelf.second.run_id).inputs.dataset_inputs
    assert again.dataset.digest == used.dataset.digest
    changed = replace(shelf.log, reward=1.0 - shelf.log.reward)
    third = publish(shelf.result, changed, shelf.settings, store=shelf.store, model="other", name="three")
    (other,) = client.get_run(third.run_id).inputs.dataset_inputs
    assert other.dataset.digest != used.dataset.digest


def test_the_policy_stored_decides_as_the_one_trained(shelf: Any) -> None:
    loaded = load_policy(shelf.first.policy.directory)
    assert loaded.settings == shelf.result.policy.settings
    np.testing.assert_array_equal(loaded.scores(shelf.log.features), shelf.result.policy.scores(shelf.log.features))


def test_the_league_is_stored_whole(shelf: Any, artifacts: Path) -> None:
    table = pd.read_parquet(artifacts / "league.parquet")
    assert len(table) == len(shelf.result.league.standings)
    row = table[(table.policy == "journey") & (table.outcome == "reward")].iloc[0]
    assert row.value == shelf.result.league.standing("journey", "reward").snips.value
    text = (artifacts / "league.txt").read_text()
    for standing in shelf.result.league.standings:
        assert standing.policy in text


class References(HTMLParser):
    """Everything an HTML page would fetch, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href", "data", "action", "srcset"}]
        if tag in {"script", "iframe", "link", "object", "embed", "img"}:
            self.found.append(tag)
        if tag not in {"meta", "br", "hr", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.remove(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_fetches_nothing_and_shows_everything(shelf: Any, artifacts: Path) -> None:
    html = (artifacts / "report.html").read_text()
    page = References()
    page.feed(html)
    # Only places inside the page itself: markers and clip paths of the plots.
    assert [reference for reference in page.found if not reference.startswith("#")] == []
    assert re.findall(r"url\((?!#)", html) == []
    assert "@import" not in html
    assert page.open == []
    for text in (shelf.first.headline, "How the policies compare", "How learning went", "<svg"):
        assert text in html
    for standing in shelf.result.league.standings:
        assert f"<td>{standing.policy}</td>" in html


def test_text_from_outside_cannot_become_markup(shelf: Any) -> None:
    evil = "<script>alert(1)</script>"
    league = replace(shelf.result.league, source=evil)
    html = report_html(league, title=evil, policy="journey", facts={evil: evil}, shares=[(evil, 0.5, 0.5)])
    assert "<script" not in html


def test_the_version_carries_its_evidence_as_markdown(shelf: Any, client: Any) -> None:
    version = client.get_model_version("mail", "1")
    assert version.run_id == shelf.first.run_id
    assert version.tags == {"reward": "reward", "verdict": "better"}
    lines = version.description.splitlines()
    assert lines[0] == f"**{shelf.first.headline}**"
    table = [line for line in lines if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in table[2:]] == [s.policy for s in shelf.result.league.of("reward")]
    assert len({row.count("|") for row in table}) == 1
    assert "`champion`" in client.get_registered_model("mail").description


def test_the_first_version_is_champion_and_later_ones_challenge(shelf: Any, client: Any) -> None:
    assert (shelf.first.alias, shelf.second.alias) == ("champion", "challenger")
    assert client.get_model_version_by_alias("mail", "champion").version == 1
    assert client.get_model_version_by_alias("mail", "challenger").version == 2


def test_a_run_that_fails_is_marked_and_registers_nothing(empty: Store, shelf: Any) -> None:
    from mlflow import MlflowClient

    broken = shelf.result.policy.with_explorer(shelf.result.policy.settings.explorer)
    broken.settings = replace(broken.settings, reward_name=object())  # cannot be written as JSON
    with pytest.raises(TypeError):
        publish(replace(shelf.result, policy=broken), shelf.log, shelf.settings, store=empty, model="m", name="broken")
    client = MlflowClient(tracking_uri=empty.uri, registry_uri=empty.uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "journey"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert client.list_artifacts(run.info.run_id) == []
    assert client.search_registered_models() == []
    assert empty.alias("m", "champion") is None


def test_a_damaged_stored_policy_is_refused_when_loaded(shelf: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shelf.first.policy.directory, tmp_path / "policy"))
    model = bytearray((copy / "model.vw").read_bytes())
    model[len(model) // 2] ^= 1
    (copy / "model.vw").write_bytes(bytes(model))
    with pytest.raises(PolicyFormatError, match="is damaged"):
        load_policy(copy)


def test_links_lead_to_the_experiment_and_the_model(shelf: Any, client: Any) -> None:
    links = Tracker(shelf.store).links("http://127.0.0.1:5000", model="mail")
    experiment = client.get_experiment_by_name("journey").experiment_id
    assert f"/experiments/{experiment}/" in links["runs"]
    assert links["policies"] == "http://127.0.0.1:5000/#/models/mail"
