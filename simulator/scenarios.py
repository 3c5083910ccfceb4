"""Scenarios: a retailer, its world, and what is different this time. One YAML file each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from orchestrator.config import HOLD, Action, Retailer
from orchestrator.config.models import Settings
from orchestrator.config.reading import read_file
from orchestrator.errors import suggestion
from orchestrator.load import load_retailer
from simulator.errors import ScenarioError
from simulator.world.day import moment
from simulator.world.settings import WorldSettings

Days = Annotated[int, Field(ge=1)]


class NewActions(Settings):
    """Actions that appear during the horizon."""

    from_day: Days
    actions: Annotated[tuple[str, ...], Field(min_length=1)]


class Drift(Settings):
    """Tastes that change during the horizon: on `from_day`, `share` of the customers get a taste drawn anew."""

    from_day: Days
    share: Annotated[float, Field(gt=0, le=1)]


class ScenarioFile(Settings):
    """One file of `configs/scenarios`.

    Attributes:
        description: what it asks.
        retailer: directory of the retailer, relative to the folder of all configurations.
        world: changed values of world.yaml by dotted name, such as `fatigue.sensitivity`.
        outbound_every_days: how often each customer is considered for an e-mail or a call.
        contact_rules: whether contacts.yaml of the retailer holds, and targeting and stock with it.
        new_actions: actions that appear mid-way.
        drift: tastes that change mid-way.
    """

    description: str
    retailer: str = "retail"
    world: dict[str, float] = Field(default_factory=dict)
    outbound_every_days: Days = 2
    contact_rules: bool = False
    new_actions: NewActions | None = None
    drift: Drift | None = None


@dataclass(frozen=True)
class Scenario:
    """A scenario, ready to run.

    Attributes:
        name: of its file.
        path: of its file.
        file: its content.
        retailer: with the dates of new actions set.
        world: with the changes applied.
    """

    name: str
    path: Path
    file: ScenarioFile
    retailer: Retailer
    world: WorldSettings

    @property
    def settled_from(self) -> int:
        """The day from which on nothing new comes up: no actions, no change of tastes."""
        return max((change.from_day for change in (self.file.new_actions, self.file.drift) if change), default=0)

    def changed(self, world: Mapping[str, float]) -> Scenario:
        """The same scenario with further values of the world changed.

        Raises:
            ScenarioError: no such value, or it is out of its range.
        """
        return _build(self.path, self.file.model_copy(update={"world": {**self.file.world, **world}}), self.retailer)


def load_scenario(name: str, *, configs: Path) -> Scenario:
    """Read `configs/scenarios/NAME.yaml`, or the file itself where `name` is a path ending in .yaml.

    Raises:
        ScenarioError: no such scenario, or something in it is wrong; names file, field and fix.
        ConfigError: the retailer's own files are wrong.
    """
    path = Path(name) if name.endswith(".yaml") else configs / "scenarios" / f"{name}.yaml"
    if not path.is_file():
        raise ScenarioError(f"{path}: no such scenario; {suggestion(name, scenario_names(configs))}")
    read = read_file(path, ScenarioFile, ())
    if not read.model:
        raise ScenarioError("\n".join(read.problems))
    file = read.model
    if not (configs / file.retailer).is_dir():
        worlds = sorted(world.parent.name for world in configs.glob("*/world.yaml"))
        raise ScenarioError(
            f"{path}: retailer = {file.retailer!r}: no such retailer; {suggestion(file.retailer, worlds)}"
        )
    retailer = load_retailer(configs / file.retailer)
    if file.new_actions:
        retailer = _with_new_actions(retailer, file.new_actions, path=path)
    return _build(path, file, retailer)


def scenario_names(configs: Path) -> list[str]:
    """Every scenario there is, by name."""
    return sorted(path.stem for path in (configs / "scenarios").glob("*.yaml"))


def load_world(retailer: Retailer, changes: Mapping[str, float], *, scenario: str = "") -> WorldSettings:
    """`world.yaml` of a retailer with some values changed.

    Args:
        retailer: whose world it is.
        changes: value by dotted name, within the ranges of the file.
        scenario: who changes them, for messages.

    Raises:
        ScenarioError: names file, field and fix.
    """
    path = retailer.directory / "world.yaml"
    if not path.is_file():
        raise ScenarioError(
            f"{path}: missing; a retailer that is simulated needs a world (see configs/retail/world.yaml)"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        WorldSettings.model_validate(content)  # so that what is wrong below is wrong in the changes
    except (ValidationError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {_first_problem(error)}") from error
    for name, value in changes.items():
        _change(content, name, value, path=path, scenario=scenario)
    try:
        world = WorldSettings.model_validate(content)
    except ValidationError as error:
        raise ScenarioError(f"scenario {scenario}: world.{_first_problem(error)}") from error
    if tuple(world.category_shares) != retailer.catalogue.categories:
        raise ScenarioError(
            f"{path}: category_shares names {', '.join(world.category_shares)}; the catalogue has "
            f"{', '.join(retailer.catalogue.categories)}, in this order: name the same"
        )
    return world


def _build(path: Path, file: ScenarioFile, retailer: Retailer) -> Scenario:
    return Scenario(path.stem, path, file, retailer, load_world(retailer, file.world, scenario=path.stem))


def _change(content: dict[str, Any], name: str, value: float, *, path: Path, scenario: str) -> None:
    sections = {s: v for s, v in content.items() if isinstance(v, dict) and s != "category_shares"}
    section, _, key = name.partition(".")
    if section not in sections:
        hint = suggestion(section, sections)
        raise ScenarioError(f"scenario {scenario}: world.{name}: {path} has no section {section!r}; {hint}")
    if key not in sections[section]:
        hint = suggestion(key, sections[section])
        raise ScenarioError(f"scenario {scenario}: world.{name}: {path} has no {key!r} in {section}; {hint}")
    low, high = sections[section][key].get("range", (-math.inf, math.inf))
    if not low <= value <= high:
        raise ScenarioError(
            f"scenario {scenario}: world.{name} = {value}: outside [{low}, {high}], the range {path} gives it; "
            "choose a value inside"
        )
    sections[section][key]["value"] = value


def _with_new_actions(retailer: Retailer, new: NewActions, *, path: Path) -> Retailer:
    known = {action.id: action for action in retailer.catalogue.actions}
    day = datetime.fromtimestamp(moment(new.from_day, 0), UTC).date()
    for name in new.actions:
        if name not in known:
            raise ScenarioError(
                f"{path}: new_actions.actions: {name!r} is not in the catalogue; {suggestion(name, known)}"
            )
        if why := _never_new(known[name], day):
            raise ScenarioError(f"{path}: new_actions.actions: {name!r} {why}")
    actions = tuple(replace(a, valid_from=day) if a.id in new.actions else a for a in retailer.catalogue.actions)
    return replace(retailer, catalogue=replace(retailer.catalogue, actions=actions))


def _never_new(action: Action, day: date) -> str:
    """Why an action cannot appear on a day; empty if it can."""
    if action.id == HOLD.id:
        return "may always be done; leave it out"
    if action.status != "live":
        return f"is {action.status} in the catalogue and would never appear; make its status live, or leave it out"
    if action.valid_until and action.valid_until < day:
        return f"is valid until {action.valid_until} and would appear on {day}; choose an earlier from_day"
    return ""


def _first_problem(error: ValidationError | yaml.YAMLError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        rule = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        return f"{place} = {first['input']!r}: {rule}"
    return " ".join(str(error).split())
