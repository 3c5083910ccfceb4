"""Training in simulation: continued to the last bit, published as curves and versions, usable by comparisons."""

from __future__ import annotations

import gc
import re
import shutil
import sqlite3
import weakref
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from policies.errors import PolicyError
from policies.exploration.explorers import Explorer
from policies.feedback import MONEY
from policies.policy import Policy
from policies.registry.store import CHALLENGER, CHAMPION, Store
from policies.vw.feature_space import FeatureSpace
from policies.vw.files import load_policy
from policies.vw.policy import VWPolicy, VWSettings
from simulator.comparison.numbers import MINUS
from simulator.errors import RunError
from simulator.reports import training_publish
from simulator.reports.training_publish import TrainingPublisher
from simulator.rollout.counterfactual_pairs import CounterfactualPairs, live_pairs
from simulator.rollout.rollout import Block, Setting
from simulator.runs.line_up import TRAINED, load_line_up, save_line_up
from simulator.scenarios import Scenario, load_scenario
from simulator.training.learning import Learner, LearningSettings
from simulator.training.plan import TrainingPlan
from simulator.training.training import Iteration, PhaseProgress, train

pytestmark = pytest.mark.slow
CONFIGS = Path(__file__).parents[3] / "configs"
RANDOM = -1  # neither of the learned ones
TINY = TrainingPlan(iterations=2, customers=400, days=85, block_size=200, evaluation_customers=160, evaluation_days=6)


@dataclass
class Trained:
    """A training of two iterations, and all it said."""

    folder: Path
    store: Store
    publisher: TrainingPublisher
    iterations: list[Iteration] = field(default_factory=list)
    progress: list[PhaseProgress] = field(default_factory=list)


@pytest.fixture(scope="module")
def baseline() -> Scenario:
    return load_scenario("baseline", configs=CONFIGS)


@pytest.fixture(scope="module")
def straight(baseline: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, store = tmp_path_factory.mktemp("training"), Store(tmp_path_factory.mktemp("mlruns"))
    done = Trained(folder, store, TrainingPublisher(baseline, TINY, store=store, model="journey-tiny", folder=folder))

    def on_iteration(found: Iteration) -> None:
        done.publisher.publish(found)
        done.iterations.append(found)

    with done.publisher.open():
        train(
            baseline,
            TINY,
            folder=folder,
            workers=1,
            progress=done.progress.append,
            on_start=done.publisher.begin,
            on_iteration=on_iteration,
        )
    return done


def scores(policies: Any) -> dict[str, np.ndarray]:
    """Of customers nobody has seen."""
    random = np.random.default_rng(5)
    return {
        name: policy.scores(random.standard_normal((50, len(policy.columns))).astype(np.float32))
        for name, policy in policies.items()
    }


def assert_same(found: Iteration, expected: Iteration) -> None:
    assert found.loss == expected.loss
    assert set(found.policies) == set(TRAINED)
    for name, value in scores(expected.policies).items():
        np.testing.assert_array_equal(scores(found.policies)[name], value, err_msg=name)
    for one, other in zip(found.comparison.standings, expected.comparison.standings, strict=True):
        assert (one.policy, one.margin.value) == (other.policy, other.margin.value)


def test_a_training_continued_equals_one_in_a_go(baseline: Scenario, straight: Trained, tmp_path: Path) -> None:
    first: list[Iteration] = []
    train(baseline, replace(TINY, iterations=1), folder=tmp_path, workers=1, on_iteration=first.append)
    told: list[PhaseProgress] = []
    found: list[Iteration] = []
    train(baseline, TINY, folder=tmp_path, resume=True, workers=1, progress=told.append, on_iteration=found.append)
    assert [iteration.replayed for iteration in found] == [True, False]
    for one, other in zip([*first, *found], [straight.iterations[0], *straight.iterations], strict=True):
        assert_same(one, other)
    assert found[0].seconds == first[0].seconds
    gathered = [now for now in told if now.phase == "gather" and now.iteration == 0]
    assert [now.total for now in gathered] == [0]  # kept twins are not lived again


def test_an_interrupted_gathering_continues_at_the_block_it_stopped(
    baseline: Scenario, straight: Trained, tmp_path: Path
) -> None:
    one = replace(TINY, iterations=1)

    def stop(now: PhaseProgress) -> None:
        if now.phase == "gather" and now.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"0 of 1 iterations are finished.* --resume to continue"):
        train(baseline, one, folder=tmp_path, workers=1, progress=stop)
    told: list[PhaseProgress] = []
    found = train(baseline, one, folder=tmp_path, resume=True, workers=1, progress=told.append)
    assert_same(found, straight.iterations[0])
    assert told[0].total == 200 * 85  # one of two blocks


