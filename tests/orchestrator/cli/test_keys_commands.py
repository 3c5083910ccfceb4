"""`journey keys`, and `journey serve` without any."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError

from orchestrator.access.scopes import Scope
from tests.database_rows import change, read_rows

ONE_KIND = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def keys(journey, configs, database_url):
    """`keys("list")` runs `journey keys list` on the test's database."""
    return lambda *arguments: journey("keys", *arguments, "--config", configs / "retail", "--database", database_url)


def create(keys, name="web-shop", scopes="decide,events", *more):
    said = keys("create", name, "--scopes", scopes, *more)
    assert said.code == 0, said
    return said.out.strip()


def test_a_key_is_printed_once_listed_and_revoked(keys):
    key = create(keys, "web-shop", "events, decide", "--expires", "90d", "--rate", "100/s")
    _, key_id, secret = key.split("_")
    assert key.startswith("jo_")
    listed = keys("list").out
    assert all(word in listed for word in (key_id, "web-shop", "decide,events", "100/s", "usable"))
    assert secret not in listed
    assert "revoked" in keys("revoke", key_id).out
    assert "revoked" in keys("list").out
    assert "was revoked before" in keys("revoke", key_id).out


def test_every_act_is_in_the_log_which_the_database_lets_nobody_change(keys, database_url):
    key_id = create(keys).split("_")[1]
    keys("revoke", key_id)
    keys("revoke", key_id)
    acts = read_rows(database_url, "SELECT who, what, target FROM audit_log ORDER BY sequence")
    assert [(act["what"], act["target"]) for act in acts] == [("key created", key_id), ("key revoked", key_id)]
    assert all(act["who"].startswith("cli:") and len(act["who"]) > 4 for act in acts)
    said = keys("log", "--last", "1").out
    assert "key revoked" in said
    assert "key created" not in said
    whole = "INTO audit_log (sequence, at, who, what, target) VALUES (1, 0, 'nobody', 'nothing', '')"
    statements = [
        "DELETE FROM audit_log",
        "UPDATE audit_log SET who = 'somebody else'",
        f"INSERT {whole} ON CONFLICT (sequence) DO UPDATE SET who = 'somebody else'",
    ]
    if database_url.startswith("sqlite"):
        statements += [f"REPLACE {whole}", f"INSERT OR REPLACE {whole}", "UPDATE OR REPLACE audit_log SET sequence = 1"]
    for statement in statements:
        with pytest.raises(DBAPIError, match="only ever added to"):
            change(database_url, statement)
    assert len(read_rows(database_url, "SELECT 1 FROM audit_log")) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "shop", "--scopes", "decide,event"), "did you mean 'events'"),
        (("create", "shop", "--scopes", ","), "names none"),
        (("create", "shop", "--scopes", "decide", "--expires", "90"), "--expires '90' must be a positive duration"),
        (("create", "shop", "--scopes", "decide", "--rate", "fast"), "write it like 100/s"),
        (("create", "shop", "--scopes", "decide", "--rate", "0/s"), "write it like 100/s"),
        (("create", "a\nb", "--scopes", "decide"), "printable"),
        (("list",), "no such file"),
        (("revoke", "x"), "no such file"),
    ],
)
def test_what_cannot_be_is_one_message(refused, configs, tmp_path, arguments, said):
    options = ("--config", configs / "retail", "--database", f"sqlite:///{tmp_path / 'none.db'}")
    assert said in refused("keys", *arguments, *options)


@ONE_KIND
def test_a_key_that_is_not_there_cannot_be_revoked(keys):
    key_id = create(keys).split("_")[1]
    said = keys("revoke", key_id[:-1] + "x")
    assert said.code == 2
    assert f"did you mean {key_id!r}" in said.err


@ONE_KIND
def test_nothing_is_served_that_nobody_could_ask_or_everybody_could(journey, keys, configs, database_url, monkeypatch):
    serve = ("serve", "--config", configs / "retail", "--database", database_url, "--port", "1")
    said = journey(*serve)
    assert said.code == 2
    assert "journey keys create" in said.err
    create(keys, "shop", "decide", "--expires", "0.001s")
    key_id = create(keys).split("_")[1]
    keys("revoke", key_id)
    assert "holds no usable key" in journey(*serve).err
    monkeypatch.setenv("JOURNEY__SERVING__HOST", "192.0.2.1")
    said = journey(*serve, "--dev")
    assert said.code == 2
    assert "can be reached from elsewhere" in said.err


def test_the_help_names_every_scope(journey):
    said = journey("keys", "create", "--help").out
    assert [scope for scope in Scope if scope not in said] == []
