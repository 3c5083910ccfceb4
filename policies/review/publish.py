"""Put a trained policy and its evidence into the MLflow store, and register it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from policies.evaluation.league_plot import league_svg
from policies.evaluation.league_text import league_text
from policies.feedback import LoggedFeedback
from policies.learning.training import TrainingResult, TrainingSettings
from policies.policy import Policy, probabilities_on
from policies.registry.store import RegisteredPolicy, Store
from policies.registry.tracking import RunContent, Tracker
from policies.review.report import card_markdown, headline, report_html
from policies.vw.files import save_policy

_SHOWN_ACTIONS = 25


@dataclass(frozen=True)
class Published:
    """Where a policy went: its version, the alias it got, and its run."""

    policy: RegisteredPolicy
    alias: str
    run_id: str
    headline: str


def publish(
    result: TrainingResult, log: LoggedFeedback, settings: TrainingSettings, *, store: Store, model: str, name: str
) -> Published:
    """Log one MLflow run (parameters, data, curves, league table, report, policy) and register its policy.

    Args:
        result: of `train`.
        log: what it was trained and judged on.
        settings: of the training.
        store: MLflow store, created if needed.
        model: registered model.
        name: run name.
    """
    facts = _facts(result, log)
    says = headline(result.league, result.policy.name)
    tracker = Tracker(store)
    content = RunContent(
        name=name,
        description=f"{says}\n\n" + "\n".join(f"- **{k}**: {v}" for k, v in facts.items()),
        parameters=_parameters(result, log, settings),
        metrics=_metrics(result),
        tags={"reward": log.reward_name, "reference": result.reference, "verdict": _verdict(result)},
        dataset=log.source or "logged feedback",
        dataset_digest=_digest(log),
        dataset_source=log.source,
    )
    with tracker.run(content) as folder:
        save_policy(result.policy, folder / "policy")
        result.league.write_parquet(folder / "league.parquet")
        (folder / "league.txt").write_text(league_text(result.league))
        (folder / "league.svg").write_text(league_svg(result.league))
        report = report_html(
            result.league,
            title=f"Policy report: {name}",
            policy=result.policy.name,
            facts=facts,
            curve=result.curve,
            shares=action_shares(result.policy, log),
        )
        (folder / "report.html").write_text(report)
    card = card_markdown(result.league, policy=result.policy.name, facts=facts)
    tags = {"reward": log.reward_name, "verdict": _verdict(result)}
    registered, alias = tracker.register(artifact="policy", card=card, tags=tags, model=model)
    return Published(registered, alias, tracker.run_id, says)


def action_shares(policy: Policy, log: LoggedFeedback) -> list[tuple[str, float, float]]:
    """How often the policy would take each action on the log's customers, and how often the log did; largest first."""
    served = probabilities_on(policy, log).mean(axis=0)
    logged = np.bincount(log.action, minlength=len(log.actions)) / len(log)
    order = np.argsort(-served, kind="stable")[:_SHOWN_ACTIONS]
    return [(log.actions.ids[a], float(served[a]), float(logged[a])) for a in order]


def _verdict(result: TrainingResult) -> str:
    return result.league.standing(result.policy.name, result.league.outcomes[0]).verdict


def _facts(result: TrainingResult, log: LoggedFeedback) -> dict[str, str]:
    learned, judged = result.rows
    explorer = result.policy.settings.explorer
    return {
        "data": log.source,
        "reward": log.reward_name,
        "learned from": f"{learned:,} decisions",
        "judged on": f"{judged:,} decisions of other customers",
        "actions": f"{len(log.actions)}",
        "features": f"{len(log.columns)} columns, interactions {', '.join(result.policy.settings.space.interactions)}",
        "learning rate": f"{result.policy.settings.learning_rate:g}, chosen among "
        + ", ".join(f"{rate:g}" for rate in result.curve.rates),
        "exploration": f"{explorer.kind}, gamma {explorer.gamma_scale:.3g} * t^{explorer.gamma_exponent:g}, "
        f"epsilon {explorer.epsilon:g}",
        "Vowpal Wabbit": " ".join(result.policy.settings.vw_args()),
    }


def _parameters(result: TrainingResult, log: LoggedFeedback, settings: TrainingSettings) -> dict[str, str]:
    explorer = result.policy.settings.explorer
    return {
        "reward": log.reward_name,
        "split": f"{settings.split:g}",
        "seed": str(settings.seed),
        "interactions": ",".join(settings.interactions),
        "learning_rates": ",".join(f"{rate:g}" for rate in settings.learning_rates),
        "learning_rate": f"{result.policy.settings.learning_rate:g}",
        "explorer": explorer.kind,
        "gamma_scale": f"{explorer.gamma_scale:.4g}",
        "gamma_exponent": f"{explorer.gamma_exponent:g}",
        "epsilon": f"{explorer.epsilon:g}",
        "reward_scale": f"{result.policy.settings.reward_scale:g}",
        "actions": str(len(log.actions)),
        "columns": str(len(log.columns)),
        "rows": str(len(log)),
    }


def _metrics(result: TrainingResult) -> list[tuple[str, float, int]]:
    metrics = [
        (f"learning/squared_error.rate_{rate:g}", float(result.curve.loss[p, r]), step)
        for p, step in enumerate(result.curve.decisions)
        for r, rate in enumerate(result.curve.rates)
    ]
    for outcome in result.league.outcomes:
        for standing in result.league.of(outcome):
            metrics.append((f"value {outcome}/{_metric_name(standing.policy)}", standing.snips.value, 0))
    mine = result.league.standing(result.policy.name, result.league.outcomes[0])
    metrics += [
        ("evidence/lower", mine.snips.lower, 0),
        ("evidence/upper", mine.snips.upper, 0),
        ("evidence/effective_sample_size", mine.snips.effective_sample_size, 0),
    ]
    if mine.difference is not None:
        metrics += [
            ("evidence/difference", mine.difference.value, 0),
            ("evidence/difference_lower", mine.difference.lower, 0),
            ("evidence/difference_upper", mine.difference.upper, 0),
        ]
    return [metric for metric in metrics if np.isfinite(metric[1])]


def _metric_name(policy: str) -> str:
    """MLflow allows letters, digits and a few signs; `fixed: email.mens` becomes `fixed email.mens`."""
    return "".join(c for c in policy if c.isalnum() or c in "_-. ")


def _digest(log: LoggedFeedback) -> str:
    digest = hashlib.sha256()
    for array in (log.features, log.action, log.propensity, log.reward):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
