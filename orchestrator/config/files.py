"""Reading a retailer: every file, the environment's overrides, then what must agree between files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from orchestrator.config.catalogue import ANY, HOLD, Catalogue
from orchestrator.config.contact_checks import contact_problems
from orchestrator.config.contact_policy import ContactPolicy
from orchestrator.config.event_names import EventNames, event_name_problems
from orchestrator.config.models import (
    ActionTemplate,
    CatalogFile,
    ChannelsFile,
    Goals,
    ProfileSettings,
    Serving,
    Settings,
    Training,
)
from orchestrator.config.reading import Override, Read, overrides_of, read_file
from orchestrator.config.retailer import Retailer
from orchestrator.errors import ConfigError, suggestion

Model = TypeVar("Model", bound=Settings)
FILES: dict[str, type[Settings]] = {
    "catalog": CatalogFile,
    "channels": ChannelsFile,
    "goals": Goals,
    "serving": Serving,
    "training": Training,
    "profiles": ProfileSettings,
    "contacts": ContactPolicy,
    "events": EventNames,
}
OPTIONAL = ("contacts", "events")


def read_retailer(directory: Path, *, environment: Mapping[str, str] | None = None) -> tuple[Retailer, CatalogFile]:
    """Read one retailer's directory, and the catalogue's templates as they stand there.

    `orchestrator.load.load_retailer` checks the conditions of its actions, too.

    Any value can be overridden from the environment: `JOURNEY__SERVING__PORT=9000` sets `port` in
    `serving.yaml`; the parts after the prefix are the file, then the keys (a number indexes a list),
    joined by two underscores, and the value is read as YAML.

    Args:
        directory: holds catalog, channels, goals, serving, training and profiles, each `.yaml`, contacts
            if there are rules, and events if other systems' names differ from ours.
        environment: variables to look for overrides in; the process environment if not given.

    Raises:
        ConfigError: with every problem of every file at once.
    """
    if not directory.is_dir():
        raise ConfigError([f"{directory}: no such directory; give one that holds {', '.join(FILES)} .yaml files"])
    overrides = overrides_of(os.environ if environment is None else environment)
    problems = [
        f"environment {o.variable}: no file named {o.stem}.yaml; {suggestion(o.stem, FILES)}"
        for o in overrides
        if o.stem not in FILES
    ]
    catalog = _read(directory, "catalog", CatalogFile, overrides)
    channels = _read(directory, "channels", ChannelsFile, overrides)
    goals = _read(directory, "goals", Goals, overrides)
    serving = _read(directory, "serving", Serving, overrides)
    training = _read(directory, "training", Training, overrides)
    profiles = _read(directory, "profiles", ProfileSettings, overrides)
    contacts = _read(directory, "contacts", ContactPolicy, overrides)
    events = _read(directory, "events", EventNames, overrides)
    for read in (catalog, channels, goals, serving, training, profiles, contacts, events):
        problems += read.problems
    names = list(channels.model.channels) if channels.model else None
    catalogue = None
    if catalog.model:
        catalog_problems = list(_catalog_problems(directory / "catalog.yaml", catalog.model, names))
        if channels.model and not catalog_problems:
            catalogue = Catalogue.expand(catalog.model, channels.model.channels)
        problems += catalog_problems
    if goals.model and names is not None:
        problems += _window_problems(directory / "goals.yaml", goals.model, names)
    if channels.model:
        problems += _placement_problems(directory / "channels.yaml", channels.model)
    if profiles.model:
        problems += _attribute_problems(directory / "profiles.yaml", profiles.model)
    if contacts.model:
        problems += contact_problems(
            directory / "contacts.yaml",
            contacts.model,
            channels=channels.model.channels if channels.model else None,
            catalogue=catalogue,
        )
    if events.model:
        problems += event_name_problems(
            directory / "events.yaml",
            events.model,
            channels=channels.model.channels if channels.model else None,
            categories=catalog.model.categories if catalog.model else None,
            profiles=profiles.model,
        )
    if problems or not (
        catalog.model
        and channels.model
        and goals.model
        and serving.model
        and training.model
        and profiles.model
        and contacts.model
        and events.model
        and catalogue
    ):
        raise ConfigError(problems)
    return Retailer(
        directory=directory,
        catalogue=catalogue,
        channels=channels.model.channels,
        goals=goals.model,
        serving=serving.model,
        training=training.model,
        profiles=profiles.model,
        contacts=contacts.model,
        events=events.model,
    ), catalog.model


def configs_dir() -> Path:
    """The folder of retailers: `JOURNEY_CONFIGS`, or `configs` in the working directory.

    Raises:
        ConfigError: it is not a directory.
    """
    folder = Path(os.environ.get("JOURNEY_CONFIGS", "configs"))
    if not folder.is_dir():
        raise ConfigError(
            [f"{folder.absolute()}: no such directory; run from the repository or set JOURNEY_CONFIGS to its configs"]
        )
    return folder


def _read(directory: Path, stem: str, model: type[Model], overrides: tuple[Override, ...]) -> Read[Model]:
    of_file = tuple(o for o in overrides if o.stem == stem)
    return read_file(directory / f"{stem}.yaml", model, of_file, optional=stem in OPTIONAL)


def _catalog_problems(path: Path, file: CatalogFile, channels: list[str] | None) -> Iterator[str]:
    for category, count in Counter(file.categories).items():
        if count > 1 or category == ANY:
            why = "is given twice; remove one" if count > 1 else "means every category; choose another name"
            yield f"{path}: categories: {category!r} {why}"
    ids: Counter[str] = Counter({HOLD.id: 0})
    for i, action in enumerate(file.actions):
        place = f"{path}: actions[{i}] ({action.id})"
        if channels is not None and action.channel not in channels:
            yield f"{place}.channel = {action.channel!r}: no such channel; {suggestion(action.channel, channels)}"
        yield from _category_problems(place, action, file.categories)
        per_category = "{category}" in action.id
        for category in (action.categories or file.categories) if per_category else (ANY,):
            ids[action.id.replace("{category}", category)] += 1
    for action_id, count in ids.items():
        if count > 1:
            yield f"{path}: actions: {action_id!r} is given {count} times; rename or remove"
    if ids[HOLD.id]:
        yield f"{path}: actions: {HOLD.id!r} is always there, without being listed; remove it"


def _category_problems(place: str, action: ActionTemplate, categories: tuple[str, ...]) -> Iterator[str]:
    per_category = "{category}" in action.id
    for category in action.categories or ():
        if category not in categories:
            yield f"{place}.categories: {category!r} is not a category; {suggestion(category, categories)}"
    if action.categories is not None and not per_category:
        yield f"{place}.categories: has no effect without {{category}} in the id; add it or remove 'categories'"
    subjects = (*categories, ANY, *(["{category}"] if per_category else []))
    if action.subject is not None and action.subject not in subjects:
        yield f"{place}.subject = {action.subject!r}: not a category; {suggestion(action.subject, subjects)}"


def _window_problems(path: Path, goals: Goals, channels: list[str]) -> Iterator[str]:
    for channel in goals.windows:
        if channel not in channels:
            yield f"{path}: windows.{channel}: no such channel; {suggestion(channel, channels)}"
    for channel in channels:
        if channel not in goals.windows:
            yield f"{path}: windows.{channel}: missing; add how long an outcome counts, such as '7 d'"


def _placement_problems(path: Path, file: ChannelsFile) -> Iterator[str]:
    placements = Counter(p for channel in file.channels.values() for p in channel.placements)
    for placement in _repeated(placements.elements()):
        yield f"{path}: placements: {placement!r} is given twice; a request names its placement only, so rename one"


def _attribute_problems(path: Path, file: ProfileSettings) -> Iterator[str]:
    for name, attribute in file.attributes.items():
        for value in _repeated(attribute.values):
            yield f"{path}: attributes.{name}.values: {value!r} is given twice; remove one"
    for name in _repeated(file.content_fields):
        yield f"{path}: content_fields: {name!r} is given twice; remove one"


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
