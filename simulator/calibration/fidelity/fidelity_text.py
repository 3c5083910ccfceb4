"""A fidelity report as plain text for the terminal."""

from __future__ import annotations

from textwrap import wrap

from simulator.calibration.fidelity.fidelity import Fidelity, Row

WIDTH = 110
HEADER = ("moment", "real", "se", "simulated", "se of it", "difference", "tolerance", "verdict")
# Verdicts on a moment.
OK, OUT, NOISE_PERHAPS = "ok", "OUT", "OUT?"


def fidelity_text(fidelity: Fidelity) -> str:
    """The table of moments, what is not compared, and the verdict."""
    cells = [HEADER, *(row_cells(row) for row in fidelity.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in {0, len(HEADER) - 1} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines += ["", f"se: standard error. {NOISE_PERHAPS}: out, but within two standard errors of the simulated moment."]
    lines += [
        "fidelity.yaml says why each tolerance is what it is, and why "
        f"{len(fidelity.not_compared)} real moments have nothing to compare with."
    ]
    return "\n".join([*lines, *wrap(verdict(fidelity), WIDTH, break_on_hyphens=False)]) + "\n"


def verdict(fidelity: Fidelity) -> str:
    """What came out, and whether more customers are needed to tell."""
    failed = fidelity.out_of_tolerance
    if not failed:
        return f"All {len(fidelity.rows)} moments are within their tolerances."
    names = ", ".join(row.name for row in failed)
    are = "is" if len(failed) == 1 else "are"
    said = f"{len(failed)} of {len(fidelity.rows)} moments {are} out of tolerance: {names}."
    if none := [row.name for row in fidelity.not_numbers]:
        said += f" There is no number for {', '.join(none)}: nobody simulated did what is measured there."
    close = fidelity.too_close_to_tell
    if not close:
        if len(none) == len(failed):
            return said
        others = "Each" if not none else "Each of the others"
        return f"{said} {others} is off by more than two standard errors beyond it, which is more than noise."
    which = (
        "All of it lies"
        if len(close) == len(failed)
        else f"Of these, {', '.join(row.name for row in close)} lie{'s' if len(close) == 1 else ''}"
    )
    return (
        f"{said} {which} within two standard errors of the tolerance, where {fidelity.customers:,} simulated customers "
        f"are too few to tell; give --customers {fidelity.customers_to_tell}."
    )


def row_cells(row: Row) -> tuple[str, ...]:
    """What a table shows of a moment."""
    numbers = (
        row.real,
        row.real_error,
        row.simulated,
        row.simulated_error,
        row.simulated - row.real,
        row.tolerance,
    )
    digits = 4 if abs(row.real) < 10 else 2
    shown = [f"{number:.{digits}f}" for number in numbers]
    return (row.name, *shown, OK if row.passes else NOISE_PERHAPS if row.may_be_noise else OUT)
