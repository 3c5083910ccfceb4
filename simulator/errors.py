"""Errors of the simulator package.

SimulatorError
├── ScenarioError        a world or scenario file is wrong; names file, field and fix
├── CalibrationError     real data that is missing or damaged, or a model that does not fit it
├── LineUpError          policies of a comparison that are unknown, missing or made for another catalogue
├── LogError             decisions of a rollout on disk that are missing or damaged
├── RunError             a run of many blocks that cannot start, be resumed or be finished
└── ComparisonError      results of rollouts that cannot be compared, with the policy, seed and block at fault
"""

from __future__ import annotations

from orchestrator.errors import OrchestratorError


class SimulatorError(OrchestratorError):
    """Anything this package refuses to do; the message says what was wrong, where, and the fix."""


class ScenarioError(SimulatorError):
    """A world or scenario file is wrong."""


class ComparisonError(SimulatorError):
    """Results that cannot be compared."""


class CalibrationError(SimulatorError):
    """Real data that is missing, damaged or of another shape, or a model that does not fit it."""


class LineUpError(SimulatorError):
    """Policies of a comparison that are unknown, missing or made for another catalogue."""


class LogError(SimulatorError):
    """Decisions of a rollout on disk that are missing or damaged."""


class RunError(SimulatorError):
    """A run of many blocks that cannot start, be resumed or be finished."""
