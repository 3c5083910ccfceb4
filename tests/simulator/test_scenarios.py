"""Every shipped scenario runs and matters; a wrong one is told what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from policies.arrays import IntArray
from policies.learning.baselines import FixedPolicy, RandomPolicy
from policies.policy import Policy
from simulator.errors import ScenarioError
from simulator.rollout.rollout import Block, Setting
from simulator.rollout.trajectory import OUTBOUND, DecisionPoint, Trajectory
from simulator.scenarios import load_scenario, scenario_names
from simulator.world.behaviour import discounts, shopping
from simulator.world.results import METRICS, BlockResult

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = [name for name in scenario_names(CONFIGS) if name != "baseline"]


def lived(setting: Setting, *, days: int, customers: int = 1_000, action: str | None = None) -> BlockResult:
    """Under a random policy, or one that always takes this action."""
    core = setting.core
    policy: Policy = RandomPolicy(core.actions, core.columns)
    if action:
        policy = FixedPolicy(core.actions, core.columns, action)
    return Block(setting, seed=5, block=0, customers=customers, days=days).live(policy)[0]


def total(found: BlockResult, metric: str, *, since: int = 0) -> float:
    return float(found.daily[since:, METRICS.index(metric)].sum())


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
        "capped",
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


def own_share(setting: Setting) -> float:
    """Share of the variance of taste that is within segments."""
    people = Block(setting, seed=5, block=0, customers=2_000, days=1).scene.people
    taste = people.taste.astype(np.float64)
    means = np.array([taste[people.segment == s].mean(axis=0) for s in range(people.segment.max() + 1)])
    return float(((taste - means[people.segment]) ** 2).sum() / ((taste - taste.mean(axis=0)) ** 2).sum())


def test_individualists_have_a_taste_of_their_own_and_segments_one_together(
    setting_of: Callable[..., Setting], baseline: Setting
) -> None:
    together, usual, individual = map(own_share, (setting_of("segments_only"), baseline, setting_of("individualists")))
    assert together == pytest.approx(0, abs=1e-9)
    assert 0.3 < usual < 0.9
    assert individual > 0.98


def test_repeated_emails_go_on_working_without_fatigue_and_soon_stop_with_much_of_it(
    setting_of: Callable[..., Setting], baseline: Setting
) -> None:
    """Of a month in which everybody is mailed every other day, what the second half still brings, and who leaves."""
    rested, usual, tired = (
        lived(setting, days=30, action="email.inspire.pantry")
        for setting in (setting_of("no_fatigue"), baseline, setting_of("heavy_fatigue"))
    )
    responses = [total(found, "clicks", since=15) / total(found, "email", since=15) for found in (rested, usual, tired)]
    assert responses[0] > 1.7 * responses[1]
    assert responses[1] > 1.3 * responses[2]
    lost = [total(found, "unsubscribes") for found in (rested, usual, tired)]
    assert lost[0] < 0.5 * lost[1]
    assert lost[1] < 0.5 * lost[2]


def test_store_led_customers_buy_in_the_store_and_more_often(
    setting_of: Callable[..., Setting], baseline: Setting
) -> None:
    led, usual = (lived(setting, days=15, action="hold") for setting in (setting_of("store_led"), baseline))
    online = [1 - total(found, "store_visits") / total(found, "purchases") for found in (led, usual)]
    assert 0 < online[0] < 0.5 * online[1]
    assert total(led, "purchases") > 1.5 * total(usual, "purchases")


def test_discount_addicts_fall_for_offers_and_buy_less_ever_after(
    setting_of: Callable[..., Setting], baseline: Setting
) -> None:
    """More of them answer an offer, and a first discounted purchase costs more of the next month's."""
    addicts, usual = (
        total(lived(setting, days=8, action="email.offer.pantry"), "clicks")
        for setting in (setting_of("discount_addicts"), baseline)
    )
    assert addicts > 1.1 * usual
    (pulled, learned, kept), (usual_pull, usually_learned, usually_kept) = (
        after_a_discount(setting) for setting in (setting_of("discount_addicts"), baseline)
    )
    assert pulled > 1.3 * usual_pull > 0
    assert learned > 1.3 * usually_learned > 0
    assert kept < usually_kept - 0.05 < 0.95


