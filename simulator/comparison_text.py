"""A comparison as plain text for the terminal, up to 120 characters wide."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from simulator.comparison import CHANNELS, HOLD, Comparison, SegmentStanding, Standing
from simulator.comparison_numbers import bounds, number

WIDTH = 110


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
        "Margin per customer, 95 % intervals; differences are paired",
        *_margin_lines(comparison),
        "",
        "What customers lived through: per customer over all days; unsub: unsubscribes per 1,000 customers, with the",
        f"interval of {comparison.reference} minus it; shares in percent",
        *_living_lines(comparison),
        "",
        f"Who gains and who loses: margin per customer, {comparison.reference} minus the best other policy and {HOLD}",
        *_segment_lines(comparison),
    ]
    return "\n".join(lines) + "\n"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _margin_lines(comparison: Comparison) -> list[str]:
    header = ["policy", "margin", "95 % interval", f"{comparison.reference} minus it", "95 % interval", "%", "outcome"]
    return _aligned([header, *(_margin_row(comparison, s) for s in comparison.standings)], text={0, 6})


def _margin_row(comparison: Comparison, standing: Standing) -> list[str]:
    money, difference = comparison.money, standing.difference
    return [
        standing.policy,
        money.plain(standing.margin.value),
        money.bounds(standing.margin),
        "" if difference is None else money.signed(difference.value),
        "" if difference is None else money.bounds(difference, sign=True),
        "" if difference is None else number(standing.relative, decimals=1, sign=True),
        comparison.outcome(standing.policy),
    ]


def _living_lines(comparison: Comparison) -> list[str]:
    header = ["policy", "bought", "wants", *CHANNELS, "unsub", "95 % interval", "reach", "stay", "off", "cost", "held"]
    return _aligned([[*header, "nats"], *(_living_row(comparison, s) for s in comparison.standings)], text={0})


def _living_row(comparison: Comparison, standing: Standing) -> list[str]:
    money, difference = comparison.money, standing.unsubscribes_difference
    return [
        standing.policy,
        number(standing.purchases, decimals=2),
        number(standing.wants_met, decimals=2),
        *(number(float(contacts), decimals=2) for contacts in standing.contacts),
        number(standing.unsubscribes.value, decimals=1),
        "" if difference is None else bounds(difference, decimals=1, sign=True),
        number(100.0 * standing.reachable, decimals=1),
        number(100.0 * standing.retention, decimals=1),
        money.plain(standing.discount),
        money.plain(standing.contact_cost),
        number(100.0 * standing.hold_share, decimals=1),
        number(standing.entropy, decimals=2),
    ]


def _segment_lines(comparison: Comparison) -> list[str]:
    header = ["segment", "customers", "best other", "difference", "95 % interval", f"to {HOLD}", "95 % interval"]
    return _aligned([header, *(_segment_row(comparison, s) for s in comparison.segments)], text={0, 2})


def _segment_row(comparison: Comparison, segment: SegmentStanding) -> list[str]:
    money, best, hold = comparison.money, segment.against_best, segment.against_hold
    return [
        segment.segment,
        f"{segment.customers:,}",
        segment.best_other,
        money.signed(best.value),
        money.bounds(best, sign=True),
        "" if hold is None else money.signed(hold.value),
        "" if hold is None else money.bounds(hold, sign=True),
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
