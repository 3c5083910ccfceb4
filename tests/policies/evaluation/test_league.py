from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from policies.actions import ActionSet
from policies.errors import EvaluationError, FeedbackError
from policies.evaluation.estimators import SNIPS
from policies.evaluation.intervals import bootstrap_interval
from policies.evaluation.league import LeagueTable, league_table
from policies.evaluation.league_plot import league_svg
from policies.evaluation.league_text import league_text
from policies.evaluation.reward_model import fit_predict
from policies.evaluation.rounds import Rounds
from policies.feedback import MONEY, LoggedFeedback
from policies.review.report import headline
from policies.training import baselines, judge_policies


def always(action: int, n: int, A: int = 3) -> np.ndarray:
    return np.tile(np.eye(A)[action], (n, 1))


def made_up_log(*, n: int = 3_000, effect: float = 0.2, seed: int = 0) -> LoggedFeedback:
    """A uniform log of three actions; action 1 raises the share of rewarded rounds from .3 by `effect`."""
    generator = np.random.default_rng(seed)
    action = generator.integers(0, 3, n)
    reward = (generator.random(n) < 0.3 + effect * (action == 1)).astype(np.float64)
    return LoggedFeedback(
        columns=("x",),
        features=generator.normal(size=(n, 1)).astype(np.float32),
        actions=ActionSet.of("a", "b", "c"),
        eligible=np.ones((n, 3), dtype=bool),
        action=action,
        propensity=np.full(n, 1 / 3),
        reward=reward,
        customer=np.array([str(i) for i in range(n)], dtype=object),
        reward_name="visit",
        outcomes={"spend": reward * generator.lognormal(3.0, 1.0, n), "leaves": 1.0 - reward},
        source="made up",
    )


def table_of(
    log: LoggedFeedback, *, outcomes: tuple[str, ...] = ("visit",), lower: tuple[str, ...] = ()
) -> LeagueTable:
    policies = {name: always(a, len(log)) for a, name in enumerate(("a", "b", "c"))}
    return league_table(log, policies, outcomes=outcomes, reference="a", seed=1, lower_is_better=lower)


def test_a_better_policy_is_called_better_and_an_equal_one_is_not() -> None:
    table = table_of(made_up_log())
    assert table.standing("b", "visit").verdict == "better"
    assert table.standing("c", "visit").verdict == "no significant difference"
    assert table.standing("a", "visit").verdict == "reference"
    assert table.of("visit")[0].policy == "b"


def test_swapped_rewards_swap_the_verdict() -> None:
    log = made_up_log()
    assert table_of(replace(log, reward=1.0 - log.reward)).standing("b", "visit").verdict == "worse"


def test_fewer_is_better_where_the_outcome_says_so() -> None:
    log = made_up_log()
    assert table_of(log, outcomes=("leaves",)).standing("b", "leaves").verdict == "worse"
    table = table_of(log, outcomes=("leaves",), lower=("leaves",))
    assert table.standing("b", "leaves").verdict == "better"
    assert table.of("leaves")[0].policy == "b"


def test_too_few_rewarded_rounds_give_no_conclusion_however_clear_they_look() -> None:
    log = made_up_log(n=60, effect=0.7)
    standing = table_of(log).standing("b", "visit")
    assert standing.verdict == "not enough data"
    assert any("rewarded rounds" in warning for warning in standing.warnings)


def test_the_reference_too_must_be_supported() -> None:
    log = made_up_log()
    never = replace(log, reward=log.reward * (log.action != 0))
    assert table_of(never).standing("b", "visit").verdict == "not enough data"


def test_the_difference_is_paired_and_simultaneous() -> None:
    log = made_up_log()
    standing = table_of(log, outcomes=("visit", "spend")).standing("b", "spend")
    part = log.with_reward("spend")
    contributions = [SNIPS().round_rewards(Rounds.of(part, always(a, len(log)))) for a in (1, 0)]
    expected = bootstrap_interval(contributions[0] - contributions[1], seed=1, confidence=1 - 0.05 / 4)
    assert standing.difference is not None
    assert (standing.difference.lower, standing.difference.upper) == pytest.approx(expected[:2])
    arms = [part.reward[log.action == a].mean() for a in (1, 0)]
    assert standing.difference.value == pytest.approx(arms[0] - arms[1])


