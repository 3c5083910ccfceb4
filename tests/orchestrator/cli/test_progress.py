"""Progress bars on a terminal, and lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from orchestrator.cli.progress import ProgressBars, ProgressLines, progress_bars
from simulator.runs.cluster import RunProgress
from simulator.training.training import PhaseProgress


def shown(*, terminal: bool) -> tuple[str, list[str]]:
    """What a console got, and the last words of every moment."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    moments = []
    with progress_bars(console) as bars:
        for step in (
            lambda: bars.phase(PhaseProgress(0, "gather", 0, 50), about="without critic: "),
            lambda: bars.phase(PhaseProgress(0, "evaluate", 20, 50), about="without critic: "),
            lambda: bars.phase(PhaseProgress(1, "gather", 0, 50), about="without critic: "),
            lambda: bars.blocks(RunProgress(1, 4, 10, 40), about="without critic: "),
        ):
            step()
            if isinstance(bars, ProgressBars):
                moments.append("\n".join(task.description for task in bars._shown.tasks))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue(), moments


def test_bars_of_an_iteration_stand_together_until_the_next_begins() -> None:
    _, moments = shown(terminal=True)
    assert moments == [
        "without critic: iteration 0: gather",
        "without critic: iteration 0: gather\nwithout critic: iteration 0: evaluate",
        "without critic: iteration 1: gather",
        "without critic: block 1 of 4",
    ]


def test_only_a_terminal_gets_bars() -> None:
    assert "━" in shown(terminal=True)[0]
    assert "━" not in shown(terminal=False)[0]


def test_a_file_gets_a_line_when_a_phase_begins_and_one_when_it_ends() -> None:
    clock = iter([100.0, 112.34, 200.0, 203.0, 300.0, 304.0, 400.0, 401.5])
    said: list[str] = []
    lines = ProgressLines(said.append, clock=lambda: next(clock))
    for phase, total in (("gather", 5_000), ("learn", 70)):
        for done in (0, total // 2, total, total):
            lines.phase(PhaseProgress(1, phase, done, total), about="without critic: ")  # type: ignore[arg-type]
    lines.phase(PhaseProgress(2, "gather", 0, 0))
    for done in (0, 40):
        lines.phase(PhaseProgress(2, "evaluate", done, 40, "baselines"))
    for blocks, done in ((0, 0), (1, 10), (4, 40)):
        lines.blocks(RunProgress(blocks, 4, done, 40))
    assert said == [
        "without critic: iteration 1: gather: 5,000 customer-days to go",
        "without critic: iteration 1: gather: done in 12.3 s",
        "without critic: iteration 1: learn: 70 twins to go",
        "without critic: iteration 1: learn: done in 3.0 s",
        "iteration 2: gather: nothing left to do",
        "iteration 2: evaluate baselines: 40 customer-days to go",
        "iteration 2: evaluate baselines: done in 4.0 s",
        "live through 4 blocks: 40 customer-days to go",
        "live through 4 blocks: done in 1.5 s",
    ]
