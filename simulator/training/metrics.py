"""An iteration of a training as numbers for curves."""

from __future__ import annotations

from math import isfinite

from policies.learning.critic import Critic
from simulator.comparison.comparison import HOLD
from simulator.training.training import REFERENCE, Iteration
from simulator.world.channels import CHANNELS

_SLOPES = ("pressure", "burden", "value")
Metrics = dict[str, float]


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
    for action, numbers in critic_content(found.critic).items():
        metrics |= {f"critic {name}/{action}": value for name, value in numbers.items()}
    metrics |= {f"seconds/{phase}": value for phase, value in found.seconds.items()}
    metrics["seconds/rest share"] = found.rest_share
    metrics["twins/pairs"] = float(found.twins)
    return {name: value for name, value in metrics.items() if isfinite(value)}


def critic_content(critic: Critic) -> dict[str, dict[str, float]]:
    """Coefficients per contact."""
    return {
        action: {"base": float(critic.base[a]), **dict(zip(_SLOPES, map(float, critic.slopes[a]), strict=True))}
        for a, action in enumerate(critic.actions.ids)
        if a > 0
    }
