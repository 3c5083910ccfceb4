"""Errors of the simulator package.

SimulatorError
├── ScenarioError        a world or scenario file is wrong; names file, field and fix
├── CalibrationError     real data that is missing or damaged, or a model that does not fit it
└── ComparisonError      results of rollouts that cannot be compared, with the policy, seed and block at fault
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Anything this package refuses to do; the message says what was wrong, where, and the fix."""


class ScenarioError(SimulatorError):
    """A world or scenario file is wrong."""


class ComparisonError(SimulatorError):
    """Results that cannot be compared."""


class CalibrationError(SimulatorError):
    """Real data that is missing, damaged or of another shape, or a model that does not fit it."""
