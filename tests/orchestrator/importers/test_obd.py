from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from orchestrator.importers.obd import by_position, import_obd, thompson_prior_distribution
from policies.errors import FeedbackError
from policies.evaluation.estimators import DR, IPS, SNIPS
from policies.evaluation.reward_model import cross_fit
from policies.evaluation.rounds import Rounds
from policies.evaluation.support import diagnose


@pytest.fixture
def obd(data_dir: Path) -> Path:
    return data_dir / "obd"


@pytest.mark.data
@pytest.mark.parametrize(("campaign", "items", "clicks"), [("all", 80, 38), ("men", 34, 46)])
def test_the_uniform_log_is_read_as_published(obd: Path, campaign: str, items: int, clicks: int) -> None:
    log = import_obd(obd, campaign=campaign)
    assert len(log) == 10_000
    assert len(log.actions) == items
    assert log.propensity == pytest.approx(np.full(10_000, 1 / items))
    assert log.reward.sum() == clicks
    assert log.reward_name == "click"
    # Each row has one value of each of four user features and one position.
    assert (log.features.sum(axis=1) == 5).all()
    assert set(np.unique(log.features)) == {0.0, 1.0}
    assert len(set(log.customer)) == 10_000


@pytest.mark.data
def test_items_are_described_by_their_context(obd: Path) -> None:
    actions = import_obd(obd, campaign="men").actions
    names = [feature.name for feature in actions.features[0]]
    assert names[:2] == ["item=0", "item_feature_0"]
    assert names[2].startswith("item_feature_1=")
    assert actions.features[0][1].value == pytest.approx(-0.6771831139635117)


@pytest.mark.data
def test_the_thompson_prior_from_the_uniform_log_gives_the_published_value(obd: Path) -> None:
    log = import_obd(obd)
    prior = thompson_prior_distribution(obd / "prior_bts.yaml", "all", seed=12345)
    rounds = Rounds.of(log, by_position(log, prior), q_hat=cross_fit(log))
    ips = IPS().estimate(rounds, seed=12345)
    assert ips.value == pytest.approx(0.004553, abs=0.0001)
    assert ips.lower == pytest.approx(0.001531, abs=0.0004)
    assert ips.upper == pytest.approx(0.009254, abs=0.0004)
    assert ips.mean_weight == pytest.approx(0.954, abs=0.005)
    assert ips.largest_weight == pytest.approx(19.6, abs=0.5)
    assert ips.effective_sample_size == pytest.approx(1643, abs=20)
    assert ips.warnings == ()
    assert ips.reliable
    assert DR().value(rounds) == pytest.approx(0.004727, abs=0.0004)


@pytest.mark.data
def test_the_thompson_log_supports_the_uniform_policy_badly_and_says_so(obd: Path) -> None:
    log = import_obd(obd, behaviour="bts")
    assert log.reward.mean() == pytest.approx(0.0042)
    support = diagnose(Rounds.of(log, np.full((10_000, 80), 1 / 80)))
    assert support.largest_weight == pytest.approx(277.8, abs=0.1)
    assert support.effective_sample_size == pytest.approx(340, abs=1)
    assert any("340" in caution for caution in support.cautions)


@pytest.mark.data
def test_the_distribution_depends_on_the_position_of_the_row(obd: Path) -> None:
    log = import_obd(obd)
    distribution = np.random.default_rng(0).dirichlet(np.ones(80), size=3).T
    pi = by_position(log, distribution)
    for position in (1, 2, 3):
        rows = log.features[:, log.columns.index(f"position={position}")] == 1
        assert 3_000 < rows.sum() < 3_600
        assert pi[rows] == pytest.approx(np.tile(distribution[:, position - 1], (rows.sum(), 1)))


def write_prior(path: Path, alpha: list[float], beta: list[float]) -> Path:
    path.write_text(yaml.safe_dump({"all": {"alpha": alpha, "beta": beta}}))
    return path


