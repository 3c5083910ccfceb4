"""The simulated world as Gymnasium environments, one customer or thousands at a time.

    >>> import gymnasium
    >>> import simulator.envs
    >>> env = gymnasium.make("Journey-v0", scenario="baseline", days=10)
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample(info["action_mask"]))

Both environments are the same thing (`simulator.envs.episodes`): a step is one outbound decision about every customer,
the observation is the decision core's feature row of that moment, the reward is the money kept until the next one, and
the site and the store hold in between unless an inner policy is given. `JourneyEnv` is a block of one customer, so with
the same seed it equals `JourneyVectorEnv` with `num_envs=1`; a larger vector is a larger block, another population,
whose customers share their stores' associates. Customers who have left look like customers who do not buy, as in
life: an episode is never terminated, only truncated at the horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypedDict, Unpack

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from orchestrator.config import configs_dir
from orchestrator.errors import suggestion
from orchestrator.profiles.features import LARGEST
from policies.arrays import BoolArray, Float32Array, Float64Array
from policies.policy import Policy
from simulator.envs.episodes import Episode
from simulator.errors import ScenarioError
from simulator.rollout.rollout import Setting
from simulator.runs.line_up import line_up
from simulator.scenarios import load_scenario

OPTIONS = ("scenario", "days")  # of a reset
POLICIES = Path("data") / "policies"  # where `journey train --scenario` puts trained ones, by scenario
_SEEDS = 2**31
_PARTS = ("actions", "columns", "reward_name", "scores", "distribution")  # of a policy


class CourseOptions(TypedDict, total=False):
    """Options of both environments.

    Attributes:
        days: length of an episode; 180 if not given.
        configs: folder of all configurations; `JOURNEY_CONFIGS` or `configs` if not given.
        inner: policy that decides on the site and in the store, or its name as of `journey compare --policies`
            (`random`, a trained one, `module:Class`); none to hold there.
    """

    days: int
    configs: str | Path | None
    inner: Policy | str | None


@dataclass(frozen=True)
class _Course:
    """What an episode is made of, but for its seed.

    Attributes:
        name: of the scenario.
        configs: folder of all configurations.
        setting: of the scenario.
        days: length of an episode.
        customers: how many.
        inner: decides on the site and in the store; none to hold.
    """

    name: str
    configs: Path
    setting: Setting
    days: int
    customers: int
    inner: Policy | None

    @classmethod
    def of(
        cls,
        name: str,
        *,
        customers: int,
        days: int = 180,
        configs: str | Path | None = None,
        inner: Policy | str | None = None,
    ) -> _Course:
        folder = configs_dir() if configs is None else Path(configs)
        scenario = load_scenario(name, configs=folder)
        setting = Setting.of(scenario)
        found = None if inner is None else _inner_policy(inner, setting, scenario=scenario.name)
        return cls(name, folder, setting, _checked(days), customers, found)

    def begin(self, random: np.random.Generator, options: Mapping[str, Any] | None) -> tuple[_Course, Episode]:
        """An episode with a population of its own, and the course with the options of the reset, for the next one.

        Raises:
            ScenarioError: as `changed`.
        """
        course, seed = self.changed(options or {}), int(random.integers(_SEEDS))
        return course, Episode(
            course.setting, seed=seed, customers=course.customers, days=course.days, inner=course.inner
        )

    def changed(self, options: Mapping[str, Any]) -> _Course:
        """With the options of a reset.

        Raises:
            ScenarioError: an unknown option, or a scenario with other actions or features.
        """
        for option in options:
            if option not in OPTIONS:
                raise ScenarioError(f"reset option {option!r} is not known; {suggestion(option, OPTIONS)}")
        course = replace(self, days=_checked(options.get("days", self.days)))
        name = options.get("scenario", self.name)
        if name == self.name:
            return course
        setting = Setting.of(load_scenario(name, configs=self.configs))
        old, new = self.setting.core, setting.core
        if (old.actions.ids, old.columns) != (new.actions.ids, new.columns):
            raise ScenarioError(
                f"scenario {name}: other actions or features than {self.name}; make another environment"
            )
        return replace(course, name=name, setting=setting)

    def spaces(self) -> tuple[Any, Discrete]:
        """Of one customer's observations and actions."""
        core = self.setting.core
        return Box(0.0, LARGEST, (len(core.columns),), np.float32), Discrete(len(core.actions))


def _inner_policy(inner: Policy | str, setting: Setting, *, scenario: str) -> Policy:
    if isinstance(inner, str):
        (found,) = line_up([inner], core=setting.core, folder=POLICIES / scenario, scenario=scenario).values()
        return found
    if missing := [part for part in _PARTS if not hasattr(inner, part)]:
        raise ScenarioError(
            f"inner = {inner!r}: a {type(inner).__name__} has no {', '.join(missing)}. An inner policy decides on the "
            "site and in the store; give an object as of policies.policy.Policy, or a name such as 'random'"
        )
    setting.core.check(inner)
    return inner


def _checked(days: Any) -> int:
    if isinstance(days, bool) or not isinstance(days, int | np.integer) or days < 1:
        raise ScenarioError(f"days = {days!r}: give a whole number of days, at least 1")
    return int(days)


