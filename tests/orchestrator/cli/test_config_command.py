"""`journey config check`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(("name", "action"), [("retail", "store.complete_look.apparel"), ("hillstrom", "email.mens")])
def test_a_good_configuration_is_shown_expanded(
    journey: Callable[..., Any], configs: Path, name: str, action: str
) -> None:
    said = journey("config", "check", configs / name)
    assert said.code == 0
    assert action in said.out
    assert said.err == ""


def test_the_environment_is_part_of_what_is_checked(
    journey: Callable[..., Any], configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY__SERVING__PORT", "9123")
    assert "127.0.0.1:9123" in journey("config", "check", configs / "retail").out


def test_a_missing_directory_is_told(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "no such directory" in refused("config", "check", tmp_path / "nowhere")


def test_a_typo_is_told_with_its_file_and_the_nearest_name(
    refused: Callable[..., str], configs: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(configs / "retail", tmp_path / "retail"))
    catalog = copy / "catalog.yaml"
    catalog.write_text(catalog.read_text().replace("channel: email", "channel: emial", 1))
    message = refused("config", "check", copy)
    assert "catalog.yaml" in message
    assert "did you mean 'email'" in message


@pytest.mark.parametrize("command", [("config", "check"), ("serve", "--dev", "--config")])
def test_rules_that_are_not_there_are_told_by_the_check_as_by_the_server(
    refused: Callable[..., str],
    configs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.setenv("JOURNEY__SERVING__DATABASE", f"sqlite:///{tmp_path / 'none.db'}")
    shares = "{policy: 0.9, business_rules: 0.1}"
    monkeypatch.setenv("JOURNEY__SERVING__GROUPS", f"{{shares: {shares}, business_rules: nowhere/rules}}")
    message = refused(*command, configs / "retail")
    assert "groups.business_rules = 'nowhere/rules': there is no such directory" in message
    assert "`journey train --scenario NAME`" in message
    assert "data/policies/NAME/business_rules" in message


def test_a_directory_that_holds_no_rules_is_told_by_the_check(
    refused: Callable[..., str], configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "rules"
    empty.mkdir()
    shares = "{policy: 0.9, business_rules: 0.1}"
    monkeypatch.setenv("JOURNEY__SERVING__GROUPS", f"{{shares: {shares}, business_rules: {empty}}}")
    assert "is not a policy: policy.json is missing" in refused("config", "check", configs / "retail")