def after_a_discount(setting: Setting) -> tuple[float, float, float]:
    """Pull of a discount never seen, what is expected after one, and purchases of the month after, as a share.

    The latter relative to what the same customers buy in that month had they paid the full price.
    """
    block = Block(setting, seed=5, block=0, customers=1_500, days=1)
    rows, discount = np.arange(1_500), np.full(1_500, 0.3, dtype=np.float32)
    pull = float(discounts.attraction(block.life().scene, rows, discount).mean())
    bought, expected = [], []
    for given in (np.zeros_like(discount), discount):
        scene = block.life().scene
        discounts.learn(scene, rows, given)
        expected.append(float(scene.moods.expected_discount.mean()))
        bought.append(0)
        for scene.day in range(30):
            discounts.fade(scene)
            bought[-1] += int(shopping.occasions(scene, weekday=1.0).sum())
    return pull, expected[1] - expected[0], bought[1] / bought[0]


def test_scarce_associates_carry_out_few_of_the_alerts(setting_of: Callable[..., Setting], baseline: Setting) -> None:
    def carried_out(setting: Setting) -> float:
        calls = FixedPolicy(setting.core.actions, setting.core.columns, "store.service")
        log = Block(setting, seed=5, block=0, customers=2_000, days=4).live(calls, log=True)[1]
        assert log is not None
        return float(log.done[log.action > 0].mean())

    scarce, usual = carried_out(setting_of("scarce_associates")), carried_out(baseline)
    assert 0 < scarce < 0.3 * usual


def test_new_actions_are_eligible_from_their_day_like_any_other(
    setting_of: Callable[..., Setting], drive: Callable[..., Trajectory]
) -> None:
    setting = setting_of("cold_start")
    file, core = setting.scenario.file.new_actions, setting.core
    new, relative = [core.actions.index(name) for name in file.actions], core.actions.index("email.inspire.pantry")
    life, hold = (
        Block(setting, seed=5, block=0, customers=60, days=63).life(),
        FixedPolicy(core.actions, core.columns, "hold"),
    )
    seen = {}

    def choose(moment: DecisionPoint) -> IntArray:
        if moment.slot == OUTBOUND and moment.day >= file.from_day - 3:
            made = setting.decide(hold, moment, life=life, streams=life.scene.streams)
            assert made.eligible[:, relative].any()
            seen[moment.day] = made.eligible[:, new].any(axis=0).tolist()
        return np.zeros(len(moment.rows), dtype=np.int64)

    drive(life, choose)
    assert seen == {day: [day >= 60] * len(new) for day in range(57, 63)}


def test_on_the_day_of_the_drift_its_share_of_customers_gets_another_taste(
    setting_of: Callable[..., Setting], drive: Callable[..., Trajectory]
) -> None:
    setting = setting_of("drift")
    life, drift = Block(setting, seed=5, block=0, customers=400, days=63).life(), setting.scenario.file.drift
    people = []

    def choose(moment: DecisionPoint) -> IntArray:
        if moment.slot == OUTBOUND:
            people.append(life.scene.people)
        return np.zeros(len(moment.rows), dtype=np.int64)

    drive(life, choose)
    tastes = np.array([day.taste for day in people])
    changed = (tastes[1:] != tastes[:-1]).any(axis=2)
    assert not np.delete(changed, drift.from_day - 1, axis=0).any()
    now = changed[drift.from_day - 1]
    assert now.mean() == pytest.approx(drift.share, abs=0.08)
    # What they buy changes with it, and what they like is what they buy more of than others do.
    bought = [day.taste_cumulative for day in (people[0], people[-1])]
    assert np.array_equal((bought[0] != bought[1]).any(axis=1), now)
    shares = np.diff(bought[1].astype(np.float64), axis=1, prepend=0)[now]
    liking = np.log(np.maximum(shares, 1e-9) / list(setting.scenario.world.category_shares.values()))
    liking -= liking.mean(axis=1, keepdims=True)
    clear = (shares > 1e-3) & (np.abs(tastes[-1][now]) < 3)
    assert clear.mean() > 0.5
    assert np.allclose(liking[clear], tastes[-1][now][clear], atol=0.02)


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
