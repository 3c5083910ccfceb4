"""What can go wrong in a simulation.

    SimulatorError
    ├── ScenarioError     a world or scenario file is wrong
    ├── ComparisonError   results cannot be compared
    └── ...
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Root of everything the simulator raises on purpose."""


class ScenarioError(SimulatorError):
    """A world or scenario file is wrong; the message names file, field and fix."""
