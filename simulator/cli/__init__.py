"""The simulator's commands of `journey`, found by it as entry points of `journey.commands`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec


def commands() -> Mapping[str, Callable[..., None]]:
    """Commands by name; none where what they need (`journey-orchestrator[simulate]`) is not installed."""
    if not (find_spec("ray") and find_spec("gymnasium")):
        return {}
    from simulator.cli.ablating import ablate_command
    from simulator.cli.calibrating import calibrate_command, fidelity_command
    from simulator.cli.comparing import compare_command
    from simulator.cli.demonstrating import demo_command
    from simulator.cli.simulating import scenarios_command, simulate_command
    from simulator.cli.training import train_command

    return {
        "train": train_command,
        "scenarios": scenarios_command,
        "simulate": simulate_command,
        "compare": compare_command,
        "ablate": ablate_command,
        "calibrate": calibrate_command,
        "fidelity": fidelity_command,
        "demo": demo_command,
    }