def test_every_behaviour_gathers_however_few_blocks_an_iteration_has(
    baseline: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[list[VWPolicy]] = []
    turns: list[int] = []
    lived: list[CounterfactualPairs] = []

    def noted(block: Block, policy: Policy) -> CounterfactualPairs:
        if offered:
            turns.append(next((i for i, each in enumerate(offered[-1]) if each is policy), RANDOM))
        lived.extend([] if lived else [live_pairs(block, policy)])
        return lived[0]

    def place(policy: Policy, among: list[VWPolicy]) -> int:
        return next((i for i, each in enumerate(among) if each is policy), RANDOM)

    def gathering(self: Learner) -> list[VWPolicy]:
        offered.append(learned_behaviours(self))
        return offered[-1]

    learned_behaviours = Learner.gathering
    monkeypatch.setattr(Learner, "gathering", gathering)
    monkeypatch.setattr("simulator.training.training.live_pairs", noted)
    few = replace(TINY, iterations=5, customers=100, block_size=100, evaluation_customers=8, evaluation_days=1)
    train(baseline, few, folder=tmp_path, workers=1)
    assert sorted(turns) == [RANDOM, *(place(policy, offered[0]) for policy in offered[0])]


def test_phases_count_to_their_end(straight: Trained) -> None:
    for iteration in range(2):
        for phase in ("gather", "learn", "evaluate"):
            told = [now for now in straight.progress if (now.iteration, now.phase) == (iteration, phase)]
            assert told[0].done == 0
            assert told[-1].done == told[-1].total > 0
            assert all(now.done <= now.total for now in told)


def test_baselines_live_once_and_are_the_same_in_every_iteration(straight: Trained) -> None:
    first, second = (iteration.comparison for iteration in straight.iterations)
    for name in ("hold", "random", "fixed", "business_rules"):
        assert first.standing(name).margin == second.standing(name).margin
    evaluated = [now.total for now in straight.progress if now.phase == "evaluate" and now.iteration == 1]
    assert set(evaluated) == {3 * 160 * 6}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"days": 90}, "days: 85 there, 90 here"),
        ({"learning": LearningSettings(critic=False)}, r"learning\.critic: True there, False here"),
    ],
)
def test_the_folder_of_another_training_is_refused(
    baseline: Scenario, straight: Trained, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        train(baseline, replace(TINY, **changes), folder=straight.folder, resume=True, workers=1)


def test_a_folder_with_content_is_continued_only_when_asked(baseline: Scenario, straight: Trained) -> None:
    with pytest.raises(RunError, match="holds something already; add --resume"):
        train(baseline, TINY, folder=straight.folder, workers=1)


def test_damaged_or_foreign_twins_are_refused(baseline: Scenario, straight: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "training"
    shutil.copytree(straight.folder, folder)
    first, second = sorted((folder / "iteration-000" / "twins").iterdir())
    kept = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(RunError, match="is a block of another training; delete it"):
        train(baseline, TINY, folder=folder, resume=True, workers=1)
    second.write_bytes(kept[:-100])
    with pytest.raises(RunError, match=r"block-1\.npz is damaged .* delete it"):
        train(baseline, TINY, folder=folder, resume=True, workers=1)


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(store.database)) as connection:
        return connection.execute(query).fetchall()


def test_mlflow_shows_one_curve_over_iterations_and_each_iteration_below(straight: Trained) -> None:
    runs = dict(rows(straight.store, "SELECT run_uuid, name FROM runs WHERE status='FINISHED'"))
    parent = straight.publisher.run_id
    *iterations, training = sorted(runs.values())
    assert iterations == ["journey-tiny iteration 0", "journey-tiny iteration 1"]
    assert re.fullmatch(r"train baseline \d{4}-\d\d-\d\d \d\d:\d\d", training)
    children = rows(straight.store, "SELECT run_uuid FROM tags WHERE key='mlflow.parentRunId' AND value='%s'" % parent)  # noqa: S608, UP031
    assert {runs[run] for (run,) in children} == set(iterations)
    metrics = rows(straight.store, "SELECT key, step, value FROM metrics WHERE run_uuid='%s'" % parent)  # noqa: S608, UP031
    curves = {(key, step): value for key, step, value in metrics}
    best = -np.inf
    for iteration in straight.iterations:
        step, comparison = iteration.index, iteration.comparison
        best = max(best, *(s.margin.value for s in comparison.standings))
        for name in ("hold", "random", "myopic", "journey"):
            margin = comparison.standing(name).margin.value
            assert curves[f"margin/{name}", step] == pytest.approx(margin)
            assert curves[f"regret/{name}", step] == pytest.approx(best - margin)
            assert curves[f"retention/{name}", step] == pytest.approx(comparison.standing(name).retention)
        assert curves["loss/journey", step] == pytest.approx(iteration.loss["journey"])
        assert all(("seconds/" + phase, step) in curves for phase in ("gather", "learn", "evaluate", "rest"))


def test_every_iteration_is_a_version_and_the_first_the_champion(straight: Trained) -> None:
    champion, challenger = (straight.store.alias("journey-tiny", alias) for alias in (CHAMPION, CHALLENGER))
    assert champion is not None
    assert challenger is not None
    assert (champion.version, challenger.version) == (1, 2)
    served = load_policy(challenger.directory)
    last = straight.iterations[-1].policies["journey"]
    np.testing.assert_array_equal(scores({"x": served})["x"], scores({"x": last})["x"])
    assert {path.name for path in challenger.directory.parent.iterdir()} >= {"policy", "critic.json", "league.txt"}
    ((card,),) = rows(straight.store, "SELECT description FROM model_versions WHERE version=2")
    assert "scenario `baseline`" in card
    for standing in straight.iterations[1].comparison.standings:
        assert f"| {straight.iterations[1].comparison.label(standing.policy)} " in card


def paired(found: Iteration, earlier: Iteration) -> tuple[float, float, float]:
    """Margin per customer of the later minus the earlier journey policy, with Student's t interval over blocks."""
    blocks = zip(found.results, earlier.results, strict=True)
    gaps = np.array([(a.daily[:, 0].sum() - b.daily[:, 0].sum()) / a.customers for a, b in blocks])  # equal blocks
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)


