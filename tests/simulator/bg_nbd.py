"""What the BG/NBD model expects, by the formulas of Fader, Hardie and Lee (2005)."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
from scipy.special import hyp2f1

from policies.arrays import Float64Array
from simulator.calibration.data.purchase_process import CustomerSummary, PurchaseProcess


def expected_repeats(process: PurchaseProcess, weeks: Float64Array) -> Float64Array:
    """Expected repeat orders of a new customer in the given weeks, same shape.

    Source: eq. (9) of the paper; it has no value at a = 1.
    """
    r, alpha, a, b = astuple(process)
    left = (alpha / (alpha + weeks)) ** r * hyp2f1(r, b, a + b - 1, weeks / (alpha + weeks))
    found: Float64Array = (a + b - 1) / (a - 1) * (1 - left)
    return found


def share_without_repeat(process: PurchaseProcess, weeks: Float64Array) -> Float64Array:
    """Chance that a new customer does not order again in the given weeks, same shape.

    Source: eq. (8) of the paper, with x = 0.
    """
    found: Float64Array = (process.alpha / (process.alpha + weeks)) ** process.r
    return found


def expected_later(process: PurchaseProcess, summary: CustomerSummary, *, weeks: float) -> Float64Array:
    """Expected orders of every customer in the weeks after the summary's, given the history, float64 (n,).

    Source: eq. (10) of the paper.
    """
    r, alpha, a, b = astuple(process)
    x, end = summary.repeats, alpha + summary.observed
    left = (end / (end + weeks)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, weeks / (end + weeks))
    odds_left = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * (end / (alpha + summary.last)) ** (r + x), 0.0)
    found: Float64Array = (a + b + x - 1) / (a - 1) * (1 - left) / (1 + odds_left)
    return found
