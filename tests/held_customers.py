"""A customer about whom something is in every table."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.database_rows import read_rows


async def fill(client: Any, customer: str, *, decisions: int = 2, texts: dict[str, str] | None = None) -> list[str]:
    """Events, stated texts, decisions with keys, outcomes, contacts and their reports; returns decision ids."""
    texts = texts or {"timezone": "Europe/Berlin", "home_store": f"store-of-{customer}", "age": "25-34"}
    events = [
        {"event_id": f"{customer}-e1", "customer_id": customer, "type": "subscribe", "channel": "email"},
        {
            "event_id": f"{customer}-e2",
            "customer_id": customer,
            "type": "purchase",
            "category": "pantry",
            "value": 31.5,
        },
        {"event_id": f"{customer}-e3", "customer_id": customer, "type": "profile", "attributes": texts},
    ]
    answer = await client.post("/v1/events", json=events)
    assert answer.status_code == 200, answer.text
    made = []
    for i in range(decisions):
        headers = {"Idempotency-Key": f"key-{quote(customer)}-{i}"}
        answer = await client.post(
            "/v1/decisions", json={"customer_id": customer, "channels": ["email"]}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        made.append(answer.json()["decision_id"])
        outcomes = [
            {"outcome_id": f"{customer}-{kind}-{i}", "decision_id": made[-1], "type": kind}
            for kind in ("sent", "click")
        ]
        answer = await client.post("/v1/outcomes", json=outcomes)
        assert answer.status_code == 200, answer.text
    return made


def everything(url: str) -> str:
    """Every column of every table, as text."""
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if url.startswith("sqlite")
        else "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    found = []
    for table in read_rows(url, tables):
        for row in read_rows(url, f'SELECT * FROM "{table["name"]}"'):  # noqa: S608
            found += [value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in row.values()]
    return "\n".join(found)
