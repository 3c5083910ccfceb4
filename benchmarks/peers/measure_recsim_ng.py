"""User-steps per CPU-second of a simulation that RecSim NG ships, compiled to a TensorFlow graph.

    measure_recsim_ng.py interest_evolution | latent_variable_model

Runs in an environment of its own, made by `benchmarks.world_speed`, and prints one line of JSON. One thread; tracing
and compiling are over before the clock starts. A step is one user in one step of the simulation.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import tensorflow as tf
from recsim_ng.applications.latent_variable_model_learning import simulation_config as latent_variable_model
from recsim_ng.applications.recsys_partially_observable_rl import simulation_config as interest_evolution
from recsim_ng.core.network import Network
from recsim_ng.lib.tensorflow.runtime import TFRuntime

USERS = 2_000
STEPS = 50
SECONDS = 4.0


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.random.set_seed(0)
    name = sys.argv[1]
    runtime = TFRuntime(network=Network(variables=list(variables(name))))
    runtime.execute(num_steps=STEPS)  # traces and compiles
    calls = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < SECONDS:
        runtime.execute(num_steps=STEPS)
        calls += 1
    measured = {
        "steps": calls * STEPS * USERS,
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.perf_counter() - wall,
        "version": version("recsim_ng"),
        "what": f"{name}, {USERS:,} users, {STEPS} steps a call, TensorFlow {tf.__version__}",
    }
    print(json.dumps(measured))


def variables(name: str) -> Iterable[Any]:
    if name == "interest_evolution":
        return interest_evolution.create_interest_evolution_simulation_network(num_users=USERS)[0]
    if name == "latent_variable_model":
        return latent_variable_model.create_latent_variable_model_network(num_users=USERS)
    sys.exit(f"unknown simulation {name!r}; known: interest_evolution, latent_variable_model")


if __name__ == "__main__":
    main()