class JourneyEnv(gymnasium.Env[Float32Array, np.int64]):
    """One customer.

    `info` holds `action_mask` (int8 (A,), as `Discrete.sample` takes it), `refused` (the action was not eligible and
    `hold` was taken) and `day`. Options of `reset` are `scenario` and `days`; they stay until changed.

    Args:
        scenario: name of a scenario, or path of its file.
        render_mode: none there is.
        **options: see `CourseOptions`.

    Raises:
        ScenarioError: no such scenario, something in it is wrong, no such length, or what is no policy as `inner`.
        LineUpError: no inner policy of that name.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(
        self,
        scenario: str = "baseline",
        *,
        render_mode: str | None = None,
        **options: Unpack[CourseOptions],
    ) -> None:
        self.render_mode = render_mode
        self._course = _Course.of(scenario, customers=1, **options)
        self.observation_space, self.action_space = self._course.spaces()
        self._episode: Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Meet another customer; with a seed, the customer of that seed."""
        super().reset(seed=seed)
        self._course, self._episode = self._course.begin(self.np_random, options)
        return self._episode.features[0], _info(self._episode, refused=False)

    def step(self, action: np.int64) -> tuple[Float32Array, float, bool, bool, dict[str, Any]]:
        """Act, and live on to the next decision.

        Raises:
            ResetNeeded: before the first `reset`, or after the end.
            InvalidAction: no such action.
        """
        episode = self._episode
        if episode is None or episode.over:
            raise ResetNeeded("no decision is due; call reset() before the first step and after the end of an episode")
        if not self.action_space.contains(action):
            raise InvalidAction(f"action {action!r} is not in {self.action_space}")
        made = episode.step(np.array([action], dtype=np.int64))
        info = _info(episode, refused=bool(made.refused[0]))
        return episode.features[0], float(made.reward[0]), False, episode.over, info


def _info(episode: Episode, *, refused: bool) -> dict[str, Any]:
    return {"action_mask": episode.eligible[0].astype(np.int8), "refused": refused, "day": episode.day}


class JourneyVectorEnv(VectorEnv[Float32Array, NDArray[np.int64], NDArray[Any]]):
    """A block of customers, all decided for on the same days.

    `info` holds `action_mask` (int8 (n, A)), `refused` (bool (n,)) and `day` (int64 (n,)), each with Gymnasium's mask
    of who has it. All episodes end together; the step after the end ignores its actions and begins the next episodes
    with new customers (`AutoresetMode.NEXT_STEP`). Options of `reset` are as of `JourneyEnv`.

    What is eligible differs by customer, so sampling takes one mask each, as a tuple; a two-dimensional array is
    refused by Gymnasium's `MultiDiscrete.sample`.

        >>> import gymnasium
        >>> import simulator.envs
        >>> envs = gymnasium.make_vec("Journey-v0", num_envs=3, days=10, vectorization_mode="vector_entry_point")
        >>> observations, infos = envs.reset(seed=1)
        >>> actions = envs.action_space.sample(tuple(infos["action_mask"]))
        >>> observations, rewards, terminated, truncated, infos = envs.step(actions)
        >>> bool(infos["refused"].any())
        False

    Args:
        num_envs: how many customers.
        scenario: name of a scenario, or path of its file.
        render_mode: none there is.
        **options: see `CourseOptions`.

    Raises:
        ScenarioError: no such scenario, something in it is wrong, no such number, or what is no policy as `inner`.
        LineUpError: no inner policy of that name.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = "baseline",
        *,
        render_mode: str | None = None,
        **options: Unpack[CourseOptions],
    ) -> None:
        if num_envs < 1:
            raise ScenarioError(f"num_envs = {num_envs}: give at least one customer")
        self.num_envs, self.render_mode = num_envs, render_mode
        self._course = _Course.of(scenario, customers=num_envs, **options)
        self.single_observation_space, self.single_action_space = self._course.spaces()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._episode: Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32Array, dict[str, Any]]:
        """Meet another block of customers; with a seed, the block of that seed."""
        super().reset(seed=seed)
        self._course, self._episode = self._course.begin(self.np_random, options)
        return self._episode.features, _infos(self._episode, refused=np.zeros(self.num_envs, dtype=bool))

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Float32Array, Float64Array, BoolArray, BoolArray, dict[str, Any]]:
        """Act on everybody, and live on to the next decision.

        Raises:
            ResetNeeded: before the first `reset`.
            InvalidAction: no such actions.
        """
        if self._episode is None:
            raise ResetNeeded("no decision is due; call reset() before the first step")
        never = np.zeros(self.num_envs, dtype=bool)
        if self._episode.over:
            observations, infos = self.reset()
            return observations, np.zeros(self.num_envs), never, never.copy(), infos
        actions = np.asarray(actions)
        if not self.action_space.contains(actions):
            raise InvalidAction(f"actions {actions!r} are not in {self.action_space}")
        made = self._episode.step(actions.astype(np.int64))
        over = np.full(self.num_envs, self._episode.over)
        return self._episode.features, made.reward, never, over, _infos(self._episode, refused=made.refused)


def _infos(episode: Episode, *, refused: BoolArray) -> dict[str, Any]:
    n = len(refused)
    infos = {"action_mask": episode.eligible.astype(np.int8), "refused": refused, "day": np.full(n, episode.day)}
    return infos | {f"_{name}": np.ones(n, dtype=bool) for name in infos}


gymnasium.register(
    id="Journey-v0",
    entry_point="simulator.envs:JourneyEnv",
    vector_entry_point="simulator.envs:JourneyVectorEnv",
)
