"""Gymnasium environments: they pass its checks, and are the same world as a rollout."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import simulator.envs
from policies.learning.baselines import FixedPolicy, RandomPolicy
from simulator.envs import JourneyEnv, JourneyVectorEnv
from simulator.envs.episodes import Episode
from simulator.errors import ScenarioError, SimulatorError
from simulator.rollout.rollout import Block, Setting
from simulator.scenarios import load_scenario
from simulator.world.results import METRICS


@pytest.fixture(autouse=True)
def at_the_shipped_configs(monkeypatch: pytest.MonkeyPatch, configs: Path) -> None:
    monkeypatch.setenv("JOURNEY_CONFIGS", str(configs))


def vector(customers: int = 30, *, days: int = 10, **settings: object) -> JourneyVectorEnv:
    return JourneyVectorEnv(customers, days=days, **settings)


def test_the_single_environment_passes_gymnasiums_checker() -> None:
    check_env(gymnasium.make("Journey-v0", days=6).unwrapped)


def test_the_vector_environment_keeps_the_promises_of_its_spaces() -> None:
    env = gymnasium.make_vec("Journey-v0", num_envs=7, days=6, vectorization_mode="vector_entry_point")
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    observations, infos = env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(9):
        assert env.observation_space.contains(observations)
        assert infos["action_mask"].shape == (7, env.single_action_space.n)
        assert infos["action_mask"][:, 0].all()
        observations, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
        assert rewards.shape == terminated.shape == truncated.shape == (7,)
        assert (rewards.dtype, terminated.dtype, truncated.dtype) == (np.float64, bool, bool)
        assert not terminated.any()
        for name in ("action_mask", "refused", "day"):
            assert infos[f"_{name}"].all()
    env.close()


def test_the_example_of_the_module_runs() -> None:
    assert doctest.testmod(simulator.envs).failed == 0


def test_actions_sampled_with_a_mask_per_customer_are_never_refused() -> None:
    env = vector(60)
    _, infos = env.reset(seed=5)
    env.action_space.seed(5)
    assert not infos["action_mask"].all()
    for _ in range(4):
        actions = env.action_space.sample(tuple(infos["action_mask"]))
        *_, infos = env.step(actions)
        assert not infos["refused"].any()


def test_one_customer_alone_is_a_vector_of_one() -> None:
    alone, block = JourneyEnv(days=20), vector(1, days=20)
    observation, info = alone.reset(seed=4)
    observations, infos = block.reset(seed=4)
    random, over = np.random.default_rng(0), False
    while not over:
        assert np.array_equal(observation, observations[0])
        assert np.array_equal(info["action_mask"], infos["action_mask"][0])
        action = random.choice(np.flatnonzero(info["action_mask"]))
        observation, reward, _, over, info = alone.step(action)
        observations, rewards, _, truncated, infos = block.step(np.array([action]))
        assert (reward, over, info["refused"], info["day"]) == (
            rewards[0],
            truncated[0],
            infos["refused"][0],
            infos["day"][0],
        )


def rewards_of(env: JourneyVectorEnv, *, seed: int | None, steps: int = 5) -> np.ndarray:
    env.reset(seed=seed)
    random = np.random.default_rng(1)
    return np.array([env.step(random.integers(0, env.single_action_space.n, env.num_envs))[1] for _ in range(steps)])


def test_a_seed_repeats_a_population_and_none_goes_on_to_another() -> None:
    env = vector()
    first, again, other = rewards_of(env, seed=3), rewards_of(vector(), seed=3), rewards_of(env, seed=None)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_episode_is_the_life_a_rollout_lives(configs: Path, tmp_path: Path) -> None:
    """The money of a fixed e-mail every day, from the environment and from a rollout with the same policy."""
    file = tmp_path / "daily.yaml"
    file.write_text("description: everybody is considered every day\noutbound_every_days: 1\n")
    setting = Setting.of(load_scenario(str(file), configs=configs))
    core = setting.core
    policy = FixedPolicy(core.actions, core.columns, "email.inspire.beauty")
    result, log = Block(setting, seed=9, block=0, customers=200, days=12).live(policy, log=True)
    episode = Episode(setting, seed=9, customers=200, days=12)
    earned, mailed = np.zeros(200), np.full(200, core.actions.index("email.inspire.beauty"))
    first = episode.features
    while not episode.over:
        earned += episode.step(mailed).reward
    assert log is not None
    assert np.array_equal(first, log.features[:200])
    assert np.allclose(earned, log.margin.sum(axis=1), atol=1e-4)
    assert np.isclose(earned.sum(), result.daily[:, METRICS.index("margin")].sum())


def test_an_action_that_is_not_eligible_is_taken_as_hold() -> None:
    env, same = vector(200), vector(200)
    _, infos = env.reset(seed=2)
    same.reset(seed=2)
    mail = env._course.setting.core.actions.index("email.inspire.beauty")
    eligible = infos["action_mask"][:, mail].astype(bool)
    assert 0 < eligible.sum() < 200
    _, rewards, _, _, infos = env.step(np.full(200, mail))
    _, expected, _, _, kept = same.step(np.where(eligible, mail, 0))
    assert np.array_equal(infos["refused"], ~eligible)
    assert not kept["refused"].any()
    assert np.array_equal(rewards, expected)


def test_a_contact_costs_its_price() -> None:
    env, silent = vector(400, days=2), vector(400, days=2)
    _, infos = env.reset(seed=2)
    silent.reset(seed=2)
    mail = env._course.setting.core.actions.index("email.thank")
    _, rewards, *_ = env.step(np.full(400, mail))
    _, kept, *_ = silent.step(np.zeros(400, dtype=np.int64))
    mailed = infos["action_mask"][:, mail].astype(bool)
    assert np.median((kept - rewards)[mailed]) == pytest.approx(0.002, abs=1e-5)
    assert np.array_equal(kept[~mailed], rewards[~mailed])


def test_an_inner_policy_decides_on_the_site_and_in_the_store(baseline: Setting) -> None:
    core = baseline.core
    helpful = FixedPolicy(core.actions, core.columns, "store.service")
    quiet, helped = vector(500, days=4), vector(500, days=4, inner=helpful)
    for env in (quiet, helped):
        env.reset(seed=1)
        env.step(np.zeros(500, dtype=np.int64))
    sent = [env._episode._life.tally.by_customer[:, METRICS.index("store")].sum() for env in (quiet, helped)]
    assert sent[0] == 0
    assert sent[1] > 0


def test_an_inner_policy_may_be_given_by_name(baseline: Setting) -> None:
    named = vector(300, days=4, inner="random")
    given = vector(300, days=4, inner=RandomPolicy(baseline.core.actions, baseline.core.columns))
    for envs in (named, given):
        envs.reset(seed=3)
    hold = np.zeros(300, dtype=np.int64)
    for _ in range(2):
        np.testing.assert_array_equal(named.step(hold)[1], given.step(hold)[1])


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("rndom", "unknown policy 'rndom'; did you mean 'random'"),
        (
            0.5,
            r"inner = 0.5: a float has no actions, columns, .*give an object as of policies.policy.Policy, or a name",
        ),
    ],
)
def test_what_is_no_inner_policy_is_refused_at_construction(inner: Any, message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        vector(3, days=4, inner=inner)


def test_an_inner_policy_is_not_asked_about_outbound_decisions(baseline: Setting) -> None:
    asked: list[int] = []

    class Noting(RandomPolicy):
        def scores(self, features: np.ndarray) -> np.ndarray:
            asked.append(int(features[:, outbound].max()))
            return super().scores(features)

    core = baseline.core
    outbound = core.columns.index("placement=newsletter")
    life = Episode(baseline, seed=0, customers=300, days=6, inner=Noting(core.actions, core.columns))
    assert not asked
    while not life.over:
        life.step(np.zeros(300, dtype=np.int64))
    assert set(asked) == {0}


def test_a_vector_begins_anew_in_the_step_after_the_end() -> None:
    env = vector(5, days=3)
    env.reset(seed=1)
    hold = np.zeros(5, dtype=np.int64)
    ends = []
    for _ in range(4):
        _, _, _, truncated, infos = env.step(hold)
        ends.append((bool(truncated[0]), int(infos["day"][0])))
    assert ends == [(False, 2), (True, 3), (False, 0), (False, 2)]


def test_options_change_the_scenario_and_the_length() -> None:
    env = JourneyEnv(days=30)
    env.reset(seed=1, options={"scenario": "no_fatigue", "days": 2})
    assert env.step(np.int64(0))[3]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"scenarios": "drift"}, "did you mean 'scenario'"),
        ({"days": 0}, "days = 0"),
        ({"days": 1.5}, "days = 1.5"),
        ({"scenario": "drfit"}, "did you mean 'drift'"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        JourneyEnv(days=3).reset(options=options)


def test_steps_nobody_can_take_are_refused() -> None:
    env = JourneyEnv(days=2)
    with pytest.raises(ResetNeeded):
        env.step(np.int64(0))
    env.reset(seed=1)
    with pytest.raises(InvalidAction):
        env.step(np.int64(10_000))
    env.step(np.int64(0))
    with pytest.raises(ResetNeeded):
        env.step(np.int64(0))
    with pytest.raises(ResetNeeded):
        vector().step(np.zeros(30, dtype=np.int64))
    with pytest.raises(ScenarioError, match="at least one customer"):
        vector(0)


def test_an_episode_that_is_over_stays_over(baseline: Setting) -> None:
    episode = Episode(baseline, seed=1, customers=2, days=1)
    episode.step(np.zeros(2, dtype=np.int64))
    with pytest.raises(SimulatorError, match="over"):
        episode.step(np.zeros(2, dtype=np.int64))
