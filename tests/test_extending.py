"""What docs/extending.md tells to do, done in a copy of the program, works; and touches no more files than it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
HEAD = re.compile(r"# (?P<file>[\w./]+)(, in (?P<table>\w+))?\n")


def blocks(section: str) -> list[tuple[str, str | None, str]]:
    """File, table and content of each block of a section."""
    text = TEXT.split(f"## {section}\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```", text, flags=re.S):
        head = HEAD.match(block)
        assert head, block
        found.append((head["file"], head["table"], block[head.end() :]))
    return found


def put(file: Path, table: str | None, content: str) -> None:
    """A new file, the end of a YAML file, or rows of a table, whose imports go to the top."""
    if table is None and not file.exists():
        file.write_text(content, encoding="utf-8")
        return
    text = file.read_text(encoding="utf-8")
    if table is None:
        file.write_text(f"{text.rstrip()}\n{content}", encoding="utf-8")
        return
    lines = content.splitlines(keepends=True)
    imports = "".join(line for line in lines if line.startswith(("from ", "import ")))
    rows = "".join(line for line in lines if line not in imports)
    begun = re.search(rf"^{table}\b.*[(:]\n", text, flags=re.M)
    assert begun, (file, table)
    text = text[: begun.end()] + rows + text[begun.end() :]
    if imports:
        text = text.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{imports}", 1)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def extended(tmp_path: Path) -> Callable[..., Callable[[str], str]]:
    """`extended(section)` makes a copy of the program with what a section tells; the copy runs Python code."""

    def run_in(code: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
        said = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        return said.stdout

    def extend(section: str, *, most_files: int) -> Callable[[str], str]:
        for package in ("orchestrator", "policies", "simulator", "configs"):
            shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        told = blocks(section)
        assert len({file for file, _, _ in told if file.endswith(".py")}) <= most_files
        for file, table, content in told:
            put(tmp_path / file, table, content)
        assert str(tmp_path) in run_in("import orchestrator; print(orchestrator.__file__)")
        return run_in

    return extend


SERVED = """
import asyncio, json
from dataclasses import replace
from pathlib import Path
import httpx2
from orchestrator.api.app import create_app
from orchestrator.config import ContactPolicy
from orchestrator.decision.core import DecisionCore
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.service import ServiceSettings
from policies import RandomPolicy

async def ask(test):
    retailer = load_retailer(Path("configs/retail"), environment={})
    serving = retailer.serving.model_copy(update={"database": "sqlite:///journey.db", "champion_poll_seconds": 0.005})
    retailer = replace(retailer, serving=serving, contacts=ContactPolicy())
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    policy = RandomPolicy(actions=core.actions, columns=core.columns)
    settings = ServiceSettings(retailer=retailer, champion=lambda: ("1", Path("x")), load_policy=lambda _: policy)
    app = create_app(settings, dev=True)
    transport = httpx2.ASGITransport(app=app)
    client = httpx2.AsyncClient(transport=transport, base_url="http://localhost")
    async with app.router.lifespan_context(app), client as c:
        visit = {"event_id": "e-1", "customer_id": "c-1", "type": "visit"}
        assert (await c.post("/v1/events", json=visit)).status_code == 200
        await test(c)
"""


def test_a_channel_is_decided_about_and_lived_through(extended: Callable[..., Callable[[str], str]]) -> None:
    run = extended("A channel", most_files=2)
    windows = Path(run("import os; print(os.getcwd())").strip()) / "configs" / "retail" / "goals.yaml"
    windows.write_text(windows.read_text().replace("windows: {", "windows: {push: 1 d, "))
    said = run(
        """
