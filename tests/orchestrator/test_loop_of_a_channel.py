"""The commands of the channel engineer's page can be typed one after the other, as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api_keys import make_key

PAGE = (Path(__file__).parents[2] / "docs" / "channel-engineer.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)


def test_the_key_is_seen_and_known_in_the_terminal_that_asks():
    first_use = next(i for i, block in enumerate(BLOCKS) if "$KEY" in block)
    (made,) = [i for i, block in enumerate(BLOCKS[:first_use]) if "journey keys create" in block]
    assert "$(journey keys create" not in BLOCKS[made]  # it would swallow the key, which is shown once
    assert "journey serve" in BLOCKS[made]
    second = "".join(BLOCKS[made + 1 : first_use + 1])
    assert second.index("activate") < second.index("export KEY=") < second.index("$KEY")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_whole_loop_runs_with_a_key_of_the_scopes_it_shows(server, retailer):
    scopes = re.search(r"journey keys create web-shop --scopes (\S+)", PAGE)
    assert scopes
    text = make_key(retailer.serving.database, scopes[1])
    (loop,) = [block for block in BLOCKS if "DECISION=" in block]
    environment = {**os.environ, "KEY": text, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with server(dev=False) as running:
        said = subprocess.run(
            ["bash", "-euc", loop.replace("localhost:8080", f"127.0.0.1:{running.port}")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    answers, end = [], 0
    while end < len(said.stdout):
        answer, end = json.JSONDecoder().raw_decode(said.stdout, end)
        answers.append(answer)
    events, outcomes, record = answers
    assert (events["accepted"], outcomes["accepted"]) == (2, 1)
    assert [outcome["type"] for outcome in record["outcomes"]] == ["click"]
    assert record["decision_id"] in said.stderr  # the decision is shown too
