from __future__ import annotations

import contextlib
import dataclasses
import io
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from orchestrator.config import ConfigError, Retailer, config_table, configs_dir, load_retailer
from orchestrator.profiles import ProfileSchema
from policies.actions import ActionFeature

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def retail() -> Retailer:
    return load_retailer(CONFIGS / "retail", environment={})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of configs/retail a test may spoil."""
    return Path(shutil.copytree(CONFIGS / "retail", tmp_path / "retail"))


def problems(directory: Path, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_retailer(directory, environment=environment or {})
    return caught.value.problems


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_hypermarket_has_enough_to_say_in_every_channel(retail: Retailer) -> None:
    live = [a for a in retail.catalogue.actions[1:] if a.status == "live"]
    assert len(live) >= 30
    assert {a.channel for a in live} == {"email", "site", "store"} == set(retail.channels)
    assert len(set(retail.catalogue.ids)) == len(retail.catalogue)


@pytest.mark.parametrize("name", ["retail", "hillstrom"])
def test_hold_is_always_first(name: str) -> None:
    catalogue = load_retailer(CONFIGS / name, environment={}).catalogue
    assert catalogue.ids[0] == "hold"
    assert catalogue.actions[0].cost == 0


def test_hillstrom_has_its_three_arms() -> None:
    hillstrom = load_retailer(CONFIGS / "hillstrom", environment={})
    assert hillstrom.catalogue.ids == ("hold", "email.mens", "email.womens")
    assert [a.subject for a in hillstrom.catalogue.actions[1:]] == ["mens", "womens"]


def test_templates_expand_over_categories_and_inherit_the_channels_cost(retail: Retailer) -> None:
    by_id = {a.id: a for a in retail.catalogue.actions}
    offers = [a for a in by_id if a.startswith("email.offer.")]
    assert offers == [f"email.offer.{c}" for c in retail.catalogue.categories]
    assert by_id["email.offer.home"].subject == "home"
    assert by_id["email.offer.home"].cost == retail.channels["email"].contact_cost
    assert by_id["store.service"].cost == 2.5
    assert by_id["store.service"].subject == "any"
    assert by_id["email.winter.home"].valid_from == date(2026, 11, 15)


def test_a_policy_sees_shared_features_and_the_actions_own_category_and_channel(retail: Retailer) -> None:
    actions = retail.catalogue.action_set(ProfileSchema.from_retailer(retail))
    assert actions.ids == retail.catalogue.ids
    assert actions.features[0] == (ActionFeature("A", "action=hold", 1.0),)
    assert actions.pairs[0] == ()
    alert = actions.index("store.complete_look.apparel")
    assert {(f.name, f.value) for f in actions.features[alert]} == {
        ("action=store.complete_look.apparel", 1.0),
        ("channel=store", 1.0),
        ("intent=complete_look", 1.0),
        ("subject=apparel", 1.0),
        ("effort", 1.5),
    }
    assert {p.column for p in actions.pairs[alert]} >= {"buy.apparel", "want.apparel", "store.fatigue"}
    assert {p.column.split(".")[0] for p in actions.pairs[actions.index("store.service")]} == {"store", "value"}
    assert ActionFeature("A", "discount", 0.1) in actions.features[actions.index("email.offer.home")]


def test_an_action_set_needs_its_own_retailers_schema(retail: Retailer) -> None:
    other = ProfileSchema.from_retailer(load_retailer(CONFIGS / "hillstrom", environment={}))
    with pytest.raises(ConfigError, match=r"no column 'buy\.home'.*same retailer"):
        retail.catalogue.action_set(other)


def test_a_retailer_cannot_be_changed(retail: Retailer) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        retail.directory = Path()  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        retail.serving.port = 1  # type: ignore[misc]


def test_outcomes_become_money(retail: Retailer) -> None:
    assert retail.goals.worth("purchase", value=80.0) == 20.0
    assert retail.goals.worth("return", value=80.0) == -22.0
    assert retail.goals.worth("unsubscribe") < 0
    assert retail.goals.model_copy(update={"outcomes": {}}).worth("click") == 0
    with pytest.raises(ValueError, match="did you mean 'click'"):
        retail.goals.worth("clik")
    assert retail.goals.windows == {"email": 7 * 86400, "site": 3600, "store": 14 * 86400}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("catalog", "channel: email", "channel: emial", ["actions[0] (email.inspire.{category}).channel", "'email'"]),
        ("catalog", "intent: offer", "intent: ofer", ["actions[1]", "intent = 'ofer'", "did you mean 'offer'"]),
        (
            "catalog",
            "cost: 5.0",
            "cost: -5.0",
            ["(store.inspire.{category}).cost = -5.0", "greater than or equal to 0"],
        ),
        ("catalog", "discount: 0.1", "discuont: 0.1", ["treatment.discuont: unknown key", "did you mean 'discount'"]),
        ("catalog", "subject: home", "subject: hom", ["(email.winter.home).subject = 'hom'", "did you mean 'home'"]),
        ("catalog", "[beauty, home, apparel]", "[beuty]", [".categories: 'beuty'", "did you mean 'beauty'"]),
        ("catalog", "email.thank", "email.recall.cart", ["'email.recall.cart' is given 2 times"]),
        ("catalog", "id: email.thank", "id: hold", ["'hold' is always there", "remove it"]),
        ("catalog", "valid_until: 2027-02-28", "valid_until: 2025-02-28", ["2025-02-28 is before valid_from"]),
        ("catalog", "drinks, ", "pantry, ", ["'pantry' is given twice"]),
        (
            "channels",
            "consent: opt_in",
            "consent: optin",
            ["channels.email.consent = 'optin'", "mean 'opt_in'"],
        ),
        ("channels", "contacts: false", "contact: false", ["channels.site.contact: unknown key", "'contacts'"]),
        ("channels", "[newsletter]", "[cart]", ["placements: 'cart' is given twice"]),
        ("goals", "click:", "clik:", ["outcomes.clik", "did you mean 'click'"]),
        ("goals", "email: 7 d", "email: 7", ["windows.email = 7", "'7 d'"]),
        ("goals", "email: 7 d", "emial: 7 d", ["windows.emial: no such channel", "did you mean 'email'"]),
        ("goals", "email: 7 d, ", "", ["windows.email: missing"]),
        ("serving", "port: 8080", "port: 80800", ["port = 80800", "65535"]),
        ("training", "kind: squarecb", "kind: squarcb", ["exploration.kind = 'squarcb'", "did you mean 'squarecb'"]),
        ("training", "split: 0.5", "split: 1.0", ["split = 1.0", "less than 1"]),
        ("training", "split: 0.5", "? [a]\n: b", ["cannot be read as YAML", "unhashable"]),
        ("training", "split: 0.5", "split: 0.5\nsplit: 0.6", ["key 'split' is given twice"]),
        ("training", "[PA]", "[UA, AU]", ["interactions UA, AU", "name each once"]),
        (
            "serving",
            "sqlite:///journey.db",
            "mysql://host/journey",
            ["database = 'mysql://host/journey'", "sqlite:///", "postgresql"],
        ),
        ("profiles", "{scale: 10}", "{scale: 10, values: [a]}", ["attributes.store_distance", "not both"]),
        ("profiles", "recency: 30 d", "", ["half_lives.recency: missing"]),
    ],
)
def test_a_mistake_is_told_with_its_file_place_value_and_fix(
    copy: Path, file: str, old: str, new: str, expected: list[str]
) -> None:
    edit(copy / f"{file}.yaml", old, new)
    found = problems(copy)
    assert any(all(part in p for part in [f"{file}.yaml", *expected]) for p in found), found


def test_every_problem_of_every_file_is_told_at_once(copy: Path) -> None:
    edit(copy / "catalog.yaml", "intent: offer", "intent: ofer")
    edit(copy / "serving.yaml", "port: 8080", "port: x")
    edit(copy / "goals.yaml", "currency: USD", "currency: dollars")
    (copy / "training.yaml").write_text("model: [")
    (copy / "profiles.yaml").rename(copy / "profile.yaml")
    found = problems(copy)
    assert [sum(f"{name}.yaml: " in p for p in found) for name in ("catalog", "serving", "goals", "training")] == [
        1
    ] * 4
    assert any("profiles.yaml: missing" in p and "did you mean 'profile.yaml'" in p for p in found)


def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "no such directory" in problems(tmp_path / "nowhere")[0]


def test_the_environment_overrides_any_value() -> None:
    changed = load_retailer(
        CONFIGS / "retail",
        environment={
            "JOURNEY__SERVING__PORT": "9000",
            "JOURNEY__TRAINING__EXPLORATION__KIND": "greedy",
            "JOURNEY__TRAINING__LEARNING_RATES": "[0.1]",
            "JOURNEY__CATALOG__ACTIONS__0__STATUS": "paused",
            "JOURNEY_DATA": "/not/ours",
        },
    )
    assert changed.serving.port == 9000
    assert changed.training.exploration.kind == "greedy"
    assert changed.training.learning_rates == (0.1,)
    assert changed.catalogue.actions[1].status == "paused"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("JOURNEY__SERVNG__PORT", "1", "did you mean 'serving'"),
        ("JOURNEY__SERVING__PRT", "1", "did you mean 'port'"),
        ("JOURNEY__SERVING__PORT", "many", "port = 'many'"),
        ("JOURNEY__SERVING__PORT__NUMBER", "1", "no such path at PORT__NUMBER"),
        ("JOURNEY__SERVING", "1", "names a file but no key"),
        ("JOURNEY__CATALOG__ACTIONS__99__COST", "1", "no such path at ACTIONS__99"),
        ("JOURNEY__SERVING__HOST", "[", "not a YAML value"),
    ],
)
def test_an_override_that_fits_nothing_is_refused_by_name(variable: str, value: str, expected: str) -> None:
    (problem,) = problems(CONFIGS / "retail", {variable: value})
    assert variable in problem
    assert expected in problem


def test_configs_are_found_by_environment_or_told_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEY_CONFIGS", str(CONFIGS))
    assert configs_dir() == CONFIGS
    monkeypatch.setenv("JOURNEY_CONFIGS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="set JOURNEY_CONFIGS"):
        configs_dir()


def test_the_table_shows_every_action_after_expansion(retail: Retailer) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(config_table(retail))
    text = console.export_text()
    assert f"{len(retail.catalogue)} actions (49 live, 1 draft)" in text
    for action in retail.catalogue.actions:
        assert action.id in text
    assert "http://127.0.0.1:8080" in text


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path into nested mappings and lists."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("junk", [None, -1, "junk", ["junk"], {1: {}}])
def test_junk_anywhere_is_a_clear_error_or_harmless(copy: Path, junk: object) -> None:
    for file in sorted(copy.glob("*.yaml")):
        original = file.read_text()
        everywhere = list(places(yaml.safe_load(original)))
        for path in everywhere[:: len(everywhere) // 6 + 1]:
            data = {"whole": yaml.safe_load(original)}
            *parents, last = ("whole", *path)
            inner: Any = data
            for key in parents:
                inner = inner[key]
            inner[last] = junk
            file.write_text(yaml.safe_dump(data["whole"]))
            with contextlib.suppress(ConfigError):
                load_retailer(copy, environment={})
        file.write_text(original)
