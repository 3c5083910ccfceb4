"""A service over the retail configuration, in this process or in one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from orchestrator.api.app import create_app
from orchestrator.config import Retailer, load_retailer
from orchestrator.service.service import ServiceSettings
from policies.baselines import RandomPolicy
from policies.policy import Policy

CONFIGS = Path(__file__).parents[2] / "configs"


@dataclass
class Served:
    """A running service and what a test may turn: which champion there is and how one is loaded."""

    client: httpx2.AsyncClient
    app: Any
    settings: ServiceSettings
    state: ChampionState

    async def know(self, *customers: str) -> None:
        """Make customers known by one event each."""
        events = [{"event_id": f"visit-{c}", "customer_id": c, "type": "visit"} for c in customers]
        answer = await self.client.post("/v1/events", json=events)
        assert answer.status_code == 200, answer.text

    async def decide(self, customer: str, **more: Any) -> dict[str, Any]:
        """A decision for a known customer."""
        answer = await self.client.post("/v1/decisions", json={"customer_id": customer, **more})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """All rows of a table, read by a connection of its own."""
        import sqlite3
        from contextlib import closing

        path = self.settings.retailer.serving.database.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - names from tests


@dataclass
class ChampionState:
    """The champion as the registry would tell it."""

    champion: tuple[str, Path] | None = ("1", Path("unused"))
    load: Callable[[Path], Policy] = field(default=lambda _: None)  # type: ignore[assignment,return-value]


def random_policy(app_core: Any) -> Policy:
    """Uniform over the eligible actions of a decision core."""
    return RandomPolicy(actions=app_core.actions, columns=app_core.columns)


@pytest.fixture
def retailer(tmp_path: Path) -> Retailer:
    """The retail configuration with a database of the test's own."""
    retailer = load_retailer(CONFIGS / "retail", environment={})
    serving = retailer.serving.model_copy(
        update={"database": f"sqlite:///{tmp_path / 'journey.db'}", "champion_poll_seconds": 0.02}
    )
    return replace(retailer, serving=serving)


Serving = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serving(retailer: Retailer) -> Serving:
    """`async with serving() as served:` runs the application in this process."""

    @asynccontextmanager
    async def run(state: ChampionState | None = None, **overrides: Any) -> AsyncIterator[Served]:
        from orchestrator.decisions import DecisionCore
        from orchestrator.profiles import ProfileSchema

        core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
        if state is None:
            state = ChampionState()
        if state.load(Path()) is None:
            state.load = lambda _: random_policy(core)
        settings = ServiceSettings(
            retailer=retailer,
            champion=lambda: state.champion,
            load_policy=lambda directory: state.load(directory),
            **overrides,
        )
        app = create_app(settings)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://t") as c:
            yield Served(client=c, app=app, settings=settings, state=state)

    return run


@pytest.fixture
def run_async() -> Iterator[Callable[..., Any]]:
    """Run one coroutine on an event loop of its own."""
    import asyncio

    yield asyncio.run
