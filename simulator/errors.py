"""Errors of the simulator package.

SimulatorError
└── ComparisonError      results of rollouts that cannot be compared, with the policy, seed and block at fault
"""


class SimulatorError(Exception):
    """Anything this package refuses to do; the message says what was wrong, where, and the fix."""


class ComparisonError(SimulatorError):
    """Results of rollouts cannot be compared."""
