"""`journey train --scenario` end to end, in this process."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SIZES = ("--customers", 400, "--days", 85, "--block-size", 200, "--evaluate-customers", 160, "--evaluate-days", 6)
TRAIN = ("train", "--scenario", "baseline", *SIZES, "--workers", 1)


@pytest.mark.slow
def test_a_training_is_continued_started_from_and_compared(journey: Callable[..., Any]) -> None:
    first = journey(*TRAIN, "--iterations", 1)
    assert first.code == 0, first
    said = re.sub(r"\s+", " ", first.out)
    assert re.search(r"iteration 0: journey .* hold.* \[\S+, \S+\].* over 6 days.*160 customers held out", said)
    assert re.search(r"unsubscribes per 1,000: journey [\d.]+, .* rest [\d.]+, [\d.]+%", said)
    assert "registered journey-baseline/1 as champion" in said
    assert "`journey serve --model journey-baseline`" in said
    # Nothing here is a terminal: a line for the beginning and the end of every phase.
    for phase in ("gather", "learn", "evaluate baselines", "evaluate learned policies"):
        assert re.search(rf"^iteration 0: {phase}: [\d,]+ \S+ to go$", first.out, flags=re.MULTILINE)
        assert re.search(rf"^iteration 0: {phase}: done in [\d.]+ s$", first.out, flags=re.MULTILINE)
    again = journey(*TRAIN, "--iterations", 2)
    assert again.code == 2
    assert "data/training/baseline holds something already; add --resume" in again.err
    resumed = journey(*TRAIN, "--iterations", 2, "--resume")
    assert resumed.code == 0, resumed
    assert "published before" in resumed.out
    assert "iteration 0: gather: nothing left to do" in resumed.out
    assert "registered journey-baseline/2 as challenger; journey-baseline/1 stays champion" in resumed.out
    assert "`journey promote 2 --model journey-baseline`" in resumed.out
    other = journey(*TRAIN, "--iterations", 2, "--resume", "--seed", 1)
    assert other.code == 2
    assert "holds another run (seed: 0 there, 1 here)" in other.err
    warm = journey(*TRAIN, "--iterations", 1, "--out", "warm", "--warm-start", 2, "--line-up", "warm-line-up")
    assert warm.code == 0, warm
    assert "journey-baseline/3" in warm.out
    assert Path("warm-line-up/journey/policy.json").is_file()
    sizes = ("--seeds", 2, "--customers", 100, "--days", 4, "--workers", 1)
    compared = journey("compare", *sizes, "--policies", "hold,myopic,journey", "--out", "report")
    assert compared.code == 0, compared
    assert "look at it with `journey ui --model journey-baseline`" in compared.out
    report = Path("report/report.html").read_text()
    assert "journey is journey-baseline/2" in report
    assert re.search(r"by a critic fitted to twin lives.* Learned from [\d,]+ examples\.", report)


def test_help_says_what_champion_and_challenger_mean(journey: Callable[..., Any]) -> None:
    said = re.sub(r"\W+", " ", journey("train", "--help").out)
    assert "champion of a model is the version that journey serve model NAME serves" in said
    assert "challenger and serves nobody until a reviewer promotes it with journey promote VERSION" in said


def test_the_demos_help_says_what_it_does(journey: Callable[..., Any]) -> None:
    said = re.sub(r"\W+", " ", journey("demo", "--help").out)
    assert "compare seven policies" in said
    assert "champion whatever the comparison says" in said


@pytest.mark.slow
def test_ctrl_c_says_how_to_continue(journey: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import simulator.training.training

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(simulator.training.training, "live_pairs", interrupted)
        said = journey(*TRAIN, "--iterations", 1)
    assert said.code == 130
    assert "run the same again with --resume to continue" in said.err
    assert journey(*TRAIN, "--iterations", 1, "--resume").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "exactly one of --log"),
        (("--log", "x", "--scenario", "baseline"), "exactly one of --log"),
        (("--log", "x", "--evaluate-days", 5), "--evaluate-days belongs to --scenario"),
        (("--scenario", "baseline", "--reward", "visit"), "--reward belongs to --log"),
        (("--scenario", "basline"), "did you mean 'baseline'?"),
        (("--scenario", "baseline", "--days", 60), "days = 60"),
        (("--scenario", "baseline", "--warm-start", "7"), "no policy '7' of 'journey-baseline'"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    refused: Callable[..., str], arguments: tuple[object, ...], message: str
) -> None:
    assert message in refused("train", *arguments)
