"""A fidelity report as plain text for the terminal."""

from __future__ import annotations

from simulator.calibration.fidelity import Fidelity, Row

_HEADER = ("moment", "real", "se", "simulated", "difference", "tolerance", "verdict")


def fidelity_text(fidelity: Fidelity) -> str:
    """The table of moments, what is not compared, and the verdict."""
    cells = [_HEADER, *(row_cells(row) for row in fidelity.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEADER))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in {0, len(_HEADER) - 1} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines += ["", f"{len(fidelity.not_compared)} real moments have nothing to compare with; fidelity.yaml says why."]
    return "\n".join([*lines, verdict(fidelity)]) + "\n"


def verdict(fidelity: Fidelity) -> str:
    """One sentence."""
    failed = fidelity.out_of_tolerance
    if not failed:
        return f"All {len(fidelity.rows)} moments are within their tolerances."
    names = ", ".join(row.name for row in failed)
    return f"{len(failed)} of {len(fidelity.rows)} moments are out of tolerance: {names}."


def row_cells(row: Row) -> tuple[str, ...]:
    """What a table shows of a moment."""
    numbers = (row.real, row.real_error, row.simulated, row.simulated - row.real, row.tolerance)
    digits = 4 if abs(row.real) < 10 else 2
    shown = [f"{number:.{digits}f}" for number in numbers]
    return (row.name, *shown, "ok" if row.passes else "OUT")