def cards(store: Store) -> list[str]:
    return [card for (card,) in rows(store, "SELECT description FROM model_versions ORDER BY version")]


def test_a_card_begins_with_whether_the_policy_beats_hold_and_the_version_before(straight: Trained) -> None:
    first, second = (card.splitlines()[0] for card in cards(straight.store))
    for line, iteration in zip((first, second), straight.iterations, strict=True):
        hold = iteration.comparison.standing("hold").difference
        assert hold is not None
        assert line.startswith("**journey ")
        assert iteration.comparison.money.bounds(hold, sign=True) in line
    assert "version" not in first
    said = re.search(r"version 1 \(the one before it and champion\): (\S+) \[(\S+), (\S+)\]", second)
    assert said
    found = [float(number.replace(MINUS, "-")) for number in said.groups()]
    assert found == pytest.approx(paired(straight.iterations[1], straight.iterations[0]), abs=0.006)


def test_only_versions_of_the_same_customers_are_compared(
    baseline: Scenario, straight: Trained, tmp_path: Path
) -> None:
    store = Store(tmp_path / "mlruns")
    first, second = straight.iterations
    for name, iterations in (("one", [first, second, replace(second, index=2)]), ("other", [first])):
        (tmp_path / name).mkdir()
        publisher = TrainingPublisher(baseline, TINY, store=store, model="m", folder=tmp_path / name)
        with publisher.open():
            publisher.begin()
            published = [publisher.publish(iteration) for iteration in iterations]
        assert [p.champion.version for p in published if p and p.champion] == [1] * len(iterations)
    third, another = cards(store)[2:]
    assert "version 1 (champion)" in third
    assert "no clear difference to version 2 (the one before it): 0.00 [0.00, 0.00]" in third
    assert "version" not in another.splitlines()[0]  # the champion is of another training: nothing was measured


