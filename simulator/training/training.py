"""Training in simulation: gather twin lives of new customers, learn from them, evaluate on others; again and again.

Everything is kept as it comes. Learning is deterministic, so a training is continued by learning from the kept twins
once more: nothing that has state is ever written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from threadpoolctl import threadpool_limits

from policies.learning.baselines import FixedPolicy, RandomPolicy
from policies.learning.critic import Critic
from policies.policy import Policy
from policies.vw.policy import VWPolicy
from policies.whole_files import write_whole
from simulator.comparison.comparison import Comparison, compare_in
from simulator.errors import RunError
from simulator.rollout.blocks import Unit
from simulator.rollout.counterfactual_pairs import CounterfactualPairs, live_pairs
from simulator.rollout.rollout import Block, Setting
from simulator.runs import cluster
from simulator.runs.cluster import RunProgress
from simulator.runs.pair_files import TwinFolder
from simulator.runs.run_folder import RunFolder
from simulator.runs.tasks import finished, shared_session
from simulator.scenarios import Scenario
from simulator.training.learning import Learner
from simulator.training.plan import TrainingPlan, check_days, training_spec
from simulator.world.results import BlockResult

Phase = Literal["gather", "learn", "evaluate"]
PHASES: tuple[Phase, ...] = ("gather", "learn", "evaluate")
LEARNED = ("click_greedy", "myopic", "journey")
REFERENCE = "journey"
# The first data: mostly silence, so that what a contact does is seen on customers who are not worn out.
FIRST_HOLD, LATER_HOLD = 0.9, 0.3
_ITERATION = "iteration.json"


@dataclass(frozen=True)
class PhaseProgress:
    """How far a phase of an iteration is.

    Attributes:
        iteration: from 0.
        phase: which.
        done: customer-days lived, or twins learned from.
        total: how many there will be.
        of: what it is done to, where a phase has several parts.
    """

    iteration: int
    phase: Phase
    done: int
    total: int
    of: str = ""

    @property
    def name(self) -> str:
        """Of the phase and its part."""
        return f"{self.phase} {self.of}".strip()


@dataclass(frozen=True)
class Iteration:
    """What one iteration came to.

    Attributes:
        index: from 0.
        policies: all but `hold` and `random`, by name, as they would be served.
        critic: as fitted.
        loss: progressive mean squared loss on the twins of this iteration, of each learner's best rate.
        comparison: of all policies on the customers held out; the reference is `journey`.
        results: of `journey` on those customers, who are the same in every iteration: iterations can be paired.
        twins: pairs of lives learned from.
        seconds: per phase, and `rest`: everything else since the iteration before, whose publication included.
        replayed: whether it was finished in an earlier run of this training.
    """

    index: int
    policies: Mapping[str, Policy]
    critic: Critic
    loss: Mapping[str, float]
    comparison: Comparison
    results: tuple[BlockResult, ...]
    twins: int
    seconds: Mapping[str, float]
    replayed: bool

    @property
    def rest_share(self) -> float:
        """Share of the time that was spent neither gathering, nor learning, nor evaluating."""
        return self.seconds["rest"] / max(sum(self.seconds.values()), 1e-9)


def train(
    scenario: Scenario,
    plan: TrainingPlan,
    *,
    folder: Path,
    resume: bool = False,
    start: VWPolicy | None = None,
    workers: int | None = None,
    address: str | None = None,
    progress: Callable[[PhaseProgress], None] = lambda now: None,  # noqa: ARG005
    on_start: Callable[[], None] = lambda: None,
    on_iteration: Callable[[Iteration], None] = lambda found: None,  # noqa: ARG005
) -> Iteration:
    """Train the journey policy and its rivals.

    Args:
        scenario: the world.
        plan: how much of what.
        folder: keeps twins and evaluations of every iteration.
        resume: continue a training in the folder; without it the folder must be empty.
        start: a policy whose weights the journey policy begins with.
        workers: cores to use; none for all of this machine. With one, and no address, Ray is not started.
        address: of a Ray cluster to join.
        progress: called while a phase goes on, in this process.
        on_start: called once everything is checked, before anything is timed.
        on_iteration: called after every iteration, those of an earlier run included.

    Returns:
        The last iteration.

    Raises:
        RunError: the folder holds another training, or one and `resume` is false; or a block cannot be finished; or
            the plan's days end before anything can be learned of what the scenario brings.
        PolicyError: `start` is over other features.
        KeyboardInterrupt: Ctrl-C; says how to continue.
    """
    check_days(scenario, plan)
    core = Setting.of(scenario).core
    learner = Learner(core.actions, core.columns, plan.learning, start=start)
    if not resume and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} holds something already; add --resume to continue it, or choose another folder")
    training = _Training(
        scenario,
        plan,
        folder=folder,
        start=start,
        learner=learner,
        workers=workers,
        address=address,
        progress=progress,
    )
    on_start()
    index, found = 0, None
    try:
        # One thread, so that learning rounds its sums alike wherever it is done.
        with threadpool_limits(1), shared_session(workers=workers, address=address):
            training.begin()
            for index in range(plan.iterations):
                found = training.iterate(index)
                on_iteration(found)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{index} of {plan.iterations} iterations are finished, and what iteration {index} got to is kept in "
            f"{folder}; run the same again with --resume to continue"
        ) from None
    assert found is not None  # noqa: S101 - a plan has an iteration or more
    return found


class _Training:
    """A training under way."""

    def __init__(
        self,
        scenario: Scenario,
        plan: TrainingPlan,
        *,
        folder: Path,
        start: VWPolicy | None,
        learner: Learner,
        workers: int | None,
        address: str | None,
        progress: Callable[[PhaseProgress], None],
    ) -> None:
        self.scenario, self.plan, self.folder = scenario, plan, folder
        self.learner = learner
        self.progress = progress
        self._workers, self._address = workers, address
        self._spec = training_spec(scenario, plan, start=start)
        RunFolder(folder, self._spec)  # refuses the folder of another training
        self._unchanged: list[BlockResult] = []
        self._since = time.perf_counter()

    def begin(self) -> None:
        """Start the clock; what it took to start Ray and the like is no part of the first iteration."""
        self._since = time.perf_counter()

    def iterate(self, index: int) -> Iteration:
        """One iteration; what is kept of it is not done again."""
        folder = self.folder / f"iteration-{index:03d}"
        watch = _Watch()
        with watch.of("gather"):
            twins = self._gather(index, folder / "twins")
        with watch.of("learn"):
            self.progress(PhaseProgress(index, "learn", 0, len(twins)))
            self.learner.learn(twins)
            self.progress(PhaseProgress(index, "learn", len(twins), len(twins)))
        policies = self.learner.policies()
        with watch.of("evaluate"):
            results = self._evaluate(index, folder / "evaluation", policies)
        comparison = compare_in(self.scenario, results, reference=REFERENCE)
        seconds, replayed = self._seconds(folder / _ITERATION, watch)
        return Iteration(
            index=index,
            policies=policies,
            critic=self.learner.critic,
            loss=dict(self.learner.loss),
            comparison=comparison,
            results=tuple(result for result in results if result.policy == REFERENCE),
            twins=len(twins),
            seconds=seconds,
            replayed=replayed,
        )

    def _gather(self, index: int, folder: Path) -> CounterfactualPairs:
        kept, units = TwinFolder(folder, self._spec), self.plan.units(index)
        found = {unit: twins for unit in units if (twins := kept.load(unit)) is not None}
        missing = [unit for unit in units if unit not in found]
        lived, total = 0, self.plan.days * sum(unit.customers for unit in missing)
        self.progress(PhaseProgress(index, "gather", lived, total))
        work = _Gathering(self.scenario, index * len(units), self._behaviours(index), self.plan.days)
        blocks = finished(_live_twins, work, missing, workers=self._workers, address=self._address)
        with closing(blocks) as done:
            for unit, twins in done:
                kept.save(unit, twins)
                found[unit] = twins
                lived += self.plan.days * unit.customers
                self.progress(PhaseProgress(index, "gather", lived, total))
        return CounterfactualPairs.concat([found[unit] for unit in units])

    def _behaviours(self, index: int) -> tuple[Policy, ...]:
        """Who decides while data is gathered, in turns."""
        random = RandomPolicy(self.learner.actions, self.learner.columns, hold=LATER_HOLD if index else FIRST_HOLD)
        return (random, *self.learner.gathering()) if index else (random,)

    def _evaluate(self, index: int, folder: Path, policies: Mapping[str, Policy]) -> list[BlockResult]:
        """Results on the customers held out; policies that never change live through them once."""
        actions, columns = self.learner.actions, self.learner.columns
        learned = {name: policies[name] for name in LEARNED}
        if not self._unchanged:
            unchanged: dict[str, Policy] = {
                "hold": FixedPolicy(actions, columns, actions.ids[0]),
                "random": RandomPolicy(actions, columns),
                **{name: policy for name, policy in policies.items() if name not in learned},
            }
            self._unchanged = self._live(index, unchanged, self.folder / "baselines", of="baselines")
        return [*self._unchanged, *self._live(index, learned, folder, of="learned policies")]

    def _live(self, index: int, policies: Mapping[str, Policy], folder: Path, *, of: str) -> list[BlockResult]:
        def tell(now: RunProgress) -> None:
            self.progress(PhaseProgress(index, "evaluate", now.customer_days, now.all_customer_days, of))

        return cluster.run(
            self.scenario,
            policies,
            seeds=[self.plan.evaluation_seed],
            of_training=True,
            customers=self.plan.evaluation_customers,
            days=self.plan.evaluation_days,
            block_size=self.plan.evaluation_block_size,
            folder=folder,
            progress=tell,
            workers=self._workers,
            address=self._address,
        )

    def _seconds(self, path: Path, watch: _Watch) -> tuple[dict[str, float], bool]:
        """How long it took, kept on disk as the sign that an iteration is finished; and whether it was there."""
        now = time.perf_counter()
        seconds = {**watch.seconds, "rest": now - self._since - sum(watch.seconds.values())}
        self._since = now
        if path.is_file():
            try:
                return {name: float(json.loads(path.read_text())["seconds"][name]) for name in seconds}, True
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{path} is damaged ({error}); delete it, and run again") from error
        write_whole(path, (json.dumps({"seconds": seconds}, indent=1) + "\n").encode())
        return seconds, False


@dataclass(frozen=True)
class _Gathering:
    """What all blocks of one gathering have in common."""

    scenario: Scenario
    turns: int  # taken in earlier iterations
    behaviours: tuple[Policy, ...]
    days: int

    def behaviour(self, unit: Unit) -> Policy:
        """Who decides in a block; turns go on over iterations, so that everybody has some whatever the blocks."""
        return self.behaviours[(self.turns + unit.block) % len(self.behaviours)]


def _live_twins(work: _Gathering, unit: Unit) -> CounterfactualPairs:
    block = Block(Setting.of(work.scenario), seed=unit.seed, block=unit.block, customers=unit.customers, days=work.days)
    return live_pairs(block, work.behaviour(unit))


class _Watch:
    """Seconds per phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, phase: Phase) -> Iterator[None]:
        """Time what happens in the block."""
        began = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - began
