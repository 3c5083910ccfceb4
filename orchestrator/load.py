"""Loading a retailer: its files, and what the conditions of its actions may name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.config import Retailer
from orchestrator.config.catalogue import expand_template
from orchestrator.config.files import read_retailer
from orchestrator.config.models import ActionTemplate, CatalogFile
from orchestrator.eligibility.expressions import Expression
from orchestrator.eligibility.targeting import target_names
from orchestrator.errors import ConfigError, ExpressionError, suggestion


def load_retailer(directory: Path, *, environment: Mapping[str, str] | None = None) -> Retailer:
    """Read one retailer's directory and check it as a whole.

    Any value can be overridden from the environment, see `orchestrator.config.files.read_retailer`.

    Args:
        directory: holds catalog, channels, goals, serving, training and profiles, each `.yaml`, contacts
            if there are rules, and events if other systems' names differ from ours.
        environment: variables to look for overrides in; the process environment if not given.

    Raises:
        ConfigError: with every problem of every file at once.
    """
    retailer, catalog = read_retailer(directory, environment=environment)
    if problems := list(_condition_problems(directory / "catalog.yaml", catalog, retailer)):
        raise ConfigError(problems)
    return retailer


def _condition_problems(path: Path, file: CatalogFile, retailer: Retailer) -> Iterator[str]:
    """Sentences about content fields and targeting expressions of `catalog.yaml` that name what is not there."""
    for i, template in enumerate(file.actions):
        place = f"{path}: actions[{i}] ({template.id})"
        for field in template.requires:
            if field not in retailer.profiles.content_fields:
                hint = suggestion(field, retailer.profiles.content_fields)
                yield f"{place}.requires: {field!r} is not among content_fields of profiles.yaml; {hint}"
        if template.targeting is not None:
            yield from dict.fromkeys(
                f"{place}.targeting = {template.targeting!r}: {problem}" for problem in _targeting(template, retailer)
            )


def _targeting(template: ActionTemplate, retailer: Retailer) -> Iterator[str]:
    names = target_names(retailer)
    for action in expand_template(template, retailer.catalogue.categories, retailer.channels):
        try:
            Expression.parse(action.targeting, names=names)
        except ExpressionError as error:
            yield str(error)
