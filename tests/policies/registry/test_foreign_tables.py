"""Which of MLflow's own tables and columns the registry reads; another release may name them otherwise."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mlflow import MlflowClient

from policies.registry.store import Store

READ = {
    "registered_model_aliases": {"name", "alias", "version"},
    "model_versions": {"name", "version", "source", "current_stage"},
}


def test_the_tables_have_the_columns_that_are_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "mlruns")
    client = MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
    client.create_registered_model("a-model")
    version = client.create_model_version("a-model", source=str(tmp_path))
    client.set_registered_model_alias("a-model", "champion", version.version)
    with closing(sqlite3.connect(store.database)) as connection:
        for table, columns in READ.items():
            found = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            assert columns <= found, table
        alias = connection.execute("SELECT name, alias, version FROM registered_model_aliases").fetchone()
        assert (alias[0], alias[1], str(alias[2])) == ("a-model", "champion", "1")
        (stage,) = connection.execute("SELECT current_stage FROM model_versions").fetchone()
        assert stage != "Deleted_Internal"
        client.delete_model_version("a-model", version.version)
        (stage,) = connection.execute("SELECT current_stage FROM model_versions").fetchone()
        assert stage == "Deleted_Internal"
