"""Errors of the calibration.

CalibrationError    real data that is missing, damaged or of another shape, or a model that does not fit it
"""

from __future__ import annotations


class CalibrationError(Exception):
    """Calibration is refused; the message says which file or fit, what was wrong, and the fix."""
