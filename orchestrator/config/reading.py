"""Reading one YAML file into its model, with every problem told as file, path, value and fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.errors import suggestion

Model = TypeVar("Model", bound=BaseModel)
Path_ = tuple[str | int, ...]
PREFIX = "JOURNEY__"


@dataclass(frozen=True)
class Override:
    """One environment variable `JOURNEY__<FILE>__<KEY>...=<YAML value>`."""

    variable: str
    stem: str
    path: Path_
    text: str


@dataclass(frozen=True)
class Read(Generic[Model]):
    """A file's model, or none and the problems that prevented it."""

    model: Model | None
    problems: tuple[str, ...]


def overrides_of(environment: Mapping[str, str]) -> tuple[Override, ...]:
    """The overrides in an environment, in name order; keys are lower-cased, numbers index lists."""
    found = []
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            stem, *path = variable.removeprefix(PREFIX).lower().split("__")
            keys = tuple(int(part) if part.isdigit() else part for part in path)
            found.append(Override(variable, stem, keys, environment[variable]))
    return tuple(found)


def read_file(
    path: Path, model: type[Model], overrides: tuple[Override, ...], *, optional: bool = False
) -> Read[Model]:
    """Read and check one file, its overrides applied first; an optional one that is missing is as good as empty."""
    try:
        data = None if optional and not path.exists() else _yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        present = sorted(p.name for p in path.parent.glob("*.y*ml"))
        return Read(None, (f"{path}: missing; create it ({suggestion(path.name, present)})",))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return Read(None, (f"{path}: cannot be read as YAML: {' '.join(str(error).split())}",))
    data = {} if data is None else data
    problems = [problem for override in overrides if (problem := _apply(override, data))]
    try:
        checked = model.model_validate(data)
    except ValidationError as error:
        problems += [_sentence(path, model, data, detail, overrides) for detail in error.errors()]
        return Read(None, tuple(problems))
    return Read(None if problems else checked, tuple(problems))


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader


def _apply(override: Override, data: Any) -> str:
    """Write the override into `data`; a sentence if its path cannot exist, else empty."""
    try:
        value = _yaml(override.text)
    except yaml.YAMLError as error:
        return f"environment {override.variable}={override.text!r}: not a YAML value ({' '.join(str(error).split())})"
    if not override.path:
        return f"environment {override.variable}: names a file but no key; use {PREFIX}{override.stem.upper()}__KEY"
    inner = data
    for i, key in enumerate(override.path):
        fits = (isinstance(inner, dict) and isinstance(key, str)) or (
            isinstance(inner, list) and isinstance(key, int) and key < len(inner)
        )
        if not fits:
            where = "__".join(str(part) for part in override.path[: i + 1]).upper()
            return f"environment {override.variable}: no such path at {where}; check the file's structure"
        if i == len(override.path) - 1:
            inner[key] = value
        else:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else inner[key]
    return ""


def _sentence(
    path: Path, model: type[BaseModel], data: Any, detail: ErrorDetails, overrides: tuple[Override, ...]
) -> str:
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    source = next((f"environment {o.variable}" for o in overrides if o.path and loc[: len(o.path)] == o.path), path)
    place = _place(loc, data)
    match detail["type"]:
        case "extra_forbidden":
            hint = suggestion(loc[-1], _fields_at(model, loc[:-1]))
            return f"{source}: {place}: unknown key; {hint}"
        case "missing":
            return f"{source}: {place}: missing; add it"
        case "literal_error":
            allowed = detail["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            return f"{source}: {place} = {detail['input']!r}: not allowed; {suggestion(detail['input'], allowed)}"
        case "string_pattern_mismatch":
            return f"{source}: {place} = {detail['input']!r}: must match {detail['ctx']['pattern']}"
        case _:
            refused = detail.get("ctx", {}).get("error")
            rule = str(refused) if refused else detail["msg"].replace("Input should", "should")
            value = f" = {detail['input']!r}" if not isinstance(detail["input"], dict | list) else ""
            return f"{source}: {place}{value}: {rule}"


def _place(loc: Path_, data: Any) -> str:
    """`actions[3] (email.offer).cost`: the path, with the id of a list item beside its number."""
    place, inner = "", data
    for part in loc:
        try:
            inner = inner[part]
        except (KeyError, IndexError, TypeError):
            inner = None
        if isinstance(part, int):
            named = f" ({inner['id']})" if isinstance(inner, dict) and "id" in inner else ""
            place += f"[{part}]{named}"
        else:
            place += f".{part}" if place else str(part)
    return place or "the whole file"


def _fields_at(model: type[BaseModel], loc: Path_) -> list[str]:
    """Names allowed at a path inside a model."""
    at: Any = model
    for part in loc:
        if _is_model(at):
            at = at.model_fields[part].annotation if part in at.model_fields else None
        else:
            # A container of models: `tuple[Model, ...]` or `dict[str, Model]`.
            at = next((argument for argument in get_args(at) if _is_model(argument)), None)
    return [field.alias or name for name, field in at.model_fields.items()] if _is_model(at) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and not get_origin(annotation) and issubclass(annotation, BaseModel)


class _Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; this loader refuses them.

    PyYAML also reads the time 21:30 as the number 1290 (YAML 1.1); this loader leaves it a text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, refusing a repeated key."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                mark = node.value[i][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice; remove one", mark)
        return super().construct_mapping(node, deep=deep)


def _number_or_time(loader: _Loader, node: yaml.ScalarNode) -> Any:
    if ":" in node.value:
        return loader.construct_scalar(node)
    return loader.construct_yaml_int(node) if node.tag.endswith("int") else loader.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _number_or_time)
_Loader.add_constructor("tag:yaml.org,2002:float", _number_or_time)
