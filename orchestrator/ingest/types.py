"""The kinds of event, and what each must say."""

from __future__ import annotations

NONE = -1
NEEDS_CHANNEL = frozenset({"sent", "open", "click", "unsubscribe", "subscribe"})
NEEDS_CATEGORY = frozenset({"want", "cart_add", "cart_remove"})
NEEDS_VALUE = frozenset({"purchase", "return"})
