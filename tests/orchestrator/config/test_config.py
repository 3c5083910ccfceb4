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

from orchestrator.config import ConfigError, ContactPolicy, Retailer, config_table, configs_dir
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from policies.actions import ActionFeature

CONFIGS = Path(__file__).parents[3] / "configs"


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
    actions = retail.catalogue.action_set(ProfileSchema.from_retailer(retail).columns)
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
        retail.catalogue.action_set(other.columns)


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
        ("profiles", "attributes:", "content_fields: [name, name]\nattributes:", ["'name' is given twice"]),
        ("events", "Product Viewed: {type: view}", "Product Viewed: {type: vieww}", ["did you mean 'view'"]),
        ("events", "channel: site", "channel: sote", ["tracks.Promotion Clicked.channel", "did you mean 'site'"]),
        ("events", "{type: click, channel: site}", "{type: click}", ["a 'click' event needs a channel"]),
        ("events", "Wine: drinks", "Wine: drink", ["categories.Wine = 'drink'", "did you mean 'drinks'"]),
        ("events", "skus: {}", "skus: {G-*: hone}", ["skus.G-* = 'hone'", "did you mean 'home'"]),
        ("events", "favoriteStore: home_store", "favoriteStore: store", ["traits.favoriteStore", "home_store"]),
        ("events", "consent: {email:", "consent: {emial:", ["consent.emial", "did you mean 'email'"]),
        ("events", "visit_every: 30 min", "visit_every: 30", ["visit_every = 30", "duration"]),
        ("contacts", "limit: 7,", "limit: 0,", ["caps[0].limit = 0", "greater than or equal to 1"]),
        ("contacts", "limit: 7,", "", ["caps[0].limit: missing"]),
        ("contacts", "limit: 7,", "limt: 7,", ["caps[0].limt: unknown key", "did you mean 'limit'"]),
        ("contacts", "window: 7 d,", "window: a week,", ["caps[0].window = 'a week'", "'7 d'"]),
        ("contacts", "counts: sent", "counts: send", ["caps[0].counts = 'send'", "did you mean 'sent'"]),
        (
            "contacts",
            "channels: [email]",
            "channels: [emial]",
            ["caps[1] (email_daily).channels: 'emial': no such channel", "did you mean 'email'"],
        ),
        ("contacts", "channels: [email]", "channels: []", ["caps[1].channels", "at least 1"]),
        ("contacts", "intents: [offer]", "intents: [offr]", ["intents[0] = 'offr'", "did you mean 'offer'"]),
        (
            "contacts",
            "email.thank, store.thank",
            "email.thank, stor.thank",
            ["caps[4] (thanks_monthly).actions: 'stor.thank' fits no action", "did you mean 'store.thank'"],
        ),
        (
            "contacts",
            "email.thank, store.thank",
            "email.thx.*",
            ["(thanks_monthly).actions: 'email.thx.*' fits no action", "did you mean 'email.thank'"],
        ),
        (
            "contacts",
            "intents: [offer], channels: [email, store]",
            "intents: [offer], channels: [store]",
            ["caps[3] (offers_weekly): no action fits its channels, intents and actions together"],
        ),
        ("contacts", "name: night", "name: email_daily", ["2 rules are named 'email_daily'", "rename one"]),
        ("contacts", "gap: 4 h", "gap: 0 h", ["gaps[0].gap = '0 h'", "positive duration"]),
        ("contacts", "from: 21:00", "from: 25:00", ["quiet_hours[0].from = '25:00'", "time of day such as '08:00'"]),
        ("contacts", "from: 21:00", "from: 21", ["quiet_hours[0].from = 21", "time of day such as '08:00'"]),
        ("contacts", "from: 21:00", "from: 8:00", ["quiet_hours[0]", "quiet all day"]),
        ("contacts", "from: 21:00", "form: 21:00", ["quiet_hours[0].form: unknown key", "did you mean 'from'"]),
        ("contacts", "channels: [email], from", "channels: [mail], from", ["quiet_hours[0] (night)", "mean 'email'"]),
        ("contacts", "after: [return]", "after: [retrun]", ["after[0] = 'retrun'", "did you mean 'return'"]),
        ("contacts", "after: [return]", "after: []", ["suppressions[1].after", "at least 1"]),
        ("contacts", "for: 30 d", "for: 30", ["suppressions[0].for = 30", "'7 d'"]),
        (
            "contacts",
            "America/New_York",
            "America/NewYork",
            ["time_zone = 'America/NewYork'", "did you mean 'America/New_York'"],
        ),
        ("contacts", "channels: [store]\n", "channels: [shop]\n", ["store_hours.channels: 'shop': no such channel"]),
        ("contacts", "08:00-22:00", "08:00-26:00", ["hours.every_day = '08:00-26:00'", "'09:00-20:00', or 'closed'"]),
        ("contacts", "08:00-22:00", "08:00-08:00", ["hours.every_day", "starts when it ends"]),
        ("contacts", "sunday: 09:00", "sundy: 09:00", ["store_hours.hours.sundy: unknown key", "mean 'sunday'"]),
        (
            "contacts",
            "every_day: 08:00-22:00, sunday: 09:00-20:00}",
            "every_day: closed}\n  stores: {mall: {hours: {}, time_zone: Mars}}",
            ["store_hours.stores.mall.time_zone = 'Mars'", "no such time zone"],
        ),
        (
            "catalog",
            "intent: offer",
            "intent: offer\n    targeting: buy.{category} > 1 and agee == '65+'",
            ["actions[1] (email.offer.{category}).targeting = ", "no column 'agee'; did you mean 'age'"],
        ),
        (
            "catalog",
            "intent: thank",
            "intent: thank\n    targeting: buy.{category} > 1",
            ["actions[4] (email.thank).targeting = ", "no column 'buy.any'; did you mean 'buy."],
        ),
        ("catalog", "intent: thank", "intent: thank\n    targeting: ''", ["(email.thank).targeting", "at least 1"]),
        (
            "catalog",
            "intent: thank",
            "intent: thank\n    requires: [first_nam]",
            ["(email.thank).requires: 'first_nam' is not among content_fields of profiles.yaml", "known: none"],
        ),
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


