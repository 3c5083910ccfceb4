"""A league table as plain text, 80 to 120 characters wide."""

from __future__ import annotations

from policies.evaluation.league import LeagueTable, Standing


def league_text(table: LeagueTable) -> str:
    """Text of the table: a block per outcome, the warnings below, each once."""
    lines = [f"{table.rounds:,} rounds" + (f" of {table.source}" if table.source else "")]
    lines.append(
        f"Value: SNIPS with 95 % interval. Difference: to {table.reference}, 95 % over {table.comparisons} "
        f"comparison{'s' if table.comparisons > 1 else ''} together."
    )
    for outcome in table.outcomes:
        direction = " (lower is better)" if outcome in table.lower_is_better else ""
        lines += ["", f"{outcome}{direction}", *_block(table.of(outcome))]
    return "\n".join(lines) + "\n"


def _block(standings: tuple[Standing, ...]) -> list[str]:
    header = ["policy", "value", "95 % interval", "difference", "simultaneous", "ESS", "max w", "DR", "verdict"]
    rows = [header, *(_row(standing) for standing in standings)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    text_columns = {0, len(header) - 1}
    lines = [
        "  ".join(
            cell.ljust(width) if i in text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    said = {(s.policy, warning) for s in standings for warning in s.warnings}
    return lines + [f"  ! {policy}: {warning}" for policy, warning in sorted(said)]


def _row(standing: Standing) -> list[str]:
    snips, difference = standing.snips, standing.difference
    return [
        standing.policy,
        f"{snips.value:.4g}",
        f"[{snips.lower:.4g}, {snips.upper:.4g}]",
        "" if difference is None else f"{difference.value:+.4g}",
        "" if difference is None else f"[{difference.lower:+.4g}, {difference.upper:+.4g}]",
        f"{snips.effective_sample_size:,.0f}",
        f"{snips.largest_weight:,.1f}",
        f"{standing.dr.value:.4g}",
        standing.verdict,
    ]
