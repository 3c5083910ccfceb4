"""A service over the retail configuration, in this process or in one of its own."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from orchestrator.api.app import create_app
from orchestrator.config import ContactPolicy, Retailer
from orchestrator.decision.core import DecisionCore
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.service import ServiceSettings
from policies.learning.baselines import RandomPolicy
from tests.database_rows import read_rows

ROOT = Path(__file__).parents[2]


@dataclass
class Champion:
    """The champion as the registry would tell it (or fail to), and how a policy is loaded; a test may turn both."""

    current: tuple[str, Path] | Exception | None
    load: Callable[[Path], Any]

    def ask(self) -> tuple[str, Path] | None:
        """What the registry answers."""
        if isinstance(self.current, Exception):
            raise self.current
        return self.current


@dataclass
class Served:
    """A running application and a client of it."""

    client: httpx2.AsyncClient
    app: Any
    retailer: Retailer
    champion: Champion

    async def know(self, *customers: str) -> None:
        """Make customers known by one event each."""
        events = [{"event_id": f"visit-{c}", "customer_id": c, "type": "visit"} for c in customers]
        answer = await self.client.post("/v1/events", json=events)
        assert answer.status_code == 200, answer.text

    async def decide(self, customer: str, **more: Any) -> dict[str, Any]:
        """A decision for a known customer."""
        answer = await self.client.post("/v1/decisions", json={"customer_id": customer, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def decided_by(self, version: str, customer: str = "c-1", **more: Any) -> dict[str, Any]:
        """The first decision made by this policy version, which must come within seconds."""
        deadline = time.monotonic() + 20
        while (made := await self.decide(customer, **more))["policy_version"] != version:
            assert time.monotonic() < deadline, f"{made['policy_version']} still serves, not {version}"
        return made

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table, read by a connection of its own."""
        return read_rows(self.retailer.serving.database, f"SELECT * FROM {table}")  # noqa: S608


def random_policy(retailer: Retailer) -> RandomPolicy:
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    return RandomPolicy(actions=core.actions, columns=core.columns)


@pytest.fixture
def retailer(database_url: str) -> Retailer:
    """The retail configuration with a database of the test's own, of either kind, and no contact policy."""
    retailer = load_retailer(ROOT / "configs" / "retail", environment={})
    changes = {"database": database_url, "champion_poll_seconds": 0.005}
    # By the shipped one, what may be said depends on the time of day a test runs at.
    return replace(retailer, serving=retailer.serving.model_copy(update=changes), contacts=ContactPolicy())


@pytest.fixture
def champion(retailer: Retailer) -> Champion:
    """Version 1: random, over this retailer's catalogue."""
    policy = random_policy(retailer)
    return Champion(current=("1", Path("unused")), load=lambda _: policy)


@pytest.fixture
def serving(retailer: Retailer, champion: Champion) -> Callable[..., AbstractAsyncContextManager[Served]]:
    """`async with serving() as served:` runs the application in this process; with `dev=False` it asks for keys."""

    @asynccontextmanager
    async def run(
        of: Retailer = retailer, clock: Callable[[], float] = time.time, *, dev: bool = True
    ) -> AsyncIterator[Served]:
        app = create_app(
            ServiceSettings(
                retailer=of,
                champion=champion.ask,
                load_policy=lambda directory: champion.load(directory),  # noqa: PLW0108 - may be replaced later
                clock=clock,
            ),
            dev=dev,
        )
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://localhost") as c,
        ):
            yield Served(client=c, app=app, retailer=of, champion=champion)

    return run


@pytest.fixture
def ask(serving: Callable[..., Any]) -> Callable[[Callable[[Served], Awaitable[Any]]], Any]:
    """`ask(test)` runs the coroutine function `test(served)` against a fresh application."""

    def run(test: Callable[[Served], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            async with serving() as served:
                return await test(served)

        return asyncio.run(inside())

    return run


SERVER = """
import json
import sys
from dataclasses import replace
from pathlib import Path
from orchestrator.api.serve import serve
from orchestrator.config import ContactPolicy
from orchestrator.load import load_retailer
from orchestrator.decision.core import DecisionCore
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.service import ServiceSettings
from policies.learning.baselines import RandomPolicy

retailer = load_retailer(Path(sys.argv[1]), environment={})
operations = retailer.serving.operations.model_copy(update=json.loads(sys.argv[5]))
changes = {"database": sys.argv[2], "port": int(sys.argv[3]), "operations": operations}
contacts = ContactPolicy.model_validate_json(sys.argv[4])
retailer = replace(retailer, serving=retailer.serving.model_copy(update=changes), contacts=contacts)
core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
policy = RandomPolicy(actions=core.actions, columns=core.columns)
settings = ServiceSettings(retailer=retailer, champion=lambda: ("1", Path()), load_policy=lambda _: policy)
serve(settings, dev=sys.argv[6] == "dev")
"""


@dataclass
class ServerProcess:
    """A server in a process of its own; `lines` are those of its log so far."""

    process: subprocess.Popen[str]
    url: str
    port: int
    lines: list[str]
    reading: threading.Thread

    def whole_log(self) -> list[str]:
        """All lines of a server that ends."""
        self.reading.join(timeout=60)
        return self.lines


@pytest.fixture
def server(retailer: Retailer) -> Callable[..., AbstractContextManager[ServerProcess]]:
    """`with server() as running:` serves over HTTP from another process, on the test's database.

    `server(contacts={...})` has a contact policy, as it would stand in contacts.yaml; with `dev=False` it asks for
    keys; whatever else is given is a setting of operations.
    """

    @contextmanager
    def run(
        contacts: Mapping[str, Any] | None = None, *, dev: bool = True, **operations: Any
    ) -> Iterator[ServerProcess]:
        # Port 0: the system chooses one, and the log says which.
        configuration, database = str(ROOT / "configs" / "retail"), retailer.serving.database
        command = [sys.executable, "-c", SERVER, configuration, database, "0", json.dumps(contacts or {})]
        command += [json.dumps(operations), "dev" if dev else "keys"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            try:
                lines: list[str] = []
                assert process.stderr is not None
                for line in process.stderr:
                    lines.append(line)
                    if found := re.search(r"running on (http://127\.0\.0\.1:(\d+))", line):
                        break
                else:
                    pytest.fail("the server did not start:\n" + "".join(lines))
                # Read on, or the server waits for room in a full pipe.
                reading = threading.Thread(target=lines.extend, args=[process.stderr], daemon=True)
                reading.start()
                yield ServerProcess(process=process, url=found[1], port=int(found[2]), lines=lines, reading=reading)
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)

    return run
