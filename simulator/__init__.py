"""The world customers live in: behaviour models to train and compare policies against.

Everything a user of the package needs is here; what stands deeper may change. Nothing is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.comparison.comparison import (
        Comparison as Comparison,
        actions_of as actions_of,
        compare_results as compare_results,
    )
    from simulator.envs import JourneyEnv as JourneyEnv, JourneyVectorEnv as JourneyVectorEnv
    from simulator.errors import SimulatorError as SimulatorError
    from simulator.exports import LogExport as LogExport
    from simulator.reports.comparison_text import comparison_text as comparison_text
    from simulator.rollout.log_files import load_log as load_log
    from simulator.rollout.rollout import Block as Block, Setting as Setting
    from simulator.runs.cluster import run as run
    from simulator.runs.line_up import line_up as line_up
    from simulator.scenarios import (
        Scenario as Scenario,
        load_scenario as load_scenario,
        scenario_names as scenario_names,
    )
    from simulator.training.plan import TrainingPlan as TrainingPlan
    from simulator.training.training import train as train
    from simulator.world.results import BlockResult as BlockResult

_PLACES = {
    "simulator.comparison.comparison": "Comparison actions_of compare_results",
    "simulator.envs": "JourneyEnv JourneyVectorEnv",
    "simulator.errors": "SimulatorError",
    "simulator.exports": "LogExport",
    "simulator.reports.comparison_text": "comparison_text",
    "simulator.rollout.log_files": "load_log",
    "simulator.rollout.rollout": "Block Setting",
    "simulator.runs.cluster": "run",
    "simulator.runs.line_up": "line_up",
    "simulator.scenarios": "Scenario load_scenario scenario_names",
    "simulator.training.plan": "TrainingPlan",
    "simulator.training.training": "train",
    "simulator.world.results": "BlockResult",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}
# Constants, classes, the rest.
__all__ = sorted(_MODULES, key=lambda name: (not name.isupper(), name[0].islower(), name))  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
