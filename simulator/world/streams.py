"""Named random streams: every draw is a function of (seed, block, day, name) and of nothing else.

So a block of customers lives the same life in any worker, after a retry, and under every policy that treats it
alike: two policies compared on one seed see the same wants, the same visits, the same moods.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.arrays import Float32Array


@dataclass(frozen=True)
class Streams:
    """The streams of one block of one population."""

    seed: int
    block: int

    def generator(self, name: str, day: int = 0) -> np.random.Generator:
        """A generator of its own per name and day."""
        return np.random.Generator(np.random.SFC64(int.from_bytes(self._digest(name, day))))

    def uniforms(self, name: str, day: int, n: int) -> Float32Array:
        """One uniform number in [0, 1) per customer of the block, whether it is used or not; float32 (n,)."""
        return self.generator(name, day).random(n, dtype=np.float32)

    def decision_ids(self, name: str, day: int, rows: NDArray[Any]) -> NDArray[np.uint64]:
        """128-bit ids of the decisions about these customers on this day; uint64 (n, 2)."""
        high, low = np.frombuffer(self._digest(name, day), dtype=np.uint64)
        ids = np.empty((len(rows), 2), dtype=np.uint64)
        ids[:, 0] = high
        ids[:, 1] = low + rows.astype(np.uint64)
        return ids

    def _digest(self, name: str, day: int) -> bytes:
        return hashlib.blake2b(f"{self.seed}/{self.block}/{day}/{name}".encode(), digest_size=16).digest()