def test_a_sure_order_of_items_is_shown_in_that_order(tmp_path: Path) -> None:
    prior = write_prior(tmp_path / "prior.yaml", [1.0, 9_000.0, 5_000.0, 3_000.0], [9_999.0, 1_000.0, 5_000.0, 7_000.0])
    distribution = thompson_prior_distribution(prior, "all", n_samples=1_000, seed=0)
    assert distribution.argmax(axis=0).tolist() == [1, 2, 3]
    assert distribution.max(axis=0) == pytest.approx([1, 1, 1])


def test_equal_priors_show_every_item_everywhere_equally_often(tmp_path: Path) -> None:
    prior = write_prior(tmp_path / "prior.yaml", [2.0] * 5, [2.0] * 5)
    distribution = thompson_prior_distribution(prior, "all", n_samples=25_000, seed=0)
    assert distribution.sum(axis=0) == pytest.approx([1, 1, 1])
    assert distribution == pytest.approx(np.full((5, 3), 0.2), abs=0.015)
    assert (distribution == thompson_prior_distribution(prior, "all", n_samples=25_000, seed=0)).all()


def test_first_place_has_the_probability_of_the_best_beta(tmp_path: Path) -> None:
    # P(Beta(2, 1) > Beta(1, 1)) = 2/3, and the third item is nearly never best.
    prior = write_prior(tmp_path / "prior.yaml", [2.0, 1.0, 1.0], [1.0, 1.0, 1e6])
    distribution = thompson_prior_distribution(prior, "all", n_samples=60_000, seed=0)
    assert distribution[:, 0] == pytest.approx([2 / 3, 1 / 3, 0], abs=0.01)


HEADER = ",timestamp,item_id,position,click,propensity_score," + ",".join(f"user_feature_{i}" for i in range(4))
ROWS = ["0,2019-11-24 00:00:02,1,3,0,0.25,a,b,c,d", "1,2019-11-24 00:00:01,0,1,1,0.5,a,b,c,e"]
ITEMS = ",item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3\n0,0,-0.5,x,y,z\n1,1,0.5,x,y,w\n"


def write_obd(folder: Path, *, rows: list[str] | None = None, header: str = HEADER, items: str = ITEMS) -> Path:
    campaign = folder / "random" / "all"
    campaign.mkdir(parents=True)
    text = "\n".join([header, *(ROWS if rows is None else rows)]) + "\n"
    (campaign / "all.csv.gz").write_bytes(gzip.compress(text.encode()))
    (campaign / "item_context.csv").write_text(items)
    return folder


def test_rows_come_in_order_of_time(tmp_path: Path) -> None:
    log = import_obd(write_obd(tmp_path))
    assert log.action.tolist() == [0, 1]
    assert log.propensity.tolist() == [0.5, 0.25]
    assert log.columns[-3:] == ("position=1", "position=2", "position=3")
    assert log.features[:, -3:].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert log.features[0, log.columns.index("user_feature_3=e")] == 1


