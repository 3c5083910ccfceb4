"""User-steps per CPU-second of our simulated customers, against RecoGym and RecSim NG in the same run.

    python -m benchmarks.world_speed [--peers] [--rounds 3]

Without `--peers` only ours is measured. With it, each peer runs in a process and an environment of its own, made once
in `.peers/` from the versions pinned below (needs uv and Python 3.11, which uv finds or fetches). All take turns, one
thread each, so that a busy machine slows all alike, and each runs for a while before its clock starts, so that graphs
are compiled and memory is there. A user-step is a customer's day here, an event (a product view or a recommendation) in
RecoGym, a user in one step in RecSim NG.

Not every user-step of ours holds a decision: a customer's day has about half of one on average (customers are
considered for a contact every second day, and decided for again when they visit), while RecSim NG recommends to every
user in every step. So our decisions per CPU-second are compared with the peers' user-steps as well and printed beside:
that ratio is about half of the other, and nothing is required of it. Ours decides with a compiled Vowpal Wabbit policy
of interactions under epsilon-greedy exploration, keeps every decision with its features and writes them to Parquet
files, all in its CPU time; the peers keep and write nothing. Our customers' past, in which nothing is decided, is
neither timed nor counted.

Required: 50 times RecoGym, and 1.5 times RecSim NG's interest evolution, its example of users who change with what they
are shown and a recommender that remembers and scores each of them. Its latent variable model has neither catalogue nor
memory, and slates are drawn without looking at the user; it is shown for scale, nothing is required.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from threadpoolctl import threadpool_limits

from orchestrator.decision.core import DecisionCore
from policies.feedback import MONEY
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings
from simulator.rollout.log_files import save_log
from simulator.rollout.rollout import Block, Setting
from simulator.scenarios import load_scenario
from simulator.training.learning import SERVED

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".peers"
SCRIPTS = Path(__file__).parent / "peers"
PYTHON = "3.11"  # the newest that these versions of SciPy and TensorFlow have wheels for
CUSTOMERS, DAYS = 10_000, 30
SECONDS = 4.0  # CPU time of a round of ours, as of the peers'
LEARNED = 4_000  # random decisions that our policy has learned from

# Complete, so that nothing is resolved: RecoGym asks for jupyter, tensorflow and torch, which simulating never uses.
RECOGYM = """
    cloudpickle==1.6.0 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 future==1.0.0 gym==0.17.3 joblib==1.6.0
    kiwisolver==1.5.1 llvmlite==0.50.0 matplotlib==3.11.2 narwhals==2.29.0 numba==0.68.1 numpy==1.26.4 packaging==26.3
    pandas==3.0.6 pillow==13.0.0 pyglet==1.5.0 pyparsing==3.3.3 python-dateutil==4.0.0 pytz==2026.6 recogym==0.1.3.0
    scikit-learn==1.9.1 scipy==1.11.4 six==1.17.0 threadpoolctl==3.8.0 tqdm==4.70.1 tzdata==2026.6
"""
RECSIM_NG = """
    absl-py==2.5.1 astunparse==1.6.3 attrs==26.1.0 certifi==2026.10.18 cffi==2.1.1 charset-normalizer==3.5.2
    cloudpickle==1.6.0 contourpy==1.3.3 cryptography==50.0.2 cycler==0.12.1 decorator==5.3.1 dm-tree==0.1.10
    edward2==0.0.2 flatbuffers==25.12.19 fonttools==4.68.0 future==1.0.0 gast==0.7.0 gin-config==0.5.0
    google-auth==2.62.2 google-auth-oauthlib==1.5.0 google-pasta==0.2.0 grpcio==1.85.1 gym==0.17.3 h5py==3.16.0
    idna==3.20 jax==0.4.20 keras==2.15.0 kiwisolver==1.5.1 libclang==18.1.1 markdown==3.11.3 markupsafe==3.0.4
    matplotlib==3.11.2 ml-dtypes==0.3.2 numpy==1.26.4 oauthlib==4.0.1 opt-einsum==3.4.0 packaging==26.3 pillow==13.0.0
    protobuf==4.25.9 pyasn1==0.6.5 pyasn1-modules==0.4.2 pycparser==3.12 pyglet==1.5.0 pyparsing==3.3.3
    python-dateutil==4.0.0 recsim-ng==0.1.2 requests==2.34.2 requests-oauthlib==2.0.0 scipy==1.10.1 setuptools==84.2.1
    six==1.17.0 tensorboard==2.15.2 tensorboard-data-server==0.7.2 tensorflow==2.15.1 tensorflow-estimator==2.15.0
    tensorflow-io-gcs-filesystem==0.37.1 tensorflow-probability==0.23.0 termcolor==3.3.0 typing-extensions==4.16.0
    tzdata==2026.6 urllib3==2.8.0 werkzeug==3.1.9 wheel==0.48.0 wrapt==1.14.2
