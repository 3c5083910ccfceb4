"""Put a training in simulation into the MLflow store: a run with curves, one run and one version per iteration."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from policies.errors import RegistryError
from policies.registry.store import CHAMPION, RegisteredPolicy, Store
from policies.registry.tracking import PARENT_TAG, RunContent, Tracker
from policies.vw.files import save_policy
from policies.vw.policy import VWPolicy
from policies.whole_files import write_whole
from simulator.comparison.comparison import Comparison
from simulator.errors import RunError
from simulator.reports.comparison_text import comparison_text
from simulator.reports.training_card import policy_card
from simulator.reports.training_figures import Step
from simulator.reports.training_report import iteration_html, training_html
from simulator.runs.run_spec import scenario_digest
from simulator.scenarios import Scenario
from simulator.training.metrics import critic_content, iteration_metrics
from simulator.training.plan import TrainingPlan
from simulator.training.training import REFERENCE, Iteration
from simulator.training.verdict import compare_iterations, training_verdict

_log = logging.getLogger(__name__)
REPORT = "report.html"
_PUBLISHED = "published.json"


@dataclass(frozen=True)
class PublishedIteration:
    """Where an iteration went.

    Attributes:
        policy: its version.
        alias: what that became, `champion` or `challenger`.
        champion: the version the API serves now; none if its files are gone.
        verdict: what the evaluation says of it, in one sentence.
    """

    policy: RegisteredPolicy
    alias: str
    champion: RegisteredPolicy | None
    verdict: str


class TrainingPublisher:
    """Publishes iterations as they come, each once, even if the training is interrupted and continued.

    Args:
        scenario: trained for.
        plan: of the training.
        store: MLflow store, created if needed.
        model: registered model that gets a version per iteration.
        folder: of the training; remembers what is published.
    """

    def __init__(self, scenario: Scenario, plan: TrainingPlan, *, store: Store, model: str, folder: Path) -> None:
        self._scenario, self._plan, self._model = scenario, plan, model
        self._store, self._tracker = store, Tracker(store)
        self._path = folder / _PUBLISHED
        self._parent = ""
        self._versions: list[int] = []  # of the iterations published, in order
        self._iterations: list[Iteration] = []  # of this training, those of an earlier run included
        self._best = float("-inf")  # margin per customer of the best policy so far
        self._steps: list[Step] = []
        self._digest = scenario_digest(scenario)[:16]

    @property
    def run_id(self) -> str:
        """Id of the parent run; empty before `begin`."""
        return self._parent

    @contextmanager
    def open(self) -> Iterator[TrainingPublisher]:
        """Begin and publish inside this block; its end gives the parent run its report and closes it."""
        try:
            yield self
        except BaseException as error:
            if self._parent:
                stopped = isinstance(error, KeyboardInterrupt)
                self._close("KILLED" if stopped else "FAILED")
            raise
        if self._parent:
            self._close("FINISHED")

    def begin(self) -> None:
        """Open the parent run, or that of the training that is continued."""
        # What figures are drawn with takes half a second to load; once here, it is no part of an iteration.
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401

        if self._path.is_file():
            try:
                kept = json.loads(self._path.read_text())
                parent, store, versions = str(kept["run"]), str(kept["store"]), list(map(int, kept["versions"]))
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{self._path} is damaged ({error}); delete it, and all is published again") from error
            # In another store, or after the run was deleted, everything is published from the beginning.
            if store == self._store.uri and self._tracker.reopen(parent):
                self._parent, self._versions = parent, versions
                return
        content = self._content(
            name=f"train {self._scenario.name} {datetime.now(UTC):%Y-%m-%d %H:%M}",
            description=f"{self._scenario.file.description}\n\nSteps of the curves are iterations, each a run below "
            f"this one and a version of `{self._model}`.",
            metrics=[],
            tags={"kind": "training", "scenario": self._scenario.name},
            more={},
        )
        self._parent = self._tracker.open(content)
        self._remember([])

    def publish(self, found: Iteration) -> PublishedIteration | None:
        """Publish an iteration, which follows the one published last; none if it was published before."""
        self._best = max(self._best, *(standing.margin.value for standing in found.comparison.standings))
        if found.index < len(self._versions):
            self._note(found)
            return None
        verdict = training_verdict(found.comparison, self._earlier(found))
        metrics = iteration_metrics(found, best=self._best)
        steps = [(name, value, found.index) for name, value in metrics.items()]
        tags = {"kind": "training", "scenario": self._scenario.name}
        content = self._content(
            name=f"{self._model} iteration {found.index}",
            description=f"{verdict}\n\n{found.comparison.verdict}\n\nFull evidence: `{REPORT}` among the artifacts.",
            metrics=steps,
            tags={**tags, PARENT_TAG: self._parent},
            more={"iteration": str(found.index), "twins": str(found.twins)},
        )
        journey = found.policies[REFERENCE]
        assert isinstance(journey, VWPolicy)  # noqa: S101 - the learner learns no other kind
        with self._tracker.run(content) as folder:
            save_policy(journey, folder / "policy")
            (folder / "critic.json").write_text(json.dumps(critic_content(found.critic), indent=1) + "\n")
            (folder / "league.txt").write_text(comparison_text(found.comparison))
            report = iteration_html(found, scenario=self._scenario, plan=self._plan, model=self._model)
            (folder / REPORT).write_text(report, encoding="utf-8")
        registered, alias = self._tracker.register(
            artifact="policy",
            card=policy_card(found, journey, verdict=verdict, scenario=self._scenario.name, plan=self._plan),
            tags={**tags, "iteration": str(found.index)},
            model=self._model,
        )
        # Last, so that a curve never shows an iteration that has no version.
        self._tracker.log(self._parent, steps)
        self._remember([*self._versions, registered.version])
        self._note(found)
        return PublishedIteration(registered, alias, champion=self._champion(), verdict=verdict)

    def _earlier(self, found: Iteration) -> dict[str, Comparison]:
        """What the iteration can be compared with on its own customers: the one before it, and the champion."""
        champion = self._champion()
        compared: dict[str, Comparison] = {}
        for iteration, version in zip(self._iterations, self._versions, strict=False):
            is_champion = champion is not None and champion.version == version
            is_before = iteration.index == found.index - 1
            if is_champion or is_before:
                roles = [*(["the one before it"] if is_before else []), *(["champion"] if is_champion else [])]
                name = f"version {version} ({' and '.join(roles)})"
                compared[name] = compare_iterations(self._scenario, found, iteration)
        return compared

    def _champion(self) -> RegisteredPolicy | None:
        try:
            return self._store.alias(self._model, CHAMPION)
        except RegistryError:  # its files are gone, which is no reason to lose an iteration
            return None

    def _note(self, found: Iteration) -> None:
        """Keep what later iterations are compared with, and what the curves of the report need.

        Results are enough to compare with; policies, whose workspaces are large, are kept of the last iteration only.
        """
        self._iterations = [*(replace(earlier, policies={}) for earlier in self._iterations), found]
        self._steps.append(
            Step(
                index=found.index,
                comparison=found.comparison,
                loss=dict(found.loss),
                regret={s.policy: self._best - s.margin.value for s in found.comparison.standings},
                twins=found.twins,
                version=self._versions[found.index],
            )
        )

    def _close(self, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        # In the end and not after every iteration: only the last one's would be read.
        try:
            if self._steps:
                html = training_html(
                    self._iterations[-1], self._steps, scenario=self._scenario, plan=self._plan, model=self._model
                )
                self._tracker.attach(self._parent, REPORT, html)
        except BaseException as error:
            # Of a training that failed its own error is the news, not that its report could not be drawn either.
            if status == "FINISHED" or not isinstance(error, Exception):
                status = "FAILED"
                raise
            _log.warning("the report of run %s could not be written: %s", self._parent, error)
        finally:
            self._tracker.close(self._parent, status=status)

    def _remember(self, versions: list[int]) -> None:
        self._versions = versions
        content = {"run": self._parent, "store": self._store.uri, "versions": versions}
        write_whole(self._path, (json.dumps(content, indent=1) + "\n").encode())

    def _content(
        self,
        *,
        name: str,
        description: str,
        metrics: list[tuple[str, float, int]],
        tags: dict[str, str],
        more: dict[str, str],
    ) -> RunContent:
        plan = asdict(self._plan)
        del plan["iterations"]  # may grow when the training is continued
        learning = plan.pop("learning")
        explorer = learning.pop("explorer")
        parameters = {
            "scenario": self._scenario.name,
            **plan,
            **{f"learning.{name}": value for name, value in learning.items()},
            **{f"explorer.{name}": value for name, value in explorer.items()},
        }
        return RunContent(
            name=name,
            description=description,
            parameters={**{name: _text(value) for name, value in parameters.items()}, **more},
            metrics=metrics,
            tags=tags,
            dataset=f"scenario {self._scenario.name}",
            dataset_digest=self._digest,
            dataset_source=f"simulated: scenario {self._scenario.name}",
        )


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
