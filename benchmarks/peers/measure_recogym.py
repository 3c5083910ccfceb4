"""Events per CPU-second of RecoGym's `reco-gym-v1` with its default settings and its own random recommendations.

Runs in an environment of its own, made by `benchmarks.world_speed`, and prints one line of JSON. An event is a row
that RecoGym's `generate_logs` would write: an organic product view or a recommendation. Writing them to a table is
not measured.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from types import ModuleType
from typing import Any

SEED = 0
WARM_UP_USERS = 20
SECONDS = 4.0


class Absent(ModuleType):
    """A package that is imported but never used: whatever is asked of it is an empty class."""

    def __getattr__(self, name: str) -> Any:
        """An empty class, or the submodule of that name."""
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (), {})


def main() -> None:
    environment = make_environment()
    for user in range(WARM_UP_USERS):  # compiles the click probabilities
        simulate(environment, user)
    environment.reset_random_seed()
    steps = users = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < SECONDS:
        steps += simulate(environment, users)
        users += 1
    measured = {
        "steps": steps,
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.perf_counter() - wall,
        "version": version("recogym"),
        "what": f"reco-gym-v1, {environment.config.num_products} products, random recommendations, {users} users",
    }
    print(json.dumps(measured))


def make_environment() -> Any:
    """The environment as its introduction makes it; torch, gigabytes that only its learning agents use, is left out."""
    absent = ("torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.sparse")
    sys.modules.update({name: Absent(name) for name in absent})
    import gym
    import recogym

    for name in absent:
        del sys.modules[name]
    environment = gym.make("reco-gym-v1")
    environment.init_gym({**recogym.env_1_args, "random_seed": SEED})
    return environment


def simulate(environment: Any, user: int) -> int:
    """Number of events of one user, from the first product view until the user leaves."""
    environment.reset(user)
    observation, reward, done, _ = environment.step(None)
    events = len(observation.sessions())
    left = False
    while not left:
        left = done  # one more recommendation is logged after a user has left
        _, observation, reward, done, _ = environment.step_offline(observation, reward, done)
        events += 1 + len(observation.sessions())
    return events


if __name__ == "__main__":
    main()
