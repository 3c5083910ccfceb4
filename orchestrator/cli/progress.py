"""How far a simulation is, as bars on a terminal and lines elsewhere; and how it ends when it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

STOPPED = 130  # exit code after Ctrl-C, as shells have it
_UNITS = {"gather": "customer-days/s", "learn": "twins/s", "evaluate": "customer-days/s"}


class PhaseProgress(Protocol):
    """How far one phase of a training's iteration is."""

    @property
    def iteration(self) -> int:
        """Number of the iteration."""

    @property
    def name(self) -> str:
        """What the phase does."""

    @property
    def phase(self) -> str:
        """`gather`, `learn` or `evaluate`."""

    @property
    def done(self) -> int:
        """Units of the phase that are done."""

    @property
    def total(self) -> int:
        """Units of the phase."""


class RunProgress(Protocol):
    """How far a run of many blocks is."""

    @property
    def blocks(self) -> int:
        """Blocks that are finished."""

    @property
    def all_blocks(self) -> int:
        """Blocks of the run."""

    @property
    def customer_days(self) -> int:
        """Days of customers that are lived."""

    @property
    def all_customer_days(self) -> int:
        """Days of customers of the run."""


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
        name = f"{iteration}: {now.name}"
        self._show(iteration, now.phase, name, done=now.done, total=now.total, unit=_UNITS[now.phase])

    def blocks(self, now: RunProgress, *, about: str = "") -> None:
        """One bar for all blocks of a run; arguments as `phase`."""
        name = f"{about}block {now.blocks} of {now.all_blocks}"
        self._show(about, "blocks", name, done=now.customer_days, total=now.all_customer_days, unit="customer-days/s")

    def count(self, what: str, *, done: int, total: int) -> None:
        """One bar for things done one after the other."""
        self._show(what, what, what, done=done, total=total, unit=f"{what}/s")

    def steps(self, what: str, *, done: int, total: int) -> None:
        """As `count`, of things nobody prints a line about."""
        self.count(what, done=done, total=total)

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


class ProgressLines:
    """A line when a phase of a training, or a run, begins and one when it ends, for files and pipes.

    Args:
        say: writes a line.
        clock: seconds.
    """

    def __init__(self, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._began = 0.0
        self._under_way = ""
        self._tenth = -1

    def phase(self, now: PhaseProgress, *, about: str = "") -> None:
        """Arguments as `ProgressBars.phase`."""
        unit = _UNITS[now.phase].removesuffix("/s")
        self._tell(f"{about}iteration {now.iteration}: {now.name}", unit, done=now.done, total=now.total)

    def blocks(self, now: RunProgress, *, about: str = "") -> None:
        """Of all blocks of a run; arguments as `phase`."""
        what = f"{about}live through {now.all_blocks} block{'' if now.all_blocks == 1 else 's'}"
        self._tell(what, "customer-days", done=now.customer_days, total=now.all_customer_days)

    def _tell(self, name: str, unit: str, *, done: int, total: int) -> None:
        if total == 0:
            self._say(f"{name}: nothing left to do")
        elif not done:
            self._began, self._under_way = self._clock(), name
            self._say(f"{name}: {total:,} {unit} to go")
        elif done == total and name == self._under_way:
            seconds, self._under_way = self._clock() - self._began, ""
            self._say(f"{name}: done in {seconds:.1f} s")

    def count(self, what: str, *, done: int, total: int) -> None:
        """Nothing: whoever counts prints a line per thing."""

    def steps(self, what: str, *, done: int, total: int) -> None:
        """A line when things begin to be done one after the other, and at each tenth of them."""
        tenth = 10 * done // total if total else 10
        if tenth != self._tenth:
            self._tenth = tenth
            self._say(f"{what}: {done:,} of {total:,}")


@contextmanager
def progress_bars(console: Console) -> Iterator[ProgressBars | ProgressLines]:
    """Bars that are there as long as the block runs; lines on a console that is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    if not console.is_terminal:
        yield ProgressLines(lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        yield ProgressBars(shown)


@contextmanager
def stoppable(*, hint: str = "") -> Iterator[None]:
    """Ctrl-C ends the command with one line: what the simulator says is kept, and a hint of the command's own."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        typer.secho(f"stopped: {stopped}{hint}", fg="yellow", err=True)
        raise typer.Exit(STOPPED) from None