def report_of(store: Store, run: str) -> str:
    return (store.artifacts / run / "artifacts" / "report.html").read_text(encoding="utf-8")


def test_every_run_of_a_training_carries_its_report(straight: Trained) -> None:
    runs = {name: run for run, name in rows(straight.store, "SELECT run_uuid, name FROM runs")}
    for iteration in straight.iterations:
        html = report_of(straight.store, runs[f"journey-tiny iteration {iteration.index}"])
        assert iteration.comparison.verdict in html.replace("\N{NO-BREAK SPACE}", " ")
        for fact in ("journey-tiny", f"{iteration.index}, counted from 0", f"{iteration.twins:,} twin lives of 400"):
            assert f"<dd>{fact}" in html
        assert "160 under each policy" in html
        assert "Learning over iterations" not in html
    html = report_of(straight.store, straight.publisher.run_id)
    last = straight.iterations[-1].comparison
    assert last.verdict in html.replace("\N{NO-BREAK SPACE}", " ")
    table = html[html.index("Learning over iterations") :]
    for iteration in straight.iterations:
        own = iteration.comparison.standing("journey")
        row = table[table.index(f'<th scope="row">{iteration.index}</th>') :]
        assert row.startswith(f'<th scope="row">{iteration.index}</th><td>{iteration.index + 1}</td>')
        assert last.money.plain(own.margin.value) in row[: row.index("</tr>")]
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', html)) <= set(ids)
    assert not re.search(r"https?:|<script|<link|<img|@import", html)


