"""Put a training in simulation into the MLflow store: a run with curves, one run and one version per iteration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import isfinite
from pathlib import Path

from policies.critic import Critic
from policies.policy_files import save_policy
from policies.registry.store import RegisteredPolicy, Store
from policies.registry.tracking import PARENT_TAG, RunContent, Tracker
from policies.vw_policy import VWPolicy
from policies.whole_files import write_whole
from simulator.comparison import CHANNELS, HOLD
from simulator.comparison_text import comparison_text
from simulator.errors import RunError
from simulator.paired_intervals import MeanInterval
from simulator.run_spec import scenario_digest
from simulator.scenarios import Scenario
from simulator.training import REFERENCE, Iteration
from simulator.training_plan import TrainingPlan

_PUBLISHED = "published.json"
_SLOPES = ("pressure", "burden", "value")
Metrics = dict[str, float]


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
        self._parent, self._done = "", 0
        self._best = float("-inf")  # margin per customer of the best policy so far
        self._digest = scenario_digest(scenario)[:16]

    @property
    def run_id(self) -> str:
        """Id of the parent run; empty before `begin`."""
        return self._parent

    @contextmanager
    def open(self) -> Iterator[TrainingPublisher]:
        """Begin and publish inside this block; its end closes the parent run."""
        try:
            yield self
        except BaseException as error:
            if self._parent:
                stopped = isinstance(error, KeyboardInterrupt)
                self._tracker.close(self._parent, status="KILLED" if stopped else "FAILED")
            raise
        if self._parent:
            self._tracker.close(self._parent)

    def begin(self) -> None:
        """Open the parent run, or that of the training that is continued."""
        if self._path.is_file():
            try:
                kept = json.loads(self._path.read_text())
                parent, store, done = str(kept["run"]), str(kept["store"]), int(kept["iterations"])
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{self._path} is damaged ({error}); delete it, and all is published again") from error
            # In another store, or after the run was deleted, everything is published from the beginning.
            if store == self._store.uri and self._tracker.reopen(parent):
                self._parent, self._done = parent, done
                return
        content = self._content(
            name=f"train {self._scenario.name}",
            description=f"{self._scenario.file.description}\n\nSteps of the curves are iterations, each a run below "
            f"this one and a version of `{self._model}`.",
            metrics=[],
            tags={"kind": "training", "scenario": self._scenario.name},
            more={},
        )
        self._parent = self._tracker.open(content)
        self._remember(0)

    def publish(self, found: Iteration) -> RegisteredPolicy | None:
        """Publish an iteration; none if it was published before."""
        self._best = max(self._best, *(standing.margin.value for standing in found.comparison.standings))
        if found.index < self._done:
            return None
        metrics = iteration_metrics(found, best=self._best)
        steps = [(name, value, found.index) for name, value in metrics.items()]
        tags = {"kind": "training", "scenario": self._scenario.name}
        content = self._content(
            name=f"iteration {found.index}",
            description=found.comparison.verdict,
            metrics=steps,
            tags={**tags, PARENT_TAG: self._parent},
            more={"iteration": str(found.index), "twins": str(found.twins)},
        )
        journey = found.policies[REFERENCE]
        assert isinstance(journey, VWPolicy)  # noqa: S101 - the learner learns no other kind
        with self._tracker.run(content) as folder:
            save_policy(journey, folder / "policy")
            (folder / "critic.json").write_text(json.dumps(_critic_content(found.critic), indent=1) + "\n")
            (folder / "league.txt").write_text(comparison_text(found.comparison))
        registered, _ = self._tracker.register(
            artifact="policy",
            card=policy_card(found, journey, scenario=self._scenario.name, plan=self._plan),
            tags={**tags, "iteration": str(found.index)},
            model=self._model,
        )
        # Last, so that a curve never shows an iteration that has no version.
        self._tracker.log(self._parent, steps)
        self._remember(found.index + 1)
        return registered

    def _remember(self, done: int) -> None:
        self._done = done
        content = {"run": self._parent, "store": self._store.uri, "iterations": done}
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


def iteration_metrics(found: Iteration, *, best: float) -> Metrics:
    """Numbers of an iteration; what stands before `/` is the section of charts.

    Args:
        found: the iteration.
        best: margin per customer of the best policy known so far.
    """
    metrics: Metrics = {}
    margins = {standing.policy: standing.margin.value for standing in found.comparison.standings}
    for standing in found.comparison.standings:
        policy = standing.policy
        metrics[f"margin/{policy}"] = standing.margin.value
        metrics[f"difference to hold/{policy}"] = standing.margin.value - margins[HOLD]
        metrics[f"regret/{policy}"] = best - standing.margin.value
        metrics[f"retention/{policy}"] = standing.retention
        metrics[f"unsubscribes per 1000/{policy}"] = standing.unsubscribes.value
        metrics[f"action entropy/{policy}"] = standing.entropy
        metrics[f"contacts/{policy}"] = float(standing.contacts.sum())
        for channel, contacts in zip(CHANNELS, standing.contacts, strict=True):
            metrics[f"contacts {channel}/{policy}"] = float(contacts)
        if standing.difference is not None:
            metrics[f"{REFERENCE} minus/{policy}"] = standing.difference.value
            metrics[f"{REFERENCE} minus lower/{policy}"] = standing.difference.lower
            metrics[f"{REFERENCE} minus upper/{policy}"] = standing.difference.upper
    metrics |= {f"loss/{name}": value for name, value in found.loss.items()}
    for action, numbers in _critic_content(found.critic).items():
        metrics |= {f"critic {name}/{action}": value for name, value in numbers.items()}
    metrics |= {f"seconds/{phase}": value for phase, value in found.seconds.items()}
    metrics["seconds/rest share"] = found.rest_share
    metrics["twins/pairs"] = float(found.twins)
    return {name: value for name, value in metrics.items() if isfinite(value)}


def policy_card(found: Iteration, policy: VWPolicy, *, scenario: str, plan: TrainingPlan) -> str:
    """Markdown: what a version is, what it earned, how it explores."""
    comparison, explorer = found.comparison, policy.settings.explorer
    lines = [
        f"**Journey policy for scenario `{scenario}`**, after iteration {found.index} of learning from twin lives of "
        f"{plan.customers:,} simulated customers each ({found.twins:,} pairs in the last).",
        "",
        f"Evaluated on {comparison.customers:,} simulated customers never learned from, {comparison.days} days, "
        f"{comparison.units} independent blocks; 95 % intervals, paired.",
        "",
        "| margin per customer | value | interval |",
        "|---|---:|---|",
        _row(REFERENCE, comparison.standing(REFERENCE).margin),
    ]
    for rival in (HOLD, "myopic"):
        difference = comparison.standing(rival).difference
        if difference is not None:
            lines.append(_row(f"{REFERENCE} minus {rival}", difference))
    exploring = f"epsilon {explorer.epsilon:g}" if explorer.kind == "epsilon_greedy" else explorer.kind
    lines += [
        "",
        f"- **exploration**: {explorer.kind}, {exploring}, of which {explorer.hold:.0%} hold",
        f"- **learning rate**: {policy.settings.learning_rate:g}, the best of "
        f"{', '.join(f'{rate:g}' for rate in plan.learning.rates)}",
        f"- **the future**: {'counted by the critic, see critic.json' if plan.learning.critic else 'not counted'}",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, interval: MeanInterval) -> str:
    bounds = f"[{interval.lower:.3f}, {interval.upper:.3f}]" if interval.units > 1 else "one block: none"
    return f"| {name} | {interval.value:.3f} | {bounds} |"


def _critic_content(critic: Critic) -> dict[str, dict[str, float]]:
    """Coefficients per contact."""
    return {
        action: {"base": float(critic.base[a]), **dict(zip(_SLOPES, map(float, critic.slopes[a]), strict=True))}
        for a, action in enumerate(critic.actions.ids)
        if a > 0
    }


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