def test_the_full_data_set_is_not_zipped(tmp_path: Path) -> None:
    folder = write_obd(tmp_path)
    zipped = folder / "random" / "all" / "all.csv.gz"
    (zipped.parent / "all.csv").write_bytes(gzip.decompress(zipped.read_bytes()))
    zipped.unlink()
    assert len(import_obd(folder)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": []}, "no rows"),
        ({"header": HEADER.replace("click", "clack")}, "lacks the columns click"),
        ({"items": ITEMS.replace("item_feature_2", "other")}, "lacks the columns item_feature_2"),
        ({"items": ITEMS.replace("1,1,0.5", "1,7,0.5")}, "item_id must number the items 0 to 1"),
        ({"rows": ["0,2019,5,3,0,0.25,a,b,c,d"]}, "item_id must be one of the 2 items"),
        ({"rows": ["0,2019,1,4,0,0.25,a,b,c,d"]}, "position must be 1, 2 or 3, found .*4"),
        ({"rows": ["0,2019,1,3,2,0.25,a,b,c,d"]}, "click must be 0 or 1, found .*2"),
        ({"rows": ["0,2019,1,3,0,0,a,b,c,d"]}, "propensity must be in"),
        ({"rows": ["0,2019,1,3,0,often,a,b,c,d"]}, "propensity_score must be a number, found 'often'"),
        ({"rows": ["0,2019,1,3,,0.25,a,b,c,d"]}, "click is missing in 1 rows"),
    ],
)
def test_damaged_tables_are_refused_by_name(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(FeedbackError, match=message):
        import_obd(write_obd(tmp_path, **arguments))


def test_missing_truncated_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="unknown behaviour 'thompson'; the data set has: random, bts"):
        import_obd(tmp_path, behaviour="thompson")
    with pytest.raises(FeedbackError, match=r"no campaign 'all' at .*found: none"):
        import_obd(tmp_path)
    folder = write_obd(tmp_path)
    with pytest.raises(FeedbackError, match=r"no campaign 'women' at .*found: all"):
        import_obd(folder, campaign="women")
    path = folder / "random" / "all" / "all.csv.gz"
    whole = path.read_bytes()
    for damaged, message in ((whole[: len(whole) // 2], "damaged"), (b"", "empty"), (b"not gzip at all", "damaged")):
        path.write_bytes(damaged)
        with pytest.raises(FeedbackError, match=message):
            import_obd(folder)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(FeedbackError, match="empty"):
        import_obd(folder)
    path.unlink()
    with pytest.raises(FeedbackError, match=r"all\.csv is missing"):
        import_obd(folder)
    path.write_bytes(whole)
    (folder / "random" / "all" / "item_context.csv").unlink()
    with pytest.raises(FeedbackError, match=r"item_context\.csv is missing"):
        import_obd(folder)


@pytest.mark.data
def test_a_truncated_copy_of_the_real_log_is_refused(obd: Path, tmp_path: Path) -> None:
    shutil.copytree(obd / "random" / "men", tmp_path / "random" / "men")
    path = tmp_path / "random" / "men" / "men.csv.gz"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(FeedbackError, match="damaged"):
        import_obd(tmp_path, campaign="men")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all: {alpha: [1, 2, 3]}", "has no 'beta'"),
        ("men: {}", "has no 'all'"),
        ("all: {alpha: [1, 2, 3], beta: [1, 2]}", "lists of one length"),
        ("all: {alpha: [1, 0, 3], beta: [1, 2, 3]}", "all > 0"),
        ("all: {alpha: [1, 2], beta: [1, 2]}", "at least 3"),
        ("all: [1, 2", "not a list of priors"),
        ("", "not a list of priors"),
        ("all: {alpha: [x, 2, 3], beta: [1, 2, 3]}", "not a list of priors"),
    ],
)
def test_priors_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prior.yaml"
    path.write_text(text)
    with pytest.raises(FeedbackError, match=message):
        thompson_prior_distribution(path, "all", seed=0)


def test_a_missing_prior_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="is missing"):
        thompson_prior_distribution(tmp_path / "prior.yaml", "all", seed=0)


def test_a_log_without_positions_is_refused(tmp_path: Path) -> None:
    log = import_obd(write_obd(tmp_path))
    with pytest.raises(FeedbackError, match="lacks the columns position=2"):
        by_position(
            type(log)(
                columns=tuple(name if name != "position=2" else "slot" for name in log.columns),
                features=log.features,
                actions=log.actions,
                eligible=log.eligible,
                action=log.action,
                propensity=log.propensity,
                reward=log.reward,
                customer=log.customer,
            ),
            np.full((2, 3), 0.5),
        )


def test_snips_of_a_tiny_log_is_flagged(tmp_path: Path) -> None:
    log = import_obd(write_obd(tmp_path))
    assert not SNIPS().estimate(Rounds.of(log, np.full((2, 2), 0.5)), seed=0).reliable
