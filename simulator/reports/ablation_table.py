"""What ablations came to, as a line, a table and a file with everything needed to repeat them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from simulator.comparison.numbers import UNKNOWN
from simulator.comparison.paired_intervals import CONFIDENCE, MeanInterval
from simulator.runs.run_spec import RunSpec, scenario_digest
from simulator.scenarios import Scenario
from simulator.training.ablations import FULL, Ablated
from simulator.training.plan import TrainingPlan
from simulator.training.training import REFERENCE

OTHERS = ("hold", "myopic")
_ANOTHER_WORLD = "another world"
_HEAD = ("policy", "margin", f"{FULL} minus it", "more than hold", "more than myopic", "unsubscribes per 1,000")


@dataclass(frozen=True)
class AblationReport:
    """Ablations, and what repeats them.

    Attributes:
        found: one per ablation, the full policy first.
        scenario: they were made in.
        plan: of each training.
        spec: everything the results depend on, but for the seeds (`simulator.training.ablations.ablation_spec`).
        command: the command line.
    """

    found: tuple[Ablated, ...]
    scenario: Scenario
    plan: TrainingPlan
    spec: RunSpec
    command: str

    def markdown(self) -> str:
        """The table, how to read it, and how it was made."""
        facts = "\n".join(f"- {name}: {value}" for name, value in self.facts().items())
        return f"# What each part of the journey policy is worth\n\n{ablation_table(self.found)}\n\n{facts}\n"

    def json(self) -> str:
        """Everything: the whole spec with the seeds, and every number with its interval."""
        content = {
            "about": self.facts(),
            "spec": {**self.spec.content, "seeds": list(self.found[0].comparison.seeds)},
            "ablations": [ablation_record(one) for one in self.found],
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def facts(self) -> dict[str, str]:
        """How the ablations were made, name and value."""
        first, plan, compared = self.found[0].comparison, self.plan, self.spec.content["compared"]
        return {
            "command": f"`{self.command}`",
            "scenario": f"{self.scenario.name}: {self.scenario.file.description}",
            "scenario file": str(self.scenario.path),
            "scenario SHA-256": scenario_digest(self.scenario)[:16],
            "money": self.scenario.retailer.goals.currency,
            "each training": f"{plan.iterations} iterations with {plan.customers:,} new customers who live {plan.days} "
            f"days, seed {plan.seed}",
            "each comparison": f"{compared['customers']:,} customers per seed in blocks of {compared['block_size']:,}, "
            f"{first.days} days, seeds {', '.join(map(str, first.seeds))}: {first.units} independent units",
            "version": str(self.spec.content["version"]),
            "code SHA-256": str(self.spec.content["code"])[:16],
        }


def ablation_line(one: Ablated) -> str:
    """One line on what a policy earns, how much more than holding, and how much the full one earns beyond it."""
    margin, hold = one.comparison.standing(REFERENCE).margin, _minus(one, "hold")
    said = f"{one.ablation.label}: margin per customer {margin.value:.2f}, more than hold {_interval(hold)}"
    return f"{said}, {FULL} minus it {_interval(one.worth)}" if one.worth else said


def ablation_table(found: Sequence[Ablated]) -> str:
    """A Markdown table: what each policy earns, what the full one earns beyond it, and how to read that."""
    lines = [_row(_HEAD), "|---|" + "---:|" * (len(_HEAD) - 1), *(_row(_cells(one)) for one in found), ""]
    lines += [
        f"Margin is money per customer over all days. Brackets are paired {CONFIDENCE:.0%} intervals over independent "
        "populations, each for",
        f"itself. `{FULL} minus it` is what the part taken away is worth: both lived through the same customers with "
        "the same random",
        "numbers. `more than` is this policy minus `hold`, and minus the `myopic` policy of the same training.",
    ]
    if any(one.ablation.world for one in found):
        lines += [
            f"A row of `{_ANOTHER_WORLD}` has other customers: its margin and differences must not be held against "
            "those of other rows.",
        ]
    if warning := found[0].comparison.warning:
        lines += ["", warning]
    return "\n".join(lines)


def ablation_record(one: Ablated) -> dict[str, Any]:
    """All numbers of one ablation as plain JSON; null where a number does not exist."""
    journey = one.comparison.standing(REFERENCE)
    return {
        "name": one.ablation.name,
        "label": one.ablation.label,
        "world": dict(one.ablation.world),
        "customers": one.comparison.customers,
        "units": one.comparison.units,
        "margin": _numbers(journey.margin),
        "full_minus_it": _numbers(one.worth),
        **{f"more_than_{other}": _numbers(_minus(one, other)) for other in OTHERS},
        "unsubscribes_per_1000": _numbers(journey.unsubscribes),
    }


def _cells(one: Ablated) -> list[str]:
    journey = one.comparison.standing(REFERENCE)
    worth = _ANOTHER_WORLD if one.ablation.world else _interval(one.worth)
    return [
        one.ablation.label,
        f"{journey.margin.value:.2f}",
        worth,
        *(_interval(_minus(one, other)) for other in OTHERS),
        f"{journey.unsubscribes.value:.0f}",
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _minus(one: Ablated, other: str) -> MeanInterval | None:
    return one.comparison.standing(other).difference


def _interval(difference: MeanInterval | None) -> str:
    if difference is None:
        return ""
    bounds = [UNKNOWN if isnan(bound) else f"{bound:+.2f}" for bound in (difference.lower, difference.upper)]
    return f"{difference.value:+.2f} [{', '.join(bounds)}]"


def _numbers(interval: MeanInterval | None) -> Mapping[str, float | None] | None:
    if interval is None:
        return None
    named = {name: getattr(interval, name) for name in ("value", "lower", "upper", "standard_error")}
    return {name: None if isnan(number) else number for name, number in named.items()}
