"""Errors of the simulator package.

SimulatorError
├── ScenarioError        a world or scenario file is wrong; names file, field and fix
└── ComparisonError      results of rollouts that cannot be compared, with the policy, seed and block at fault
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Anything this package refuses to do; the message says what was wrong, where, and the fix."""


class ScenarioError(SimulatorError):
    """A world or scenario file is wrong."""


class ComparisonError(SimulatorError):
    """Results that cannot be compared."""
