"""The card of a version in the registry: what it is worth, in one sentence first, and what it was made of."""

from __future__ import annotations

from policies.exploration.explorers import Explorer
from policies.vw.policy import VWPolicy
from simulator.comparison.comparison import HOLD, Comparison
from simulator.comparison.numbers import UNKNOWN, number
from simulator.training.plan import TrainingPlan
from simulator.training.training import REFERENCE, Iteration


def policy_card(found: Iteration, policy: VWPolicy, *, verdict: str, scenario: str, plan: TrainingPlan) -> str:
    """Markdown: what a version earned, against whom, what it learned from and how it explores.

    Args:
        found: the iteration that made it.
        policy: the version's.
        verdict: of the evaluation, in one sentence.
        scenario: name of the world.
        plan: of the training.
    """
    comparison = found.comparison
    units = f"{comparison.units} independent block{'' if comparison.units == 1 else 's'}"
    lines = [
        f"**{verdict}**",
        "",
        f"Journey policy for scenario `{scenario}`, after iteration {found.index} (counted from 0) of learning from "
        f"twin lives of {plan.customers:,} simulated customers each ({found.twins:,} pairs in the last). Evaluated on "
        f"{comparison.customers:,} simulated customers never learned from, {comparison.days} days, {units}; "
        "differences are paired.",
        "",
        f"| policy | margin per customer | {REFERENCE} minus it | 95 % interval | outcome | unsubscribes per 1,000 |",
        "|---|---:|---:|---|---|---:|",
        *(_row(comparison, name) for name in comparison.policies),
        "",
        *(f"- **{name}**: {value}" for name, value in learning_facts(policy, plan).items()),
        "",
        "Full evidence: `report.html` in the artifacts of the run this version comes from; curves over iterations in "
        "that of the run above it.",
    ]
    return "\n".join(lines) + "\n"


def learning_facts(policy: VWPolicy, plan: TrainingPlan) -> dict[str, str]:
    """How a policy explores, and what it was learned with."""
    explorer = policy.settings.explorer
    return {
        "exploration": _exploration(explorer),
        "learning rate": f"{policy.settings.learning_rate:g}, the best of "
        f"{', '.join(f'{rate:g}' for rate in plan.learning.rates)}",
        "the future": "counted by the critic, see critic.json" if plan.learning.critic else "not counted",
    }


def _exploration(explorer: Explorer) -> str:
    """Its kind with the numbers that count for that kind, and how much of the exploring is silence."""
    own = {
        "squarecb": f", gamma {explorer.gamma_scale:g} * t^{explorer.gamma_exponent:g}",
        "softmax": f", temperature {explorer.temperature:g}",
    }
    epsilon = f", epsilon {explorer.epsilon:g}" if explorer.epsilon or explorer.kind == "epsilon_greedy" else ""
    explores = explorer.kind in own or explorer.epsilon > 0
    hold = f", of which {explorer.hold:.0%} hold" if explores else ""
    return f"{explorer.kind}{own.get(explorer.kind, '')}{epsilon}{hold}"


def _row(comparison: Comparison, name: str) -> str:
    standing, money = comparison.standing(name), comparison.money
    difference = standing.difference
    cells = (
        comparison.label(name) if name != HOLD else f"{HOLD} (never contacts anyone)",
        money.plain(standing.margin.value),
        "" if difference is None else money.signed(difference.value),
        "" if difference is None else money.bounds(difference, sign=True).replace(UNKNOWN, "one block: none"),
        "" if difference is None else _OUTCOMES.get(comparison.outcome(name), comparison.outcome(name)),
        number(standing.unsubscribes.value, decimals=1),
    )
    return f"| {' | '.join(cells)} |"


_OUTCOMES = {"beaten": "beats it", "ahead": "loses to it"}
