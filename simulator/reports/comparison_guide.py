"""How to read a comparison: what each policy does, what each column is in, and what the numbers rest on."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc

from policies.policy import Policy
from policies.vw.policy import VWPolicy
from simulator.comparison.comparison import FEW_CUSTOMERS, FEW_UNITS
from simulator.runs.line_up import NAMES, UserPolicy

POLICY_NOTES = {
    "hold": "Never contacts anyone: what customers are worth when left alone.",
    "random": "Any action that is eligible, each with the same chance.",
    "fixed": "The one action whose contacts brought most money within days, wherever it is eligible; else it holds.",
    "business_rules": "Per segment of recency, frequency and spend (27 of them), the action that brought most money "
    "within days: segmentation as retailers do it.",
    "click_greedy": "Learned: the action with the highest expected clicks.",
    "myopic": "Learned: the action with the highest expected money within days. What a contact costs or builds "
    "afterwards does not count.",
    "journey": "Learned: as myopic, plus what a contact does to the customer's later value through fatigue and "
    "goodwill, by a critic fitted to twin lives; a little exploration stays on.",
}
NOTHING_KNOWN = "A policy of your own; the first line of its class's docstring would stand here."
WORLD = (
    "Customers are simulated. How often they buy, what they spend and how they answer an e-mail is fitted to real data "
    "(journey fidelity shows how well). Goodwill, habituation and whatever an associate does are assumptions with a "
    "range that no data here can check: the retailer's world.yaml states every number, docs/simulation.md what was "
    "measured under them. A difference below is a difference in this world, not a forecast."
)
COLUMNS = {
    "margin": "money kept per customer over all days: margin of purchases and returns, less discounts and the cost of "
    "contacts",
    "95 % interval": "where the value is expected to lie; of a difference, paired: both policies met the same "
    "customers with the same random numbers",
    "%": "the difference as a share of the other policy's margin",
    "wants met": "purchases per customer that answered something the customer was looking for",
    "contacts": "e-mails, banners on the site and alerts to store associates per customer over all days",
    "unsubscribes": "per 1,000 customers over all days",
    "reachable": "percent of customers who may be e-mailed on the last day",
    "retained": "percent who are still customers on the last day, which only a simulation knows",
    "discount, contact cost": "money per customer over all days",
    "held": "percent of decisions to say nothing",
    "entropy": "how much a policy varies its decisions, in nats; 0 is not at all",
    "verdict on a segment": f"gains or loses: the whole interval is above or below zero; unclear: it holds zero; tie: "
    f"zero to the last decimal shown; too few: fewer than {FEW_CUSTOMERS} customers, or than {FEW_UNITS} "
    "independent units",
}


def notes_of(policies: Mapping[str, Policy]) -> dict[str, str]:
    """What a report says of each policy: ours by name, a user's by the first line of its class's docstring.

    Args:
        policies: by the name they have in the comparison.
    """
    return {name: _note(name, policy) for name, policy in policies.items()}


def note_of_name(name: str) -> str:
    """What is known of a policy by its name alone."""
    return POLICY_NOTES.get(name, NOTHING_KNOWN)


def _note(name: str, policy: Policy) -> str:
    if name not in NAMES:
        return _first_line(policy.policy if isinstance(policy, UserPolicy) else policy) or NOTHING_KNOWN
    if isinstance(policy, VWPolicy) and policy.progress.decisions:
        return f"{POLICY_NOTES[name]} Learned from {policy.progress.decisions:,} examples."
    return POLICY_NOTES[name]


def _first_line(policy: object) -> str:
    kind = type(policy)
    text = cleandoc(kind.__doc__ or "").partition("\n")[0].strip()
    return "" if text.startswith(f"{kind.__name__}(") else text  # what a dataclass writes itself is no description