"""
BUILD = "setuptools==84.2.1"  # gym has no wheel


@dataclass(frozen=True)
class Peer:
    """A simulator to compare with.

    Attributes:
        name: what the table calls it.
        environment: folder of its environment in `.peers/`.
        pins: requirements of the environment, separated by white space.
        command: our script in `benchmarks/peers` and its arguments.
        required: how many times its rate ours has to be; None where nothing is.
    """

    name: str
    environment: str
    pins: str
    command: tuple[str, ...]
    required: float | None


@dataclass(frozen=True)
class Measurement:
    """What a simulator did in one round.

    Attributes:
        steps: user-steps.
        cpu_seconds: CPU time of the process, all threads.
        wall_seconds: time by the clock.
        version: of the simulator.
        what: what was simulated.
        decisions: among the steps; None where every step is counted as one.
    """

    steps: int
    cpu_seconds: float
    wall_seconds: float
    version: str
    what: str
    decisions: int | None = None

    @property
    def rate(self) -> float:
        """User-steps per CPU-second."""
        return self.steps / self.cpu_seconds

    @property
    def decision_rate(self) -> float:
        """Decisions per CPU-second."""
        return (self.steps if self.decisions is None else self.decisions) / self.cpu_seconds


PEERS = (
    Peer("RecoGym", "recogym", RECOGYM, ("measure_recogym.py",), 50.0),
    Peer(
        "RecSim NG, interest evolution",
        "recsim_ng",
        RECSIM_NG,
        ("measure_recsim_ng.py", "interest_evolution"),
        1.5,
    ),
    Peer(
        "RecSim NG, latent variable model",
        "recsim_ng",
        RECSIM_NG,
        ("measure_recsim_ng.py", "latent_variable_model"),
        None,
    ),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peers", action="store_true", help="also measure RecoGym and RecSim NG")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    peers = PEERS if given.peers else ()
    for peer in peers:
        make_environment(peer)
    ours: list[Measurement] = []
    theirs: dict[str, list[Measurement]] = {peer.name: [] for peer in peers}
    for _ in range(given.rounds):
        ours.append(measure_ours())
        for peer in peers:
            theirs[peer.name].append(measure(peer))
    report(ours, theirs)
    if not peers:
        print("only ours was measured; compare with RecoGym and RecSim NG: python -m benchmarks.world_speed --peers")
    if missed := list(misses(ours, theirs)):
        raise SystemExit("; ".join(missed))


def measure_ours() -> Measurement:
    """One round of our simulator: the same block lived through again and again."""
    customer_days, decisions, cpu_seconds, wall = rate(CUSTOMERS, DAYS)
    return Measurement(
        steps=customer_days,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall,
        version=version("journey-orchestrator"),
        what=f"{CUSTOMERS:,} customers, {DAYS} days, {decisions / customer_days:.2f} decisions a customer-day, logged",
        decisions=decisions,
    )


def rate(customers: int, days: int) -> tuple[int, int, float, float]:
    """Simulated customer-days, decisions among them, the CPU seconds and the seconds by the clock they took."""
    setting = Setting.of(load_scenario("baseline", configs=ROOT / "configs"))
    policy = learned_policy(setting.core)
    customer_days = decisions = 0
    with threadpool_limits(1), TemporaryDirectory() as folder:
        block = Block(setting, seed=0, block=0, customers=customers, days=days)
        live(block, policy, Path(folder))
        wall, cpu = time.perf_counter(), time.process_time()
        while time.process_time() - cpu < SECONDS:
            decisions += live(block, policy, Path(folder))
            customer_days += customers * days
        return customer_days, decisions, time.process_time() - cpu, time.perf_counter() - wall


def live(block: Block, policy: VWPolicy, folder: Path) -> int:
    """One life of the block with its log written; the number of decisions."""
    result, log = block.live(policy, log=True)
    if log:
        core = block.setting.core
        save_log(log, folder / "log", actions=core.actions.ids, columns=core.columns)
    return int(result.actions.sum())


def learned_policy(core: DecisionCore) -> VWPolicy:
    """A policy as one that is served, but for what it has learned, which is noise."""
    space = FeatureSpace.of_customer(core.columns, interactions=("PA",), constant=False)
    settings = VWSettings(space=space, explorer=SERVED, reward_name=MONEY, importance="none", learning_rate=0.02)
    policy, random = VWPolicy(settings, core.actions), np.random.default_rng(0)
    shape, count = (LEARNED, len(core.columns)), len(core.actions)
    policy.learn_rows(
        (random.random(shape) * (random.random(shape) < 0.3)).astype(np.float32),
        eligible=np.full(LEARNED, count),
        action=random.integers(0, count, LEARNED),
        propensity=np.full(LEARNED, 1 / count),
        reward=random.standard_normal(LEARNED),
    )
    return policy


def measure(peer: Peer) -> Measurement:
    """One round of a peer, in a process of its environment."""
    script, *options = peer.command
    quiet = {
        "CUDA_VISIBLE_DEVICES": "-1",
        "MPLCONFIGDIR": str(CACHE / "matplotlib"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = run([str(python_of(peer)), str(SCRIPTS / script), *options], {**os.environ, **quiet})
    return Measurement(**json.loads(done.splitlines()[-1]))


def make_environment(peer: Peer) -> None:
    """The environment of a peer; one of the same pins is used again."""
    folder = CACHE / peer.environment
    pins = "\n".join(peer.pins.split())
    made_of = folder / "pins.txt"  # written last, so an interrupted installation starts over
    if made_of.exists() and made_of.read_text() == pins:
        return
    started = time.perf_counter()
    CACHE.mkdir(exist_ok=True)
    requirements, build = CACHE / f"{peer.environment}.txt", CACHE / "build.txt"
    requirements.write_text(pins)
    build.write_text(BUILD)
    uv = find_uv()
    run([uv, "venv", "--quiet", "--clear", "--python", PYTHON, str(folder)])
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--build-constraints", str(build)]
    run([*install, "--python", str(python_of(peer)), "--requirements", str(requirements)])
    made_of.write_text(pins)
    print(f"made {folder.relative_to(ROOT)} in {time.perf_counter() - started:.0f} s", flush=True)


def find_uv() -> str:
    uv = shutil.which("uv") or shutil.which("uv", path=ROOT / ".uv" / "bin")
    if uv is None:
        raise SystemExit("--peers makes environments with uv, which is not on the PATH: pip install uv")
    return uv


def python_of(peer: Peer) -> Path:
    return CACHE / peer.environment / "bin" / "python"


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """What a command prints; stops with the end of its complaint when it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def report(ours: list[Measurement], theirs: dict[str, list[Measurement]]) -> None:
    heads = ("version", "steps/CPU s", "decisions/CPU s", "CPU/wall", "ours/peer", "our decisions/peer")
    widths = (8, 12, 16, 8, 9, 18)
    print(f"{'medians of ' + str(len(ours)):34} " + " ".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True)))
    for name, rounds in {"this project": ours, **theirs}.items():
        share = statistics.median(m.cpu_seconds / m.wall_seconds for m in rounds)
        decided = "" if name in theirs else f"{median_decision_rate(ours):,.0f}"
        by_step, by_decision = "", ""
        if name in theirs:
            by_step = f"{median_rate(ours) / median_rate(rounds):.2f}"
            by_decision = f"{median_decision_rate(ours) / median_rate(rounds):.2f}"
        cells = (rounds[0].version, f"{median_rate(rounds):,.0f}", decided, f"{share:.2f}", by_step, by_decision)
        print(f"{name:34} " + " ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
        print(f"    {rounds[0].what}; {min(m.rate for m in rounds):,.0f} to {max(m.rate for m in rounds):,.0f}")


def misses(ours: list[Measurement], theirs: dict[str, list[Measurement]]) -> Iterator[str]:
    """One sentence for every requirement that is not met."""
    for peer in PEERS:
        if peer.required is None or peer.name not in theirs:
            continue
        ratio = median_rate(ours) / median_rate(theirs[peer.name])
        if not ratio >= peer.required:
            yield f"ours is {ratio:.2f} times as fast as {peer.name}; required {peer.required:g}"


def median_decision_rate(rounds: list[Measurement]) -> float:
    return statistics.median(m.decision_rate for m in rounds)


def median_rate(rounds: list[Measurement]) -> float:
    return statistics.median(m.rate for m in rounds)


if __name__ == "__main__":
    main()
