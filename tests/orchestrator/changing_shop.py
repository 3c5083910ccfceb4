"""A shop whose configuration changes, with customers who were there before."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.audit.integrity import check_database
from orchestrator.audit.rebuilding import Rebuilt, rebuild_profiles
from orchestrator.config import ContactPolicy, Retailer
from orchestrator.load import load_retailer
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import read_rows
from tests.orchestrator.conftest import ROOT, Champion, Served, random_policy

CUSTOMERS = 12
THEN = 1_790_000_000.0
SIZES = "size: {values: [S, M, L, XL]}"
TEXTS = "content_fields: [first_name]"
# What of a file of the configuration is written over, and by what.
Edit = tuple[str, str, str]
PUSH = "push: {consent: opt_in, contacts: true, contact_cost: 0.001, placements: [lock_screen]}"
CHANGES: dict[str, Sequence[Edit]] = {
    "a value added": [("profiles", "L, XL]", "L, XL, XXL]")],
    "a value added in front": [("profiles", "[S, M", "[XS, S, M")],
    "a value removed": [("profiles", "[S, M, L", "[S, L")],
    "an attribute added": [("profiles", SIZES, f"loyalty: {{scale: 3}}\n  {SIZES}")],
    "an attribute removed": [("profiles", SIZES, "")],
    "an attribute becomes a text": [("profiles", SIZES, ""), ("profiles", TEXTS, "content_fields: [first_name, size]")],
    "a text becomes an attribute": [
        ("profiles", TEXTS, ""),
        ("profiles", SIZES, f"first_name: {{values: [Ann, Bob]}}\n  {SIZES}"),
    ],
    "a category added": [("catalog", "categories: [fresh", "categories: [toys, fresh")],
    "a category removed": [
        ("catalog", "beauty, home, apparel]", "beauty, home]"),
        ("catalog", "subject: apparel", "subject: home"),
        ("catalog", "look.apparel", "look.home_too"),
        ("events", "apparel", "home"),
    ],
    "a channel added": [("channels", "  email:", f"  {PUSH}\n  email:"), ("goals", "{email:", "{push: 1 d, email:")],
    "a half-life": [("profiles", "browse: 14 d", "browse: 10 d")],
}


def iso(number: float) -> str:
    return datetime.fromtimestamp(THEN + 977.0 * number, UTC).isoformat()


def facts_of(i: int) -> list[dict[str, Any]]:
    """Events of a customer, each at a moment of its own."""
    stated = {"size": ["S", "M", "L", "XL"][i % 4], "first_name": ["Ann", "Bob", "Eve"][i % 3], "store_distance": 4.5}
    kinds: list[dict[str, Any]] = [
        {"type": "visit"},
        {"type": "view", "category": "apparel"},
        {"type": "view", "category": "fresh"},
        {"type": "cart_add", "category": ["apparel", "home"][i % 2]},
        {"type": "purchase", "value": 11.5 + i, "quantity": 2, "discount": 0.5, "category": "apparel"},
        {"type": "subscribe", "channel": "email"},
        {"type": "open", "channel": "email"},
        {"type": "profile", "attributes": stated},
    ]
    return [
        {"event_id": f"e-{i}-{k}", "customer_id": f"c-{i}", "timestamp": iso(i + CUSTOMERS * k), **kind}
        for k, kind in enumerate(kinds)
    ]


def view(customer: str, name: str) -> dict[str, Any]:
    return {"event_id": name, "customer_id": customer, "type": "view", "category": "home"}


def link(customer: str, other: str) -> dict[str, Any]:
    """A body that makes two customers one."""
    message = {"type": "identify", "messageId": f"m-{other}", "userId": customer, "anonymousId": other}
    return {"batch": [{**message, "timestamp": iso(0)}]}


async def post(served: Served, path: str, body: Any, *, status: int = 200) -> Any:
    answer = await served.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def fill(served: Served) -> tuple[list[dict[str, Any]], list[str]]:
    """Customers, one of whom was two; a decision about each, and a click. Returns all as events, and decision ids."""
    told = [fact for i in range(CUSTOMERS) for fact in facts_of(i)]
    await post(served, "/v1/events", told)
    await post(served, "/v1/batch", link("c-1", "c-0"))
    told = [{**fact, "customer_id": "c-1"} if fact["customer_id"] == "c-0" else fact for fact in told]
    told.append({"event_id": "m", "customer_id": "c-1", "type": "profile", "timestamp": iso(0)})
    ids = []
    for i in range(1, CUSTOMERS):
        made = await served.decide(f"c-{i}")
        ids.append(made["decision_id"])
        click = {"outcome_id": f"o-{i}", "decision_id": ids[-1], "type": "click", "timestamp": iso(500 + i)}
        await post(served, "/v1/outcomes", click)
        if channel := made["action"]["channel"]:
            event = {"event_id": f"o-{i}", "customer_id": f"c-{i}", "type": "click", "channel": channel}
            told.append({**event, "timestamp": click["timestamp"]})
    return told, ids


@dataclass
class ChangingShop:
    """The retail configuration, with sizes and first names, before and after a change.

    Attributes:
        folder: of configurations.
        url: of the database.
        serving: runs a service.
        champion: what it serves.
    """

    folder: Path
    url: str
    serving: Callable[..., Any]
    champion: Champion

    def configured(self, change: str = "") -> Path:
        """A directory with the configuration after a change, or before any."""
        directory = self.folder / f"configuration {change}"
        if not directory.exists():
            shutil.copytree(ROOT / "configs" / "retail", directory)
            more: list[Edit] = [("profiles", "attributes:\n", f"{TEXTS}\nattributes:\n  {SIZES}\n")]
            for name, old, new in (*more, *CHANGES.get(change, ())):
                file = directory / f"{name}.yaml"
                text = file.read_text(encoding="utf-8")
                assert old in text, (name, old)
                file.write_text(text.replace(old, new), encoding="utf-8")
        return directory

    def of(self, change: str = "", *, url: str = "") -> Retailer:
        """The retailer after a change, or before any."""
        found = load_retailer(self.configured(change), environment={})
        changes = {"database": url or self.url, "champion_poll_seconds": 0.005}
        return replace(found, serving=found.serving.model_copy(update=changes), contacts=ContactPolicy())

    def live(self, of: Retailer, test: Callable[[Served], Any], *, version: str = "1") -> Any:
        """Run `test(served)` against a service under a policy of this version."""

        async def inside() -> Any:
            async with self.service(of, version=version) as served:
                return await test(served)

        return asyncio.run(inside())

    def service(self, of: Retailer, *, version: str = "1") -> Any:
        self.champion.current = (version, Path("unused"))
        self.champion.load = lambda _: random_policy(of)
        return self.serving(of)

    def rebuild(self, change: str = "", **more: Any) -> Rebuilt:
        """As the command does, in batches of two."""
        engine = open_database(self.url)
        try:
            return rebuild_profiles(engine, self.of(change), **{"who": "me", "clock": time.time, "batch": 2, **more})
        finally:
            engine.dispose()

    def rows(self, query: str) -> list[dict[str, Any]]:
        return read_rows(self.url, query)

    def built(self) -> set[str]:
        """Customers a rebuild under way is done with."""
        return {row["customer_id"] for row in self.rows("SELECT customer_id FROM rebuilt_customers")}

    def faults(self, change: str = "") -> tuple[str, ...]:
        """What is wrong with the database, all profiles compared with their events."""
        engine = open_database(self.url)
        try:
            return check_database(engine, ProfileSchema.from_retailer(self.of(change)), sample=1000).faults
        finally:
            engine.dispose()


def states_in(url: str) -> Mapping[str, np.ndarray[Any, Any]]:
    return {row["customer_id"]: np.frombuffer(row["state"]) for row in read_rows(url, "SELECT * FROM customers")}


class StoppedError(Exception):
    """What a test stops a rebuild by."""


def stopping_at(customers: int) -> Callable[[int, int], None]:
    """Progress that ends a rebuild once so many customers are done."""

    def progress(done: int, _total: int) -> None:
        if done >= customers:
            raise StoppedError

    return progress


ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
