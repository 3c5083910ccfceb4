"""Counter-based random draws: a draw is a function of (decision id, stream, seed) and of nothing else.

The same decision id gives the same draw in any batch, order, process or worker, and an audit can
repeat it. Source: Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from policies.arrays import Float64Array, IntArray, UInt32Array, UInt64Array
from policies.hashing import murmur3

_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], dtype=np.uint64)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_FEW = 64  # rows that are summed faster one by one
_CHUNK = 2048  # ids worked on at a time, so that the temporaries stay in the cache


def philox4x32(counter: UInt32Array, key: tuple[int, int]) -> UInt32Array:
    """Ten rounds of Philox.

    Args:
        counter: uint32 (n, 4).
        key: two 32-bit words.

    Returns:
        uint32 (n, 4) random words.
    """
    # Words 0 and 2 are multiplied, words 1 and 3 only mixed in: a round is five operations on both pairs at once.
    multiplied, mixed = (np.array(counter[:, i::2].T, dtype=np.uint64) for i in range(2))
    product, high = np.empty_like(multiplied), np.empty_like(multiplied)
    for words in _round_keys(key):
        np.multiply(multiplied, _MULTIPLIERS, out=product)
        np.right_shift(product, _SHIFT, out=high)
        np.bitwise_xor(high[::-1], mixed, out=multiplied)
        np.bitwise_xor(multiplied, words, out=multiplied)
        mixed = np.bitwise_and(product, _LOW)[::-1]
    found = np.empty((len(counter), 4), dtype=np.uint32)
    found[:, 0::2], found[:, 1::2] = multiplied.T, mixed.T
    return found


@lru_cache(maxsize=64)
def _round_keys(key: tuple[int, int]) -> UInt64Array:
    """The key of each round, uint64 (10, 2, 1)."""
    rounds = [[(k + i * weyl) & 0xFFFFFFFF for k, weyl in zip(key, _WEYL, strict=True)] for i in range(10)]
    return np.array(rounds, dtype=np.uint64)[:, :, None]


def uniforms(ids: UInt64Array, *, stream: str, seed: int = 0) -> Float64Array:
    """One uniform number in [0, 1) per id.

    Args:
        ids: uint64 (n, 2), 128-bit ids as (high, low) words.
        stream: name of the use, so that two uses of one id are independent.
        seed: another seed gives other draws for the same ids.

    Returns:
        float64 (n,) with 53 random bits each.
    """
    key = seed & 0xFFFFFFFF, murmur3(stream.encode(), seed=seed >> 32)
    u = np.empty(len(ids))
    for start in range(0, len(ids), _CHUNK):
        block = ids[start : start + _CHUNK]
        counter = np.empty((len(block), 4), dtype=np.uint32)
        counter[:, 0], counter[:, 1] = block[:, 1] & _LOW, block[:, 1] >> _SHIFT
        counter[:, 2], counter[:, 3] = block[:, 0] & _LOW, block[:, 0] >> _SHIFT
        words = philox4x32(counter, key)
        high, low = words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)
        u[start : start + _CHUNK] = (high << np.uint64(21)) | (low >> np.uint64(11))
    u /= 2.0**53
    return u


def draw(distribution: Float64Array, u: Float64Array) -> IntArray:
    """Index drawn from each row by inverting its cumulative distribution; never one of probability zero.

    Args:
        distribution: float64 (n, A), rows sum to 1.
        u: float64 (n,) in [0, 1).
    """
    if len(distribution) <= _FEW:
        cumulative = np.cumsum(distribution, axis=1).T
    else:
        # The same sums. A column is a row of memory here: all rows at once do not wait for each row's last sum.
        cumulative = np.array(distribution.T, order="C")
        for i in range(1, len(cumulative)):
            cumulative[i] += cumulative[i - 1]
    passed = cumulative <= u * cumulative[-1]
    # Bytes add up without conversion while there are few enough.
    count = np.uint8 if len(passed) <= np.iinfo(np.uint8).max else np.uint16
    index: IntArray = passed.view(np.uint8).sum(axis=0, dtype=count).astype(np.int64)
    return index
