"""How much memory a JSON document takes once it is read, known before it is read."""

from __future__ import annotations

# Bytes per character that opens an object or a list, ends a name or a value, or is one of the two around a text: fitted
# to what documents of many shapes take, which a test repeats.
_COSTS = {b"{": 116, b"[": 56, b":": 16, b",": 24, b'"': 14}
# Bytes of a text per byte of its JSON: one wide character makes all of a text wide.
_WIDE = 4


def json_memory(document: bytes) -> int:
    """Bytes of memory of a document and of what is read from it, about.

    Names and short texts that come again count for more than they take, up to ten times; nothing for much less.
    """
    texts = len(document) if document.isascii() else _WIDE * len(document)
    return len(document) + texts + sum(cost * document.count(character) for character, cost in _COSTS.items())
