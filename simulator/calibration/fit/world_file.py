"""Writing fitted numbers into world.yaml without touching anything else in it: comments and layout are its authors'."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from simulator.calibration.fit.world_fit import FittedNumber, FittedWorld
from simulator.errors import CalibrationError

_SECTION = re.compile(r"^(\w+):\s*(#.*)?$")
_ENTRY = re.compile(r"^(?P<start>\s+(?P<key>\w+):\s*)\{value:[^{}]*\bsource:[^{}]*\}(?P<space>\s*)(?P<comment>#.*)?$")
_WEEKDAY = re.compile(r"^weekday:\s*\[[^\]]*\]")
_WRITTEN_DIGITS, _CHECKED_DIGITS = 4, 3
_WEEKDAY_DECIMALS = 4


def with_fitted(text: str, fitted: FittedWorld) -> str:
    """The text of a world.yaml with the fitted numbers and their sources in place of the old ones.

    Raises:
        CalibrationError: an entry says it has a source and nothing is fitted to it, or a fitted one does not.
    """
    lines, section, missing = [], "", dict(fitted.numbers)
    for line in text.splitlines():
        if header := _SECTION.match(line):
            section = header[1]
        written = line
        if entry := _ENTRY.match(line):
            name = f"{section}.{entry['key']}"
            if name not in fitted.numbers:
                raise CalibrationError(
                    f"world.yaml: {name} has a source, and no data here speak for it; say {{value, range}}"
                )
            written = _entry(entry, missing.pop(name))
        lines.append(_WEEKDAY.sub(_weekday(fitted), written))
    if missing:
        raise CalibrationError(
            f"world.yaml: no line for {', '.join(missing)}; write each as `{next(iter(missing)).split('.')[1]}: "
            "{value: 1, source: fitted}` in its section"
        )
    return "\n".join(lines) + "\n"


def differences(text: str, fitted: FittedWorld) -> list[str]:
    """What a world.yaml says that the fit does not, to three significant digits; one line each, naming the number."""
    content = yaml.safe_load(text)
    names = (f"weekday[{day}]" for day in range(len(fitted.weekday)))
    expected: dict[str, float] = dict(zip(names, fitted.weekday, strict=True))
    said: dict[str, float] = dict(zip(expected, content["weekday"], strict=True))
    for name, number in fitted.numbers.items():
        expected[name], said[name] = number.value, _said(content, name)
    return [
        f"{name}: world.yaml says {said[name]:g}, the fit {value:.{_WRITTEN_DIGITS}g}"
        for name, value in expected.items()
        if not _same(said[name], value)
    ]


def write_world(path: Path, fitted: FittedWorld) -> None:
    """Put the fitted numbers into the file.

    Raises:
        CalibrationError: as `with_fitted`.
    """
    path.write_text(with_fitted(path.read_text(encoding="utf-8"), fitted), encoding="utf-8")


def _said(content: Mapping[str, Any], name: str) -> float:
    section, key = name.split(".")
    return float(content[section][key]["value"])


def _same(said: float, value: float) -> bool:
    if not said or not value:
        return said == value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - _CHECKED_DIGITS + 1)
    return abs(said - value) <= unit / 2


def _entry(entry: re.Match[str], number: FittedNumber) -> str:
    """The line with new content; its comment stays in its column where there is room."""
    source = number.source if re.fullmatch(r"[\w ./'()&%-]+", number.source) else f'"{number.source}"'
    line = f"{entry['start']}{{value: {number.value:.{_WRITTEN_DIGITS}g}, source: {source}}}"
    if not entry["comment"]:
        return line
    return f"{line:<{entry.start('comment') - 2}}  {entry['comment']}"


def _weekday(fitted: FittedWorld) -> str:
    return f"weekday: [{', '.join(f'{share:.{_WEEKDAY_DECIMALS}f}' for share in fitted.weekday)}]"
