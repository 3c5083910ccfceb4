"""A comparison as plain text for the terminal, up to 120 characters wide."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from simulator.comparison.comparison import (
    FEW_CUSTOMERS,
    FEW_UNITS,
    FIXED,
    HOLD,
    Comparison,
    Outcome,
    SegmentStanding,
    Standing,
)
from simulator.comparison.numbers import bounds, number
from simulator.world.channels import CHANNELS, WORLD_CHANNELS

WIDTH = 110
CONTACTS = {channel.name: channel.contacts for channel in WORLD_CHANNELS}
# Of the reference, against the policy of a row.
OUTCOMES: dict[Outcome, str] = {"beaten": "beats it", "ahead": "loses to it"}
REST_ON = (
    "Customers are simulated: differences rest on the assumptions stated in the retailer's world.yaml and explained in "
    "docs/simulation.md."
)


def comparison_text(comparison: Comparison) -> str:
    """The verdict, the league table of margin, what customers lived through, and who gains and loses."""
    seeds = len(comparison.seeds)
    policies = len(comparison.policies)
    lines = [
        *wrap(comparison.verdict, WIDTH),
        *wrap(comparison.simultaneous_verdict, WIDTH),
        "",
        f"{policies} policies, each lived through by the same {comparison.customers:,} customers for "
        f"{comparison.days} days: {_count(seeds, 'seed')}, {_count(comparison.units, 'independent unit')}.",
        "",
        f"Margin, money per customer over {_count(comparison.days, 'day')}; 95 % intervals, differences are paired",
        *_margin_lines(comparison),
        *wrap(said_of_fixed(comparison), WIDTH),
        "",
        "What customers lived through, counts per customer over all days; unsubscribes per 1,000 customers, with the",
        f"95 % interval of {comparison.reference} minus it",
        *_living_lines(comparison),
        "",
        "How policies spoke: money per customer over all days; reachable: may be e-mailed on the last day; retained:",
        "still a customer then; held: decisions to say nothing; entropy: how much decisions vary, 0 is not at all",
        *_speaking_lines(comparison),
        "",
        f"Who gains and who loses: margin per customer, {comparison.reference} minus the best other policy there"
        f"{f', and minus {HOLD}' if _has_hold(comparison) else ''};",
        "the verdict is on the best other (tie: zero as shown; too few: below "
        f"{FEW_CUSTOMERS} customers or {FEW_UNITS} units)",
        *_segment_lines(comparison),
        "",
        *wrap(REST_ON, WIDTH),
    ]
    return "\n".join(lines) + "\n"


def said_of_fixed(comparison: Comparison) -> str:
    """Which action `fixed` always takes, and whether it is a rival of its own; empty if that is not to be said."""
    if FIXED not in comparison.policies or (label := comparison.label(FIXED)) == FIXED:
        return ""
    again = ", so it lives exactly as hold does and counts as no rival of its own"
    standing = comparison.standing(FIXED)
    doubled = not standing.is_rival and comparison.reference != FIXED
    return f"{label}{again if doubled else ', wherever that is eligible' if standing.only_action != HOLD else ''}."


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _margin_lines(comparison: Comparison) -> list[str]:
    reference = comparison.reference
    header = [
        "policy",
        "margin",
        "95 % interval",
        f"{reference} minus it",
        "95 % interval",
        "in %",
        f"{reference} against it",
    ]
    return _aligned([header, *(_margin_row(comparison, s) for s in comparison.standings)], text={0, 6})


def _margin_row(comparison: Comparison, standing: Standing) -> list[str]:
    money, difference = comparison.money, standing.difference
    outcome = comparison.outcome(standing.policy)
    return [
        standing.policy,
        money.plain(standing.margin.value),
        money.bounds(standing.margin),
        "" if difference is None else money.signed(difference.value),
        "" if difference is None else money.bounds(difference, sign=True),
        "" if difference is None else number(standing.relative, decimals=1, sign=True),
        OUTCOMES.get(outcome, outcome),
    ]


def _living_lines(comparison: Comparison) -> list[str]:
    contacts = (CONTACTS.get(channel, channel) for channel in CHANNELS)
    header = ["policy", "purchases", "wants met", *contacts, "unsubscribes / 1,000", "95 % interval"]
    return _aligned([header, *(_living_row(s) for s in comparison.standings)], text={0})


def _living_row(standing: Standing) -> list[str]:
    difference = standing.unsubscribes_difference
    return [
        standing.policy,
        number(standing.purchases, decimals=2),
        number(standing.wants_met, decimals=2),
        *(number(float(contacts), decimals=2) for contacts in standing.contacts),
        number(standing.unsubscribes.value, decimals=1),
        "" if difference is None else bounds(difference, decimals=1, sign=True),
    ]


def _speaking_lines(comparison: Comparison) -> list[str]:
    header = ["policy", "discounts", "contact cost", "reachable, %", "retained, %", "held, %", "entropy, nats"]
    return _aligned([header, *(_speaking_row(comparison, s) for s in comparison.standings)], text={0})


def _speaking_row(comparison: Comparison, standing: Standing) -> list[str]:
    money = comparison.money
    return [
        standing.policy,
        money.plain(standing.discount),
        money.plain(standing.contact_cost),
        number(100.0 * standing.reachable, decimals=1),
        number(100.0 * standing.retention, decimals=1),
        number(100.0 * standing.hold_share, decimals=1),
        number(standing.entropy, decimals=2),
    ]


def _segment_lines(comparison: Comparison) -> list[str]:
    to_hold = [f"to {HOLD}", "95 % interval"] if _has_hold(comparison) else []
    header = ["segment", "customers", "best other", "difference", "95 % interval", *to_hold, "verdict"]
    rows = [header, *(_segment_row(comparison, s) for s in comparison.segments)]
    return _aligned(rows, text={0, 2, len(header) - 1})


def _has_hold(comparison: Comparison) -> bool:
    return HOLD in comparison.policies and comparison.reference != HOLD


def _segment_row(comparison: Comparison, segment: SegmentStanding) -> list[str]:
    money, best, hold = comparison.money, segment.against_best, segment.against_hold
    return [
        segment.segment,
        f"{segment.customers:,}",
        segment.best_other,
        money.signed(best.value),
        money.bounds(best, sign=True),
        *([money.signed(hold.value), money.bounds(hold, sign=True)] if hold else []),
        comparison.fate(segment, best),
    ]


def _aligned(rows: Sequence[Sequence[str]], *, text: set[int]) -> list[str]:
    """Lines of a table; columns in `text` stand left, numbers right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i in text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
