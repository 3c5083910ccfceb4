"""Every shipped scenario runs and matters; a wrong one is told what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from policies.baselines import RandomPolicy
from simulator.errors import ScenarioError
from simulator.results import METRICS, BlockResult
from simulator.rollout import Block, Setting
from simulator.scenarios import load_scenario, scenario_names

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = [name for name in scenario_names(CONFIGS) if name != "baseline"]


def lived(setting: Setting, *, days: int, customers: int = 1_000) -> BlockResult:
    core = setting.core
    policy = RandomPolicy(core.actions, core.columns)
    return Block(setting, seed=5, block=0, customers=customers, days=days).live(policy)[0]


def test_the_shipped_scenarios_are_these() -> None:
    assert set(OTHERS) == {
        "no_fatigue",
        "heavy_fatigue",
        "segments_only",
        "individualists",
        "discount_addicts",
        "store_led",
        "cold_start",
        "drift",
        "scarce_associates",
    }


@pytest.mark.parametrize("name", scenario_names(CONFIGS))
def test_a_scenario_says_in_a_paragraph_what_it_asks(name: str) -> None:
    description = load_scenario(name, configs=CONFIGS).file.description
    assert "\n" not in description.strip()
    assert name == "baseline" or "Asks " in description


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "drift"])
def test_a_scenario_lives_and_differs_from_the_baseline_within_days(
    name: str, setting_of: Callable[..., Setting], baseline: Setting
) -> None:
    found = lived(setting_of(name), days=5)
    assert np.isfinite(found.daily).all()
    assert not np.array_equal(found.daily, lived(baseline, days=5).daily)


def test_drift_changes_nothing_before_its_day_and_something_after(
    setting_of: Callable[..., Setting], baseline: Setting
) -> None:
    drifting, calm = (lived(setting, days=70, customers=200).daily for setting in (setting_of("drift"), baseline))
    assert np.array_equal(drifting[:60], calm[:60])
    assert not np.array_equal(drifting[60:], calm[60:])


def test_new_actions_are_never_taken_before_their_day(setting_of: Callable[..., Setting]) -> None:
    setting = setting_of("cold_start")
    new = [setting.core.actions.index(name) for name in setting.scenario.file.new_actions.actions]
    taken = lived(setting, days=60, customers=200).actions
    assert taken[new].sum() == 0
    assert lived(setting, days=62, customers=200).actions[new].sum() > 0


def test_without_minutes_alerts_expire(setting_of: Callable[..., Setting], baseline: Setting) -> None:
    scarce, usual = (lived(s, days=5, customers=2_000) for s in (setting_of("scarce_associates"), baseline))
    minutes = METRICS.index("minutes")
    assert scarce.daily[:, minutes].max() <= 45
    assert usual.daily[:, minutes].min() > 45


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("world: {fatigue.sensitivty: 1}", ["wrong", "fatigue.sensitivty", "did you mean 'sensitivity'"]),
        ("world: {fatige.sensitivity: 1}", ["wrong", "no section 'fatige'", "did you mean 'fatigue'"]),
        ("world: {category_shares.fresh: 1}", ["no section 'category_shares'"]),
        ("world: {fatigue.sensitivity: 9}", ["wrong", "fatigue.sensitivity = 9", "[0, 4]", "choose a value inside"]),
        ("world: {fatigue.sensitivity: .nan}", ["fatigue.sensitivity = nan", "[0, 4]"]),
        ("world: {fatigue.sensitivity: much}", ["wrong.yaml", "world.fatigue.sensitivity = 'much'", "number"]),
        (
            "new_actions: {from_day: 3, actions: [email.inspire.aparel]}",
            ["wrong.yaml", "'email.inspire.aparel'", "did you mean 'email.inspire.apparel'"],
        ),
        (
            "new_actions: {from_day: 3, actions: [email.thank, hold]}",
            ["wrong.yaml", "'hold' may always be done"],
        ),
        ("world: {population.segments: 2.7}", ["scenario wrong", "world.population.segments = 2.7", "valid integer"]),
        ("new_actions: {from_day: 0, actions: [email.thank]}", ["new_actions.from_day = 0"]),
        ("drift: {from_day: 3, share: 2}", ["drift.share = 2"]),
        ("retailer: retial", ["wrong.yaml", "'retial'", "did you mean 'retail'"]),
        ("retailer: hillstrom", ["hillstrom/world.yaml: missing"]),
        ("wrld: {}", ["wrong.yaml", "wrld: unknown key", "did you mean 'world'"]),
        ("world: [oops", ["wrong.yaml", "cannot be read as YAML"]),
    ],
)
def test_a_wrong_scenario_is_told_where_and_what_to_do(text: str, told: list[str], tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(f"description: wrong\n{text}\n")
    with pytest.raises(ScenarioError) as error:
        load_scenario(str(file), configs=CONFIGS)
    for part in told:
        assert part in str(error.value)


def test_an_unknown_scenario_gets_the_nearest_name() -> None:
    with pytest.raises(ScenarioError, match="did you mean 'heavy_fatigue'"):
        load_scenario("heavy_fatique", configs=CONFIGS)


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("wrld: {}\noutbound_every_days: 0\n")
    with pytest.raises(ScenarioError) as error:
        load_scenario(str(file), configs=CONFIGS)
    assert all(part in str(error.value) for part in ("description: missing", "wrld", "outbound_every_days = 0"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """All configurations, to be spoilt."""
    return Path(shutil.copytree(CONFIGS, tmp_path / "configs"))


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


ORDER = "must be two numbers in order, such as [0, 1]"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{value: 0.6, range: [0, 1]}", "{value: 0.6, range: 5}", ["population.individuality", f"range 5 {ORDER}"]),
        ("{value: 0.6, range: [0, 1]}", "{value: 0.6, range: [a, b]}", [f"range ['a', 'b'] {ORDER}"]),
        ("{value: 0.6, range: [0, 1]}", "{value: 0.6, range: null}", [f"range None {ORDER}"]),
        ("{value: 0.6, range: [0, 1]}", "{value: 0.6, range: [1]}", [f"range [1] {ORDER}"]),
        ("{value: 0.6, range: [0, 1]}", "{value: 0.6, range: [0, 1, 2]}", [f"range [0, 1, 2] {ORDER}"]),
        ("{value: 0.6, range: [0, 1]}", "{value: 0.6, range: [1, 0]}", [f"range [1, 0] {ORDER}"]),
        ("{value: 0.6, range: [0, 1]}", "{value: 0.6, range: [no, yes]}", [f"range [False, True] {ORDER}"]),
        ("fresh: 0.2", "fresh: -0.2", ["category_shares.fresh = -0.2", "greater than 0"]),
        ("fresh: 0.2", "fresh: 0", ["category_shares.fresh = 0", "greater than 0"]),
        ("weekday: [1.0075", "weekday: [-1.0075", ["weekday.0 = -1.0075", "greater than 0"]),
        ("segments: {value: 6", "segments: {value: 2.7", ["population.segments = 2.7", "valid integer"]),
        ("segments: {value: 6, range: [2", "segments: {value: 0, range: [0", ["population.segments", "equal to 1"]),
        ("{value: 0.92, range: [0.5, 0.99]}", "{value: 1, range: [0, 1]}", ["store_preference_regular", "less than 1"]),
        ("{value: 0.35, range: [0.1,", "{value: 0, range: [0,", ["store_preference_occasional", "greater than 0"]),
    ],
)
def test_an_impossible_number_of_the_world_is_told_where_and_why(
    old: str, new: str, told: list[str], copied: Path
) -> None:
    spoil(copied / "retail" / "world.yaml", old, new)
    with pytest.raises(ScenarioError) as error:
        load_scenario("baseline", configs=copied)
    for part in ["retail/world.yaml: ", *told]:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("status: draft", "'email.thank' is draft in the catalogue and would never appear; make its status live"),
        ("valid_until: 2000-01-01", "'email.thank' is valid until 2000-01-01 and would appear on"),
    ],
)
def test_new_actions_that_would_never_appear_are_refused(setting: str, told: str, copied: Path) -> None:
    spoil(copied / "retail" / "catalog.yaml", "id: email.thank", f"id: email.thank\n    {setting}")
    (copied / "scenarios" / "new.yaml").write_text(
        "description: new\nnew_actions: {from_day: 3, actions: [email.thank]}\n"
    )
    with pytest.raises(ScenarioError) as error:
        load_scenario("new", configs=copied)
    assert f"new.yaml: new_actions.actions: {told}" in str(error.value)
