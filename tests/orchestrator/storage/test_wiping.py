"""What is deleted leaves no bytes behind, however the pages it stood on were split and joined before."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from orchestrator.log.facts import write_rows, write_stated
from orchestrator.privacy.erasing import erase_customer
from orchestrator.storage.database import READ_ONLY, open_database
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.residue_scan import holds_any
from orchestrator.storage.tables import events

CUSTOMERS = 240


def test_files_hold_nothing_of_the_erased(tmp_path):
    draw = random.Random(0)  # noqa: S311
    engine = open_database(f"sqlite:///{tmp_path / 'journey.db'}")
    living = []
    for turn in range(CUSTOMERS):
        living.append(f"customer-{draw.getrandbits(40):010x}")
        whose = draw.choices(living, k=10)
        with engine.begin() as connection:
            fact = {"type": "view", "timestamp": 1.0, "received_at": 1.0}
            rows = [
                {"event_id": f"{draw.getrandbits(64):x}", "customer_id": c, **fact, "body": c * draw.choice([1, 9, 99])}
                for c in whose
            ]
            write_rows(connection, events, rows)
            texts = [{"customer_id": c, "name": draw.choice("abcd"), "value": c * draw.randrange(1, 40)} for c in whose]
            write_stated(connection, [{**text, "stated_at": float(turn)} for text in texts])
        if turn % 4 == 3:
            gone = living.pop(draw.randrange(len(living)))
            with engine.begin() as connection:
                erased = erase_customer(connection, gone, who="test", now=0.0)
            assert dialect_of(engine).wipe(engine, ids=erased.ids, texts=erased.texts)
            for file in tmp_path.iterdir():
                assert gone.encode() not in file.read_bytes(), (turn, file.name)
    engine.dispose()


@pytest.mark.parametrize("where", [0, 1, 100, (1 << 20) - 3, (1 << 20) + 5, 2_500_000])
def test_traces_are_found_wherever_they_stand(tmp_path, where):
    file = tmp_path / "it"
    file.write_bytes(b"." * where + b'a "quoted" id' + b"." * 50)
    assert holds_any(file, ['a "quoted" id'])
    assert holds_any(file, ["another", 'a "quoted" id'])
    assert not holds_any(file, ["another", 'a "quoted" ID'])
    file.write_bytes(b"." * where + rb"a \"quoted\" id")
    assert holds_any(file, ['a "quoted" id'])


@pytest.mark.parametrize("written", ["zoë", r"zo\u00eb"])
def test_traces_are_found_however_json_writes_them(tmp_path, written):
    file = tmp_path / "it"
    file.write_text(f'{{"id": "{written}-2"}}', encoding="utf-8")
    assert holds_any(file, ["zoë"])
    assert holds_any(file, ["zoë-2"], whole=True)
    assert not holds_any(file, ["zoë"], whole=True)


def test_somebody_who_reads_on_prevents_it_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.storage.dialect.PATIENCE", 0.1)
    engine = open_database(f"sqlite:///{tmp_path / 'journey.db'}")
    with engine.execution_options(**READ_ONLY).connect() as reader:
        with engine.begin() as connection:
            write_stated(connection, [{"customer_id": "jane-doe", "name": "a", "value": "b", "stated_at": 1.0}])
        reader.exec_driver_sql("SELECT * FROM stated").all()
        with engine.begin() as connection:
            erased = erase_customer(connection, "jane-doe", who="test", now=0.0)
        assert not dialect_of(engine).wipe(engine, ids=erased.ids, texts=erased.texts)
    assert dialect_of(engine).wipe(engine, ids=erased.ids, texts=erased.texts)
    assert b"jane-doe" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    engine.dispose()


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        ('{"of": "jane-doe-2"}', True),  # another id, of which this one is a part
        ('{"friend": "jane-doe"}', False),
        ('{"friend": "zo\\u00eb"}', False),
        ('{"friend": "zoë"}', False),
    ],
)
def test_an_id_that_somebody_elses_rows_say_is_not_called_gone(tmp_path, body, gone):
    engine = open_database(f"sqlite:///{tmp_path / 'journey.db'}")
    with engine.begin() as connection:
        row = {"event_id": "e-1", "customer_id": "c-2", "type": "view", "timestamp": 1.0, "received_at": 1.0}
        write_rows(connection, events, [{**row, "body": body}])
        both = [erase_customer(connection, who, who="test", now=0.0) for who in ("jane-doe", "zoë")]
    wiped = [dialect_of(engine).wipe(engine, ids=erased.ids, texts=erased.texts) for erased in both]
    assert all(wiped) is gone
    engine.dispose()


def test_wiping_keeps_the_locks_by_which_processes_share_a_file(tmp_path):
    """Closing the file anywhere in a process drops them all; then another process believes to be alone."""
    url = f"sqlite:///{tmp_path / 'journey.db'}"
    engine = open_database(url)
    with engine.begin() as connection:
        erased = erase_customer(connection, "jane-doe", who="test", now=0.0)
    with engine.connect() as kept:  # as a server's writer keeps one
        kept.rollback()
        assert dialect_of(engine).wipe(engine, ids=erased.ids, texts=erased.texts)
        look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM stated'); c.close()"
        subprocess.run([sys.executable, "-c", look, tmp_path / "journey.db"], check=True)
        assert (tmp_path / "journey.db-wal").exists()  # the last one to leave would remove it
    engine.dispose()
