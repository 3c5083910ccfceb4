"""Time and memory of simulated populations against their size, on two Ray workers.

    python -m benchmarks.simulation_scaling [--sizes 10000 100000 1000000] [--workers 2]
    python -m benchmarks.simulation_scaling --speedup

One policy, 30 days. Memory is the resident size of this process and everything it started (Ray's own processes, and
workers), summed every tenth of a second; pages they share count once for each, so it is an upper bound. Required: a
million customers within 16 GB. These times include starting Ray and stopping it, which one worker does without.

`--speedup` lets 200,000 customers live by one Ray worker and by two, in turns, in sessions of Ray that have started
and have had work already: two are to be 1.7 times as fast. Only a machine with two idle cores can show that: a pair
during which others used more than a tenth of the machine does not count, and is done again a few times. One worker
without Ray is told beside. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.world_speed import learned_policy
from policies.vw.policy import VWPolicy
from simulator.rollout.rollout import Setting
from simulator.runs.cluster import run
from simulator.runs.ray_session import session
from simulator.scenarios import Scenario, load_scenario

SIZES, DAYS, WORKERS = (10_000, 100_000), 30, 2
LARGEST, MEMORY_LIMIT = 1_000_000, 16e9
COMPARED, SPEEDUP = 200_000, 1.7
PAIRS, TRIES = 3, 12
WARMING = 200  # customers per block that get the workers of a session to import everything
BLOCK_OF_SMALL = 5_000  # customers per block of the smallest size, so that both workers have one
IDLE = 0.1  # share of the machine that others may use where a speed-up is measured
_EVERY = 0.1
_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of all its processes.
        peak: bytes.
        others: share of the machine's processor time used by processes that are not ours.
    """

    seconds: float
    cpu_seconds: float
    peak: int
    others: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    arguments.add_argument("--workers", type=int, default=WORKERS)
    arguments.add_argument("--speedup", action="store_true", help="two Ray workers against one, instead of sizes")
    given = arguments.parse_args()
    scenario = load_scenario("baseline", configs=Path(__file__).parents[1] / "configs")
    policy = learned_policy(Setting.of(scenario).core)
    missed = list(slow(scenario, policy) if given.speedup else large(scenario, policy, given.sizes, given.workers))
    if missed:
        raise SystemExit("; ".join(missed))


def large(scenario: Scenario, policy: VWPolicy, sizes: list[int], workers: int) -> Iterator[str]:
    """Measure every size; one sentence for each that took too much memory."""
    for customers in sorted(sizes):
        cost = measured(scenario, policy, customers, workers=workers)
        report(f"{customers:>9,} customers, {workers} workers", customers, cost)
        if customers >= LARGEST and cost.peak > MEMORY_LIMIT:
            yield f"{customers:,} customers took {cost.peak / 1e9:.1f} GB, at most {MEMORY_LIMIT / 1e9:.0f}"


def measured(scenario: Scenario, policy: VWPolicy, customers: int, *, workers: int) -> Cost:
    """Let a population live and watch what that takes."""
    watch, machine = Watch(), Machine()
    started = time.perf_counter()
    block_size = BLOCK_OF_SMALL if customers <= min(SIZES) else min(SIZES)
    with threadpool_limits(1), watch:
        run(scenario, {"policy": policy}, seeds=[0], customers=customers, days=DAYS, workers=workers,
            block_size=block_size)  # fmt: skip
    seconds = time.perf_counter() - started
    return Cost(seconds, watch.cpu_seconds, watch.peak, machine.used_by_others(watch.cpu_seconds))


def report(what: str, customers: int, cost: Cost) -> None:
    rate = customers * DAYS / cost.seconds
    print(
        f"{what}: {cost.seconds:6.1f} s, {cost.cpu_seconds:6.1f} CPU s, "
        f"{rate:9,.0f} customer-days/s, peak {cost.peak / 1e9:5.2f} GB; others used {cost.others:.0%} of the machine",
        flush=True,
    )


def slow(scenario: Scenario, policy: VWPolicy) -> Iterator[str]:
    """Measure the speed-up; one sentence if it is not enough on a machine idle enough to tell."""
    report("one worker, no Ray ", COMPARED, measured(scenario, policy, COMPARED, workers=1))
    ratios: list[float] = []
    for _ in range(TRIES):
        costs: list[Cost] = []
        for workers in (1, WORKERS):
            # A session that is there already is used as it is, so it is the session that has one worker or two.
            with session(workers=workers, address=None):
                run(scenario, {"policy": policy}, seeds=[1], customers=WARMING * workers, days=2, workers=WORKERS,
                    block_size=WARMING)  # fmt: skip
                costs.append(measured(scenario, policy, COMPARED, workers=WORKERS))
            report(f"{workers} Ray worker{'s' * (workers > 1)}", COMPARED, costs[-1])
        if max(cost.others for cost in costs) <= IDLE:
            ratios.append(costs[0].seconds / costs[1].seconds)
        if len(ratios) == PAIRS:
            break
    else:
        print("the machine was too busy with other work to tell the speed-up; run it again when it is not")
        return
    ratio = statistics.median(ratios)
    print(f"{WORKERS} Ray workers are {ratio:.2f} times as fast as one, median of {PAIRS} (at least {SPEEDUP})")
    if ratio < SPEEDUP:
        yield f"{WORKERS} Ray workers are {ratio:.2f} times as fast as one, required {SPEEDUP}"


class Watch:
    """Looks at this process and all it started, until left.

    Attributes:
        peak: largest resident size of all together, bytes.
        cpu_seconds: of all together since entered, those that have ended meanwhile included.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._ticks: dict[int, int] = {}
        self._before = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    @property
    def cpu_seconds(self) -> float:
        """Since entered, until the last look."""
        return (sum(self._ticks.values()) - self._before) / _TICKS

    def __enter__(self) -> Watch:
        self._look()
        self._before = sum(self._ticks.values())
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _look_on(self) -> None:
        while not self._over.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        seen = family(os.getpid())
        self.peak = max(self.peak, sum(size for size, _ in seen.values()))
        self._ticks.update({process: ticks for process, (_, ticks) in seen.items()})


def family(root: int) -> dict[int, tuple[int, int]]:
    """Resident bytes and processor ticks of a process and all its descendants, by process id."""
    parents: dict[int, int] = {}
    costs: dict[int, tuple[int, int]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # What follows the name, which may hold spaces: state, parent; user and system time; resident pages.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        process = int(folder.name)
        parents[process] = int(fields[1])
        costs[process] = int(fields[21]) * _PAGE, int(fields[11]) + int(fields[12])
    found = {root}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return {process: costs[process] for process in found if process in costs}


class Machine:
    """Processor time of the whole machine since it was made."""

    def __init__(self) -> None:
        self._busy, self._all = self._now()

    def used_by_others(self, ours: float) -> float:
        """Share of all processor time that neither was idle nor went to our `ours` seconds."""
        busy, every = (now - then for now, then in zip(self._now(), (self._busy, self._all), strict=True))
        return max(0.0, busy - ours) / every if every else 0.0

    def _now(self) -> tuple[float, float]:
        first = Path("/proc/stat").read_text().splitlines()[0]
        ticks = [int(field) for field in first.split()[1:9]]  # the rest is contained in these
        idle = ticks[3] + ticks[4]
        return (sum(ticks) - idle) / _TICKS, sum(ticks) / _TICKS


if __name__ == "__main__":
    main()
