"""Aliases read without MLflow: the same answers as MLflow's client, and clear errors."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from policies.errors import RegistryError
from policies.registry.store import RegisteredPolicy, Store
from policies.registry.tracking import Tracker
from policies.review.publish import publish
from policies.vw.files import load_policy, save_policy


@pytest.fixture
def client(shelf: Any) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=shelf.store.uri, registry_uri=shelf.store.uri)


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_an_alias_read_from_the_database_is_what_mlflow_says(
    shelf: Any, client: Any, tmp_path: Path, alias: str
) -> None:
    version = client.get_model_version_by_alias("mail", alias)
    found = shelf.store.alias("mail", alias)
    assert found == RegisteredPolicy("mail", int(version.version), found.directory)
    downloaded = Path(client.download_artifacts(version.run_id, "policy", dst_path=str(tmp_path)))
    for name in ("policy.json", "model.vw", "SHA256"):
        assert (found.directory / name).read_bytes() == (downloaded / name).read_bytes()
    assert found.label == f"mail/{version.version}"


def test_the_models_with_a_champion_are_known_by_name(shelf: Any, client: Any, empty: Store) -> None:
    assert shelf.store.champions() == tuple(
        sorted(model.name for model in client.search_registered_models() if "champion" in model.aliases)
    )
    assert "mail" in shelf.store.champions()
    assert empty.champions() == ()


def test_a_moved_alias_is_seen_at_once_whoever_moves_it(shelf: Any, client: Any) -> None:
    Tracker(shelf.store).promote(2, model="mail")
    assert shelf.store.alias("mail", "champion").version == 2
    client.set_registered_model_alias("mail", "champion", "1")  # as the MLflow UI does
    assert shelf.store.alias("mail", "champion").version == 1
    client.set_registered_model_alias("mail", "challenger", "2")


def test_a_promoted_version_is_no_challenger_any_more(shelf: Any, client: Any) -> None:
    champion, challenger = (shelf.store.alias("mail", alias).version for alias in ("champion", "challenger"))
    Tracker(shelf.store).promote(champion, model="mail")
    assert shelf.store.alias("mail", "challenger").version == challenger
    Tracker(shelf.store).promote(challenger, model="mail")
    assert shelf.store.alias("mail", "champion").version == challenger
    assert shelf.store.alias("mail", "challenger") is None
    client.set_registered_model_alias("mail", "champion", str(champion))  # as the shelf was
    client.set_registered_model_alias("mail", "challenger", str(challenger))


def test_what_is_not_there_yet_is_none(shelf: Any, empty: Store) -> None:
    assert empty.alias("mail", "champion") is None
    assert empty.version("mail", 1) is None
    assert not empty.directory.exists()
    assert shelf.store.alias("mail", "shadow") is None
    assert shelf.store.alias("other model", "champion") is None
    assert shelf.store.version("mail", 99) is None


def test_a_deleted_version_is_not_found(shelf: Any, client: Any) -> None:
    version = client.create_model_version("mail", source=str(shelf.first.policy.directory)).version
    assert shelf.store.version("mail", int(version)) is not None
    client.delete_model_version("mail", version)
    assert shelf.store.version("mail", int(version)) is None
    with pytest.raises(RegistryError, match=f"has no version {version}"):
        Tracker(shelf.store).promote(int(version), model="mail")


def test_a_saved_policy_is_known_by_the_newest_version_that_is_the_same(
    shelf: Any, empty: Store, tmp_path: Path
) -> None:
    save_policy(shelf.result.policy, tmp_path / "same")
    # The same policy as others there are already, under any name.
    for version in (1, 2):
        publish(shelf.result, shelf.log, shelf.settings, store=shelf.store, model="newest", name="again")
        assert shelf.store.label_of(tmp_path / "same") == f"newest/{version}"
    more = load_policy(tmp_path / "same")
    more.learn(shelf.log)
    save_policy(more, tmp_path / "other")
    assert shelf.store.label_of(tmp_path / "other") == ""
    assert shelf.store.label_of(tmp_path / "nowhere") == ""
    assert empty.label_of(tmp_path / "same") == ""


def test_a_moved_store_says_that_it_cannot_be_moved(shelf: Any, tmp_path: Path) -> None:
    moved = Store(tmp_path / "elsewhere")
    moved.directory.mkdir()
    with closing(sqlite3.connect(shelf.store.database)) as source, closing(sqlite3.connect(moved.database)) as copy:
        source.backup(copy)
        copy.execute("UPDATE model_versions SET source = replace(source, '/mlruns/', '/gone/')")
        copy.commit()
    with pytest.raises(RegistryError, match=r"registered at .*/gone/.* cannot be moved: move it back or train again"):
        moved.alias("mail", "champion")


def test_a_file_that_is_no_mlflow_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    junk, foreign = Store(tmp_path / "junk"), Store(tmp_path / "foreign")
    for store in (junk, foreign):
        store.directory.mkdir()
    junk.database.write_bytes(b"not a database at all, only text" * 100)
    with closing(sqlite3.connect(foreign.database)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()
    for store in (junk, foreign):
        before = store.database.read_bytes()
        for use in (
            lambda: store.alias("mail", "champion"),  # noqa: B023 - used in this turn only
            lambda: Tracker(store).links("http://ui"),  # noqa: B023
            lambda: Tracker(store).promote(1),  # noqa: B023
        ):
            with pytest.raises(RegistryError, match="cannot be read as an MLflow store"):
                use()
        assert store.database.read_bytes() == before
        assert [p.name for p in store.directory.iterdir()] == ["mlflow.db"]


def test_promoting_an_unknown_version_changes_nothing(shelf: Any, empty: Store) -> None:
    with pytest.raises(RegistryError, match="has no version 99; see `journey ui`"):
        Tracker(shelf.store).promote(99, model="mail")
    assert shelf.store.alias("mail", "champion").version == 1
    with pytest.raises(RegistryError, match="has no version 1"):
        Tracker(empty).promote(1)
    assert not empty.directory.exists()


def test_a_store_that_is_being_written_can_still_be_read(shelf: Any) -> None:
    with closing(sqlite3.connect(shelf.store.database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert shelf.store.alias("mail", "champion").version == 1
        writer.rollback()


def test_a_store_may_be_named_with_odd_characters(shelf: Any, tmp_path: Path) -> None:
    odd = Store(tmp_path / "what? 100% #1")
    odd.directory.mkdir()
    shutil.copy(shelf.store.database, odd.database)
    assert odd.alias("mail", "champion") == shelf.store.alias("mail", "champion")
