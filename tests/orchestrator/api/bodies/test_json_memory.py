"""How much memory a JSON document takes once it is read."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from pydantic_core import from_json

from orchestrator.api.bodies.json_memory import json_memory


def many(item: str, *, size: int = 200_000) -> bytes:
    """A list of items, each numbered where it has room for a number."""
    count = size // (len(item) + 1)
    return ("[" + ",".join(item.replace("#", f"{i:05d}") for i in range(count)) + "]").encode()


TRACK = {
    "type": "track",
    "messageId": "022bb90c-bbac-11e4-8dfc-#",
    "userId": "c-#",
    "event": "Product Viewed",
    "properties": {"sku": "G-#", "category": "home", "price": 9.99},
    "context": {"ip": "192.0.2.1", "library": {"name": "analytics.js", "version": "2.11.1"}, "locale": "en-US"},
}


@pytest.mark.parametrize(
    "document",
    [
        many(json.dumps(TRACK)),
        many("{}"),
        many("[]"),
        many("[[]]"),
        many("[1]"),
        many('{"a":1}'),
        many('{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}'),
        many('{"#":{"#":{}}}'),
        many("1"),
        many("1000"),
        many("0.5"),
        many("1#"),
        many("null"),
        many('"#"'),
        many('"ä#"'),
        many('"😀#"'),
        many(json.dumps("x" * 50_000 + "#")),
        many(json.dumps("x" * 50_000 + "😀#", ensure_ascii=False)),
        b"{" + many('"#":1')[1:-1] + b"}",
    ],
    ids=lambda document: document[:20].decode(errors="replace"),
)
def test_it_is_about_what_it_takes(document):
    from_json(document)  # some short texts are kept by the reader
    tracemalloc.start()
    try:
        found = from_json(document)
        used = len(document) + tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert found
    assert 0.7 * used < json_memory(document) < 10 * used, (used / len(document), json_memory(document) / used)
