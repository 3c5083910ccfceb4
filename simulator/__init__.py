"""The world customers live in: behaviour models to train and compare policies against.

Everything a user of the package needs is here; what stands deeper may change. Nothing is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.comparison.comparison import Comparison as Comparison
    from simulator.comparison.comparison import actions_of as actions_of
    from simulator.comparison.comparison import compare_results as compare_results
    from simulator.envs import JourneyEnv as JourneyEnv
    from simulator.envs import JourneyVectorEnv as JourneyVectorEnv
    from simulator.errors import SimulatorError as SimulatorError
    from simulator.exports import LogExport as LogExport
    from simulator.reports.comparison_text import comparison_text as comparison_text
    from simulator.rollout.log_files import load_log as load_log
    from simulator.rollout.rollout import Block as Block
    from simulator.rollout.rollout import Setting as Setting
    from simulator.runs.cluster import run as run
    from simulator.runs.line_up import line_up as line_up
    from simulator.scenarios import Scenario as Scenario
    from simulator.scenarios import load_scenario as load_scenario
    from simulator.scenarios import scenario_names as scenario_names
    from simulator.training.plan import TrainingPlan as TrainingPlan
    from simulator.training.training import train as train
    from simulator.world.results import BlockResult as BlockResult

_PLACES = {
    "simulator.comparison.comparison": (
        "Comparison",
        "actions_of",
        "compare_results",
    ),
    "simulator.envs": (
        "JourneyEnv",
        "JourneyVectorEnv",
    ),
    "simulator.errors": ("SimulatorError",),
    "simulator.exports": ("LogExport",),
    "simulator.reports.comparison_text": ("comparison_text",),
    "simulator.rollout.log_files": ("load_log",),
    "simulator.rollout.rollout": (
        "Block",
        "Setting",
    ),
    "simulator.runs.cluster": ("run",),
    "simulator.runs.line_up": ("line_up",),
    "simulator.scenarios": (
        "Scenario",
        "load_scenario",
        "scenario_names",
    ),
    "simulator.training.plan": ("TrainingPlan",),
    "simulator.training.training": ("train",),
    "simulator.world.results": ("BlockResult",),
}
__all__ = [
    "Block",
    "BlockResult",
    "Comparison",
    "JourneyEnv",
    "JourneyVectorEnv",
    "LogExport",
    "Scenario",
    "Setting",
    "SimulatorError",
    "TrainingPlan",
    "actions_of",
    "compare_results",
    "comparison_text",
    "line_up",
    "load_log",
    "load_scenario",
    "run",
    "scenario_names",
    "train",
]


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
