"""What experiment groups are worth, measured now and then for `/metrics`, away from requests.

Measuring walks through the whole log. In a thread it would hold the interpreter lock that requests need, so it is done
by a process of its own, of low priority.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any

import structlog

from orchestrator.config import Goals
from orchestrator.errors import OrchestratorError

log = structlog.get_logger(__name__)

# A service that has just started has other things to do.
_SETTLING = 30.0
_POLITE = 19
_LONGEST = 3600.0


@dataclass(frozen=True)
class GroupLift:
    """One group: customers whose time is over; money per customer above the reference, with bounds, where known."""

    group: str
    customers: int
    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class MeasuredLift:
    """All groups; `reference` is the one others are compared with."""

    reference: str
    groups: tuple[GroupLift, ...]


class LiftWatcher:
    """Measures every so often, on a thread that only waits.

    Args:
        database: URL.
        goals: what outcomes are worth.
        experiment: digest of the groups' salt and shares.
        window: seconds each customer is looked at.
        every: seconds between measurements; 0 for none.
        clock: seconds since 1970 UTC.
        tell: called with each measurement.
    """

    def __init__(
        self,
        *,
        database: str,
        goals: Goals,
        experiment: str,
        window: float,
        every: float,
        clock: Callable[[], float],
        tell: Callable[[MeasuredLift], None],
    ) -> None:
        # As goals.yaml would have it: durations with their unit.
        written = {
            **goals.model_dump(mode="json"),
            "windows": {name: f"{value:f} s" for name, value in goals.windows.items()},
        }
        self._question = {"database": database, "goals": written, "experiment": experiment, "window": window}
        self._every = every
        self._clock = clock
        self._tell = tell
        self._stop = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="lift-watcher", daemon=True)

    def start(self) -> None:
        """Begin, unless there is nothing to do."""
        if self._every:
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and the measurement if one is under way."""
        self._stop.set()
        if (process := self._process) is not None:
            process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait = min(self._every, _SETTLING)
        while not self._stop.wait(wait):
            wait = self._every
            self._measure()

    def _measure(self) -> None:
        question = json.dumps({**self._question, "now": self._clock(), "nice": _POLITE})
        try:
            said = self._asked(question)
        except (OSError, subprocess.SubprocessError) as error:
            said = json.dumps({"error": type(error).__name__})
        if self._stop.is_set():
            return
        try:
            found = json.loads(said or '{"error": "it ended without a word"}')
        except ValueError:
            found = {"error": "what it answered cannot be read"}
        if "error" in found:
            log.warning("lift not measured", reason=found["error"])
            return
        groups = tuple(GroupLift(**group) for group in found["groups"])
        self._tell(MeasuredLift(reference=found["reference"], groups=groups))

    def _asked(self, question: str) -> str:
        """What the other process answers; nothing if it was killed.

        Raises:
            OSError: it cannot be started.
            subprocess.SubprocessError: it takes too long.
        """
        command = [sys.executable, "-m", __name__]
        # By standard input: the database's URL may hold a password, and arguments can be read by everybody.
        with subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as self._process:
            if self._stop.is_set():
                self._process.kill()
            try:
                said, _ = self._process.communicate(question, timeout=_LONGEST)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise
        self._process = None
        return said


def main(read: IO[str], write: IO[str]) -> None:
    """Answer one question, or say why not."""
    question = json.load(read)
    os.nice(question["nice"])
    try:
        answer = _measured(question)
    except OrchestratorError as error:
        answer = {"error": str(error)}
    except Exception as error:  # whose message may hold what a row holds
        answer = {"error": type(error).__name__}
    json.dump(answer, write)


def _measured(question: dict[str, Any]) -> dict[str, Any]:
    from orchestrator.experiments.lift import measure_lift
    from orchestrator.storage.database import open_database

    engine = open_database(question["database"], create=False)
    goals = Goals.model_validate(question["goals"])
    found = measure_lift(
        engine, goals, experiment=question["experiment"], window=question["window"], now=question["now"]
    )
    engine.dispose()
    groups = []
    for group in found.groups:
        lift = group.lift
        bounds = (None, None, None) if lift is None else (lift.value[-1], lift.lower[-1], lift.upper[-1])
        value, lower, upper = (bound if bound is None else float(bound) for bound in bounds)
        groups.append(asdict(GroupLift(group.group, group.customers, value, lower, upper)))
    return {"reference": found.reference, "groups": groups}


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
