"""Decision ids: 128 bits, ordered by time, hard to guess."""

from __future__ import annotations

import os


def decision_ids(count: int, *, now: float) -> list[str]:
    """New ids, ascending, in the layout of UUID version 7.

    Args:
        count: how many.
        now: seconds since 1970 UTC; ids of a later millisecond sort after these.

    Source: RFC 9562, section 5.7.
    """
    prefix = f"{int(now * 1000):012x}"
    prefix = f"{prefix[:8]}-{prefix[8:]}"
    random = os.urandom(10 * count).hex()
    ids = []
    for start in range(0, 20 * count, 20):
        r = random[start : start + 20]
        ids.append(f"{prefix}-7{r[:3]}-{'89ab'[int(r[3], 16) & 3]}{r[4:7]}-{r[7:19]}")
    ids.sort()
    return ids
