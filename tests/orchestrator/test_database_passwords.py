"""The password in a database's URL is never shown."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from orchestrator.api.serve import configure_logging
from orchestrator.config.table import config_table
from orchestrator.database_urls import without_passwords
from orchestrator.errors import OrchestratorError
from orchestrator.load import load_retailer
from orchestrator.storage.database import open_database

RETAIL = Path(__file__).parents[2] / "configs" / "retail"
HIDDEN = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://journey:{HIDDEN}@127.0.0.1:1/journey",
        f"postgresql://journey:{HIDDEN}@w@127.0.0.1:1/journey",
        f"postgresql://journey:a/{HIDDEN}@127.0.0.1:1/journey",
        f"postgresql://journey:a {HIDDEN}@127.0.0.1:1/journey",
        f"postgresql://:{HIDDEN}@127.0.0.1:1/journey",
        f"postgresql://journey@127.0.0.1:1/journey?password={HIDDEN}",
        f"postgresql://journey@127.0.0.1:1/journey?sslpassword={HIDDEN}&password={HIDDEN}",
        f"postgresql://journey:{HIDDEN}@[::1/journey",
        f"mysql://journey:{HIDDEN}@127.0.0.1/journey",
        f"postgresql://journey:{HIDDEN}@127.0.0.1/",
    ],
)
def test_no_message_shows_it(url):
    with pytest.raises(OrchestratorError) as opening:
        open_database(url)
    assert HIDDEN not in str(opening.value)
    assert HIDDEN not in repr(opening.value)
    try:
        retailer = load_retailer(RETAIL, environment={"JOURNEY__SERVING__DATABASE": json.dumps(url)})
        said = str(config_table(retailer).caption)
    except OrchestratorError as error:
        said = str(error)
    assert HIDDEN not in said


@pytest.mark.parametrize("command", ["serve --dev", "keys list", "db check", "config check"])
def test_no_command_shows_it(command, tmp_path):
    (tmp_path / "retail").mkdir()
    for file in RETAIL.iterdir():
        (tmp_path / "retail" / file.name).write_text(file.read_text())
    serving = tmp_path / "retail" / "serving.yaml"
    serving.write_text(f"database: postgresql://journey:{HIDDEN}@127.0.0.1:1/journey?connect_timeout=2\n")
    for text in (serving.read_text(), serving.read_text() + "port: [\n"):
        serving.write_text(text)
        place = ["retail"] if command == "config check" else ["--config", "retail"]
        said = subprocess.run(
            [sys.executable, "-c", "from orchestrator.cli import main; main()", *command.split(), *place],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(RETAIL.parents[1])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in said.stderr
        assert said.stdout + said.stderr
        assert HIDDEN not in said.stdout + said.stderr


def test_no_log_line_shows_it(monkeypatch):
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level, settings = root.handlers[:], root.level, structlog.get_config()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging()
    try:
        try:
            raise RuntimeError(f"cannot connect to postgresql://journey:{HIDDEN}@db/journey")
        except RuntimeError:
            structlog.get_logger("ours").exception("failed")
            refused = "duplicate key\nDETAIL:  Key (customer_id)=(jane-doe) already exists.\nCONTEXT: x"
            logging.getLogger("theirs").error(refused)
            logging.getLogger("theirs").exception("failed at postgresql://journey:%s@db/journey", HIDDEN)
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.configure(**settings)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    ours, refused, theirs = lines
    # Messages of others' errors are left out whole; what is logged is shown without the password.
    assert all(line["exception"].endswith("RuntimeError") for line in (ours, theirs))
    assert theirs["event"] == "failed at postgresql://journey:***@db/journey"
    assert refused["event"] == "duplicate key\nDETAIL: ***\nCONTEXT: x"
    assert HIDDEN not in stream.getvalue()


@pytest.mark.parametrize("text", ["sqlite:///journey.db", "http://127.0.0.1:8080", "me@shop.example", "a: b @ c", ""])
def test_other_texts_stay_as_they_are(text):
    assert without_passwords(text) == text
