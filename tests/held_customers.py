"""A customer about whom something is in every table."""

from __future__ import annotations

import zlib
from typing import Any
from urllib.parse import quote

from tests.database_rows import read_rows

# Had the second device of every customer before.
FORMER = "the former one"


def number_of(customer: str) -> int:
    """The customer's number in another system, an id of its own."""
    return 10**9 + zlib.crc32(customer.encode())


def ids_besides(customer: str) -> tuple[str, ...]:
    """Under which something is held of the customer, too: a device, a second-hand device and a number."""
    return (f"device of {customer}", f"second device of {customer}", str(number_of(customer)))


async def fill(client: Any, customer: str, *, decisions: int = 2, texts: dict[str, str] | None = None) -> list[str]:
    """Something in every table, also under other ids and of messages that were not understood; returns decision ids."""
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
    answer = await client.post("/v1/batch", json={"batch": _messages(customer)})
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


def _messages(customer: str) -> list[dict[str, Any]]:
    """Four events of the customer, one of the former user of the second device; two odd messages, and one."""
    device, second, _ = ids_besides(customer)
    view = {"type": "track", "event": "Product Viewed", "properties": {"category": "home"}}
    odd = {"type": "track", "event": "Support Ticket"}
    told: list[dict[str, Any]] = [
        {**view, "anonymousId": device},
        {**odd, "anonymousId": device, "properties": {"name": customer}},
        {"type": "identify", "userId": customer, "anonymousId": device},
        {"type": "alias", "userId": customer, "previousId": number_of(customer)},
        {**view, "userId": number_of(customer)},
        {**odd, "userId": number_of(customer), "properties": {"name": customer}},
        {**view, "anonymousId": second},
        {"type": "identify", "userId": FORMER, "anonymousId": second},
        {**odd, "anonymousId": second},
        {"type": "identify", "userId": customer, "anonymousId": second},
    ]
    # Ids that say nothing of the customer: some of these are of the former user.
    about = zlib.crc32(customer[::-1].encode())
    return [
        {**message, "messageId": f"message {about}/{i}", "timestamp": f"2026-01-20T10:{i:02}:00Z"}
        for i, message in enumerate(told)
    ]


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
