"""The evidence for a policy trained in simulation as one HTML page: its comparison, and how learning went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jinja2
from markupsafe import Markup

from policies.vw.policy import VWPolicy
from simulator.comparison.comparison import HOLD
from simulator.comparison.numbers import number
from simulator.reports.comparison_figures import style
from simulator.reports.comparison_report import TEMPLATES, comparison_html, facts_of
from simulator.reports.training_card import learning_facts
from simulator.reports.training_figures import DRAWN, Step, training_figure
from simulator.runs.run_spec import RunSpec
from simulator.scenarios import Scenario
from simulator.training.plan import TrainingPlan
from simulator.training.training import REFERENCE, Iteration


def iteration_html(found: Iteration, *, scenario: Scenario, plan: TrainingPlan, model: str) -> str:
    """The comparison of an iteration's policies on customers held out, with the facts of the training."""
    title = f"{model}, iteration {found.index}: policies trained in simulation"
    return comparison_html(
        found.comparison, title=title, facts=_facts(found, scenario=scenario, plan=plan, model=model)
    )


def training_html(
    found: Iteration, steps: Sequence[Step], *, scenario: Scenario, plan: TrainingPlan, model: str
) -> str:
    """The page of a whole training: that of its last iteration, with curves over all of them.

    Args:
        found: the last iteration.
        steps: all iterations, in order.
        scenario: the world.
        plan: of the training.
        model: registered model.
    """
    return comparison_html(
        found.comparison,
        title=f"{model}: training in scenario {scenario.name}, after iteration {found.index}",
        facts=_facts(found, scenario=scenario, plan=plan, model=model),
        section=_curves(steps),
    )


def _facts(found: Iteration, *, scenario: Scenario, plan: TrainingPlan, model: str) -> Mapping[str, str]:
    comparison = found.comparison
    spec = RunSpec.of(
        scenario,
        found.policies,
        customers=comparison.customers,
        days=comparison.days,
        block_size=plan.evaluation_block_size,
        logs=False,
    )
    policy = found.policies[REFERENCE]
    return {
        **facts_of(scenario, spec),
        "model": model,
        "iteration": f"{found.index}, counted from 0",
        "learned from": f"{found.twins:,} twin lives of {plan.customers:,} new customers over {plan.days} days in this "
        f"iteration; as many customers in each one before; seed {plan.seed}",
        **(learning_facts(policy, plan) if isinstance(policy, VWPolicy) else {}),
    }


def _curves(steps: Sequence[Step]) -> Markup:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    last = steps[-1].comparison
    page = environment.get_template("training.html.j2").render(
        figure=Markup(training_figure(steps)),  # noqa: S704 - our own drawing, with names we chose
        steps=steps,
        reference=REFERENCE,
        hold=HOLD,
        days=last.days,
        money=last.money,
        number=number,
        swatches={policy: style(last, policy) for policy in DRAWN},
    )
    return Markup(page)  # noqa: S704 - the template has escaped what it was given