def test_a_policy_equal_to_the_reference_differs_by_exactly_nothing() -> None:
    log = made_up_log()
    policies = {"a": always(0, len(log)), "twin": always(0, len(log))}
    twin = league_table(log, policies, outcomes=["spend"], reference="a", seed=0).standing("twin", "spend")
    assert twin.difference is not None
    assert (twin.difference.lower, twin.difference.value, twin.difference.upper) == (0.0, 0.0, 0.0)
    assert twin.verdict == "no significant difference"


def test_without_effects_hardly_any_table_claims_one() -> None:
    claims = 0
    for seed in range(40):
        table = table_of(made_up_log(n=6_000, effect=0.0, seed=seed))
        claims += any(s.verdict in ("better", "worse") for s in table.standings)
    assert claims <= 6  # 5 % of 40 are expected; 7 or more have a chance of .4 %


@pytest.mark.data
def test_nothing_beats_the_mens_mail_for_everyone(hillstrom: LoggedFeedback) -> None:
    for salt in ("one", "two", "three"):
        train, test = hillstrom.split(0.5, salt=salt)
        arms = [train.reward[train.action == arm].mean() for arm in range(3)]
        best = int(np.argmax(arms))
        q = fit_predict(
            train.features.astype(np.float64),
            action=train.action,
            reward=train.reward,
            actions=3,
            predict=test.features.astype(np.float64),
        )
        policies = {f"always {name}": always(a, len(test)) for a, name in enumerate(hillstrom.actions.ids)}
        policies["personalised"] = np.eye(3)[q.argmax(axis=1)]
        reference = list(policies)[best]
        assert reference == "always Mens E-Mail"
        table = league_table(test, policies, outcomes=["visit", "spend"], reference=reference, seed=0)
        assert table.standing("personalised", "visit").verdict == "no significant difference"
        assert table.standing("personalised", "spend").verdict == "no significant difference"
        assert table.standing("always No E-Mail", "visit").verdict == "worse"
        assert table.standing("always Womens E-Mail", "visit").verdict == "worse"
        personal = table.standing("personalised", "visit")
        assert personal.difference is not None
        assert personal.difference.value > -0.01


def test_text_names_everything_a_reader_needs() -> None:
    text = league_text(table_of(made_up_log(), outcomes=("visit", "leaves"), lower=("leaves",)))
    for part in ("3,000 rounds of made up", "4 comparisons together", "leaves (lower is better)", "better", "ESS"):
        assert part in text
    blocks = text.split("\n\n")
    assert len(blocks) == 3
    assert max(len(line) for line in text.splitlines()) <= 140


def test_warnings_stand_below_their_outcome() -> None:
    text = league_text(table_of(made_up_log(n=60)))
    assert "  ! b: Only" in text


def test_parquet_and_frame_hold_every_number(tmp_path: Path) -> None:
    table = table_of(made_up_log(), outcomes=("visit", "spend"))
    table.write_parquet(tmp_path / "league.parquet")
    frame = pd.read_parquet(tmp_path / "league.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["league.parquet"]
    assert len(frame) == 6
    row = frame[(frame["policy"] == "b") & (frame["outcome"] == "visit")].iloc[0]
    standing = table.standing("b", "visit")
    assert row["value"] == row["snips_value"] == standing.snips.value
    assert row["dr_lower"] == standing.dr.lower
    assert row["verdict"] == "better"
    assert frame[frame["policy"] == "a"]["difference"].isna().all()


def test_the_plot_is_one_deterministic_svg_with_a_panel_per_outcome() -> None:
    table = table_of(made_up_log(), outcomes=("visit", "spend"))
    svg = league_svg(table)
    assert svg == league_svg(table)
    root = ET.fromstring(svg.split("?>", 1)[1].split(">", 1)[1])  # noqa: S314 - our own text
    text = " ".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
    for part in ("visit per round", "spend per round", "better", "reference", "no significant difference"):
        assert part in text
    assert "<dc:date>" not in svg
    assert len([node for node in root.iter() if node.get("id", "").startswith("axes_")]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "z"}, "unknown reference 'z'; the policies are: a"),
        ({"outcomes": []}, "no outcomes"),
        ({"outcomes": ["visit", "visit"]}, "named twice"),
        ({"lower_is_better": ["spend"]}, "lower_is_better names spend, not among: visit"),
    ],
)
def test_what_cannot_be_compared_is_refused(change: dict[str, object], message: str) -> None:
    log = made_up_log(n=60)
    arguments = {"outcomes": ["visit"], "reference": "a", "seed": 0} | change
    with pytest.raises(EvaluationError, match=message):
        league_table(log, {"a": always(0, 60)}, **arguments)