from pathlib import Path
import numpy as np
from policies import RandomPolicy
from simulator import Block, Setting, load_scenario
setting = Setting.of(load_scenario("baseline", configs=Path("configs")))
block = Block(setting, seed=1, block=0, customers=200, days=5)
result, log = block.live(RandomPolicy(actions=setting.core.actions, columns=setting.core.columns), log=True)
from simulator.world.results import METRICS
sent = result.daily[:, METRICS.index("push")].sum()
pushes = sum(n for n, a in zip(result.actions, setting.core.actions.ids) if a.startswith("push."))
assert sent == pushes > 20, (sent, pushes)
print("push.inspire.pantry" in setting.core.actions.ids, "push.consent" in setting.core.columns)
"""
    )
    assert said.split() == ["True", "True"]


def test_an_outcome_type_is_kept_counts_and_is_worth_something(extended: Callable[..., Callable[[str], str]]) -> None:
    run = extended("An outcome or event type", most_files=1)
    code = """
async def test(c):
    made = (await c.post("/v1/decisions", json={"customer_id": "c-1", "channels": ["site"]})).json()
    fact = {"outcome_id": "o-1", "decision_id": made["decision_id"], "type": "reviewed"}
    assert (await c.post("/v1/outcomes", json=fact)).json()["accepted"] == 1
    event = {"event_id": "e-2", "customer_id": "c-1", "type": "reviewed", "channel": "email"}
    assert (await c.post("/v1/events", json=event)).json()["accepted"] == 1
    print((await c.get(f"/v1/decisions/{made['decision_id']}")).json()["outcomes"][0]["type"])
    print((await c.get("/v1/customers/c-1")).json()["features"]["email.responses"])
asyncio.run(ask(test))
print(load_retailer(Path("configs/retail"), environment={}).goals.worth("reviewed"))
"""
    *_, kind, responses, worth = run(SERVED + code).split()
    assert (worth, kind) == ("0.3", "reviewed")
    assert float(responses) > 0


def test_a_webhook_is_served_and_what_it_does_not_know_is_kept_raw(
    extended: Callable[..., Callable[[str], str]],
) -> None:
    run = extended("A webhook of another system", most_files=2)
    code = """
async def test(c):
    at = "2026-01-20T18:00:00Z"
    sent = [{"id": "7", "event": "opened", "recipient": "c-1", "at": at}, {"id": "8", "event": "bounced"}]
    for _ in range(2):
        assert (await c.post("/v1/mailer", json={"messages": sent})).json() == {"success": True}
    counted = (await c.get("/metrics")).text.splitlines()
    print(*(line.split()[1] for line in counted if line.startswith(("journey_facts_total{kind=\\"events\\"",
        "journey_raw_messages_total{source=\\"mailer\\""))))
asyncio.run(ask(test))
"""
    assert "1.0" in run(SERVED + code).split()
    rows = "import sqlite3; c = sqlite3.connect('journey.db')\n"
    rows += "print(*c.execute('SELECT type FROM events ORDER BY sequence'))\n"
    rows += "print(*c.execute('SELECT source, name FROM raw_events'))"
    assert run(rows) == "('visit',) ('open',)\n('mailer', 'bounced')\n"
    scopes = "from orchestrator.api.scopes import scope_needed; print(scope_needed('POST', '/v1/mailer'))"
    assert run(scopes).strip() == "events"


def test_a_behaviour_changes_the_world_and_nobody_elses_numbers(extended: Callable[..., Callable[[str], str]]) -> None:
    code = """
import json
from pathlib import Path
from policies import RandomPolicy
from simulator import Block, Setting, load_scenario
from simulator.world.results import METRICS
setting = Setting.of(load_scenario("baseline", configs=Path("configs")))
block = Block(setting, seed=1, block=0, customers=400, days=40)
result, _ = block.live(RandomPolicy(actions=setting.core.actions, columns=setting.core.columns))
print(json.dumps([float(result.daily[:, METRICS.index("revenue")].sum()), result.customers]))
"""
    before = json.loads(
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )
    after = json.loads(extended("A behaviour of the world", most_files=2)(code))
    assert after[0] < before[0]
    assert after[1] == before[1]