def test_contact_rules_are_read_as_written(retail: Retailer) -> None:
    policy = retail.contacts
    assert [(cap.name, cap.limit, cap.window, cap.counts) for cap in policy.caps][:2] == [
        ("overall_weekly", 7, 7 * 86400, "sent"),
        ("email_daily", 2, 86400, "sent"),
    ]
    night = policy.quiet_hours[0]
    assert (night.start, night.end) == (21 * 3600, 8 * 3600)  # unquoted in the file
    assert policy.suppressions[0].after == ("unsubscribe",)
    assert policy.suppressions[0].lasts == 30 * 86400
    week = policy.store_hours.hours.of_week()
    assert week == ((8 * 3600, 22 * 3600),) * 6 + ((9 * 3600, 20 * 3600),)
    assert policy.reserved_for == 86400


def test_a_retailer_without_contact_rules_needs_no_file_for_them(copy: Path) -> None:
    (copy / "contacts.yaml").unlink()
    policy = load_retailer(copy, environment={}).contacts
    assert policy == ContactPolicy()
    assert not policy.caps
    changed = load_retailer(copy, environment={"JOURNEY__CONTACTS__TIME_ZONE": "Asia/Kathmandu"})
    assert changed.contacts.time_zone == "Asia/Kathmandu"
    later = {"JOURNEY__CONTACTS__QUIET_HOURS": "[{name: night, channels: [email], from: 22:30, to: 6:15}]"}
    (night,) = load_retailer(copy, environment=later).contacts.quiet_hours
    assert (night.start, night.end) == (22.5 * 3600, 6.25 * 3600)


def test_conditions_of_a_template_become_those_of_its_actions(copy: Path) -> None:
    targeted = 'intent: offer\n    targeting: buy.{category} > 0.5 and age == "65+"\n    requires: [first_name]'
    edit(copy / "catalog.yaml", "intent: offer", targeted)
    edit(copy / "profiles.yaml", "attributes:", "content_fields: [first_name]\nattributes:")
    by_id = {a.id: a for a in load_retailer(copy, environment={}).catalogue.actions}
    assert by_id["email.offer.home"].targeting == 'buy.home > 0.5 and age == "65+"'
    assert by_id["email.offer.home"].requires == ("first_name",)
    assert by_id["email.inspire.home"].targeting == ""


def test_one_wrong_name_in_a_template_is_told_once_for_all_its_categories(copy: Path) -> None:
    edit(copy / "catalog.yaml", "intent: offer", "intent: offer\n    targeting: valu > 1")
    assert len(problems(copy)) == 1


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
