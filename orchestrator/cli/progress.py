"""How far a simulation is, on a terminal; and how it ends when it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from simulator.cluster import RunProgress
    from simulator.training import PhaseProgress

STOPPED = 130  # exit code after Ctrl-C, as shells have it
_UNITS = {"gather": "customer-days/s", "learn": "twins/s", "evaluate": "customer-days/s"}


class ProgressBars:
    """The bars of what is under way; those of the next training iteration or run take their place."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._under_way = ""
        self._tasks: dict[str, TaskID] = {}

    def phase(self, now: PhaseProgress, *, about: str = "") -> None:
        """One bar for each phase of a training's iteration.

        Args:
            now: how far it is.
            about: which training, written before the rest.
        """
        iteration = f"{about}iteration {now.iteration}"
        name = f"{iteration}: {now.phase}"
        self._show(iteration, now.phase, name, done=now.done, total=now.total, unit=_UNITS[now.phase])

    def blocks(self, now: RunProgress, *, about: str = "") -> None:
        """One bar for all blocks of a run; arguments as `phase`."""
        name = f"{about}block {now.blocks} of {now.all_blocks}"
        self._show(about, "blocks", name, done=now.customer_days, total=now.all_customer_days, unit="customer-days/s")

    def count(self, what: str, *, done: int, total: int) -> None:
        """One bar for things done one after the other."""
        self._show(what, what, what, done=done, total=total, unit=f"{what}/s")

    def _show(self, under_way: str, bar: str, name: str, *, done: int, total: int, unit: str) -> None:
        if under_way != self._under_way:
            for task in self._tasks.values():
                self._shown.remove_task(task)
            self._tasks.clear()
            self._under_way = under_way
        if bar not in self._tasks:
            self._tasks[bar] = self._shown.add_task("", total=None, speed="")
        task = self._tasks[bar]
        if not done:  # the clock starts with the work
            self._shown.reset(task, total=total or None, speed="")
        seconds = next(row.elapsed for row in self._shown.tasks if row.id == task) or 0.0
        speed = f"{done / seconds:,.0f} {unit}" if done and seconds else ""
        self._shown.update(task, description=name, completed=done, total=total or None, speed=speed)


@contextmanager
def progress_bars(console: Console) -> Iterator[ProgressBars]:
    """Bars that are there as long as the block runs; a console that is no terminal shows none."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    shown = Progress(*columns, console=console, transient=True)
    # Where nothing is shown, Rich would still end with an empty line.
    with shown if console.is_terminal else nullcontext():
        yield ProgressBars(shown)


@contextmanager
def stoppable(*, hint: str = "") -> Iterator[None]:
    """Ctrl-C ends the command with one line: what the simulator says is kept, and a hint of the command's own."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        typer.secho(f"stopped: {stopped}{hint}", fg="yellow", err=True)
        raise typer.Exit(STOPPED) from None
