"""Progress bars on a terminal, and nowhere else."""

from __future__ import annotations

import io

from rich.console import Console

from orchestrator.cli.progress import progress_bars
from simulator.cluster import RunProgress
from simulator.training import PhaseProgress


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
    assert "without critic" in shown(terminal=True)[0]
    assert shown(terminal=False)[0] == ""