def test_unknown_outcomes_and_policies_are_named() -> None:
    table = table_of(made_up_log(n=60))
    with pytest.raises(EvaluationError, match="unknown outcome 'money'; the table has: visit"):
        table.of("money")
    with pytest.raises(EvaluationError, match="unknown policy 'z'"):
        table.standing("z", "visit")
    with pytest.raises(FeedbackError, match="unknown reward 'money'"):
        table_of(made_up_log(n=60), outcomes=("money",))


def test_a_distribution_of_the_wrong_size_names_its_policy() -> None:
    with pytest.raises(EvaluationError, match=r"policy 'a': .*\(59,\) to fit pi"):
        league_table(made_up_log(n=60), {"a": always(0, 59)}, outcomes=["visit"], reference="a", seed=0)


def test_a_policy_that_never_takes_a_logged_action_gets_no_value(tmp_path: Path) -> None:
    log = made_up_log(n=600)
    only_two = log.take(log.action != 2)
    policies = {"a": always(0, len(only_two)), "unseen": always(2, len(only_two)), "b": always(1, len(only_two))}
    table = league_table(
        only_two, policies, outcomes=["visit", "leaves"], reference="a", seed=0, lower_is_better=["leaves"]
    )
    for outcome in ("visit", "leaves"):
        unseen = table.standing("unseen", outcome)
        assert unseen.verdict == "not enough data"
        assert unseen.difference is None
        for estimate in (unseen.snips, unseen.ips, unseen.dm, unseen.dr):
            assert np.isnan([estimate.value, estimate.lower, estimate.upper, estimate.standard_error]).all()
        assert unseen.warnings
        # No value is no rank: last, whichever direction is good.
        assert table.of(outcome)[-1] is unseen
        assert np.isfinite(table.standing("b", outcome).snips.value)
    table.write_parquet(tmp_path / "league.parquet")
    frame = pd.read_parquet(tmp_path / "league.parquet")
    assert frame[frame["policy"] == "unseen"]["value"].isna().all()
    assert "unseen" in league_text(table)
    assert "unseen" in league_svg(table)
    assert "nothing can be said" in headline(table, "unseen")
    with pytest.raises(EvaluationError, match="the reference 'unseen' was never logged here"):
        league_table(only_two, policies, outcomes=["visit"], reference="unseen", seed=0)


def test_costs_of_unanswered_actions_are_no_evidence() -> None:
    """Net of costs every contact has a reward, so counting those would make a silent log look well supported."""
    log = made_up_log(n=3_000)
    few = np.flatnonzero(log.action == 1)[:20]
    gross = np.zeros(len(log))
    gross[few] = 500.0
    money = replace(
        log, actions=replace(log.actions, costs=(0.0, 0.1, 0.3)), reward=gross, reward_name=MONEY, outcomes={}
    )
    assert (money.net().reward != 0).sum() > 1_000
    assert money.net().answered.sum() == 20
    table = judge_policies(money, baselines(money), reference="fixed: a", seed=0)
    assert {s.verdict for s in table.standings if s.policy != "fixed: a"} == {"not enough data"}
    assert table.standing("fixed: b", table.outcomes[0]).snips.rewarded == 20