@pytest.mark.parametrize("training_fails", [False, True])
def test_a_report_that_cannot_be_drawn_leaves_no_run_open_and_hides_no_other_error(
    baseline: Scenario, straight: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training_fails: bool
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise ZeroDivisionError("drawing")

    monkeypatch.setattr(training_publish, "training_html", broken)
    store = Store(tmp_path / "mlruns")
    publisher = TrainingPublisher(baseline, TINY, store=store, model="m", folder=tmp_path)
    with pytest.raises(OSError, match="disk") if training_fails else pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with publisher.open():
            publisher.begin()
            publisher.publish(straight.iterations[0])
            if training_fails:
                raise OSError("disk is full")
    assert rows(store, f"SELECT status FROM runs WHERE run_uuid = '{publisher.run_id}'") == [("FAILED",)]  # noqa: S608


def test_workspaces_of_earlier_iterations_are_let_go(baseline: Scenario, straight: Trained, tmp_path: Path) -> None:
    publisher = TrainingPublisher(baseline, TINY, store=Store(tmp_path / "mlruns"), model="m", folder=tmp_path)
    first, second = straight.iterations
    kept = weakref.ref(copy := Owner(first.policies))
    with publisher.open():
        publisher.begin()
        publisher.publish(replace(first, policies=copy))
        del copy
        publisher.publish(second)
        gc.collect()
        assert kept() is None


class Owner(dict[str, Policy]):
    """Policies whose end can be seen."""


def test_a_stopped_training_keeps_the_report_of_what_it_got_to(
    baseline: Scenario, straight: Trained, tmp_path: Path
) -> None:
    store = Store(tmp_path / "mlruns")
    publisher = TrainingPublisher(baseline, TINY, store=store, model="m", folder=tmp_path)

    def stopped() -> None:
        with publisher.open():
            publisher.begin()
            publisher.publish(straight.iterations[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "after iteration 0" in report_of(store, publisher.run_id)
    again = TrainingPublisher(baseline, TINY, store=store, model="m", folder=tmp_path)
    with again.open():
        again.begin()
        assert [bool(again.publish(found)) for found in straight.iterations] == [False, True]
    assert "after iteration 1" in report_of(store, again.run_id)
    assert again.run_id == publisher.run_id
    assert "version 1 (the one before it and champion)" in cards(store)[1]


def test_what_is_published_is_not_published_again(baseline: Scenario, straight: Trained) -> None:
    before = rows(straight.store, "SELECT run_uuid FROM runs")
    again = TrainingPublisher(baseline, TINY, store=straight.store, model="journey-tiny", folder=straight.folder)
    with again.open():
        again.begin()
        assert [again.publish(found) for found in straight.iterations] == [None, None]
    assert again.run_id == straight.publisher.run_id
    assert rows(straight.store, "SELECT run_uuid FROM runs") == before


def start_policy(baseline: Scenario, **changes: Any) -> VWPolicy:
    core = Setting.of(baseline).core
    space = FeatureSpace.of_customer(core.columns, **{"interactions": ("PA",), "constant": False, **changes})
    settings = VWSettings(space=space, explorer=Explorer(kind="greedy"), reward_name=MONEY, importance="none")
    return VWPolicy(settings, core.actions)


def test_a_warm_start_begins_with_the_weights_of_the_policy(baseline: Scenario, straight: Trained) -> None:
    start, core = straight.iterations[-1].policies["journey"], Setting.of(baseline).core
    assert isinstance(start, VWPolicy)
    learner = Learner(core.actions, core.columns, LearningSettings(), start=start)
    journey, myopic = learner.gathering()[0], learner.gathering()[2]
    np.testing.assert_array_equal(scores({"x": journey})["x"], scores({"x": start})["x"])
    assert not scores({"x": myopic})["x"].any()


def test_rates_differ_after_a_warm_start(baseline: Scenario, straight: Trained) -> None:
    """The model that is read says at which rate it was learned; each rung must learn at its own."""
    from policies.learning.learning_rate_search import LearningRateSearch

    start = straight.iterations[-1].policies["journey"]
    assert isinstance(start, VWPolicy)
    ladder = LearningRateSearch(start.settings, start.actions, rates=(0.001, 0.5), start=start)
    features = np.ones((1, len(start.columns)), dtype=np.float32)
    one = np.ones(1, dtype=np.int64)
    before = start.scores(features)[0, 1]
    ladder.learn_rows(features, eligible=one, action=one, propensity=np.ones(1), reward=np.full(1, before + 5.0))
    slow, fast = (abs(rung.scores(features)[0, 1] - before) for rung in ladder.rungs)
    assert 0 < slow < fast


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constant": True}, "constant: True there, False here"),
        ({"interactions": ("UA",)}, r"interactions: \['UA'\] there, \['PA'\] here"),
    ],
)
def test_a_warm_start_over_other_features_is_refused(
    baseline: Scenario, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PolicyError, match=rf"{message}.*start from a policy"):
        train(baseline, TINY, folder=tmp_path / "new", workers=1, start=start_policy(baseline, **changes))
    assert not (tmp_path / "new").exists()


def test_the_line_up_is_usable_by_comparisons(straight: Trained, tmp_path: Path) -> None:
    policies: dict[str, Policy] = {name: straight.iterations[-1].policies[name] for name in TRAINED}
    save_line_up(policies, tmp_path / "baseline")
    loaded = load_line_up(tmp_path / "baseline", TRAINED)
    for name, value in scores(policies).items():
        np.testing.assert_array_equal(scores(loaded)[name], value, err_msg=name)


def test_two_workers_learn_what_one_learns(baseline: Scenario, straight: Trained, tmp_path: Path) -> None:
    found = train(baseline, replace(TINY, iterations=1), folder=tmp_path, workers=2)
    assert_same(found, straight.iterations[0])
