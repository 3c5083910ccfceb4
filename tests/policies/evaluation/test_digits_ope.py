from __future__ import annotations

import runpy
from pathlib import Path

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "digits_ope.py"


def test_digits_as_a_bandit_are_evaluated_as_well_as_published() -> None:
    """Six of the thirty runs that `python -m benchmarks.digits_ope` reports."""
    truths, errors = runpy.run_path(str(BENCHMARK))["relative_errors"](range(6))
    assert 0.85 < truths.mean() < 0.89
    assert errors["DR"].mean() <= 0.035
    assert errors["SNIPS"].mean() <= 0.04
    assert errors["IPS"].mean() <= 0.05
    assert errors["DR"].mean() < errors["DM"].mean()
