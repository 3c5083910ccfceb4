"""Vowpal Wabbit's feature hashing, so that our feature indices are VW's own.

Source: MurmurHash3_x86_32 (Austin Appleby, public domain) as used by VW; namespace and feature
rules as in VW's text and JSON parsers; the interaction hash is `(h1 * 16777619) ^ h2`.
"""

from __future__ import annotations

import numpy as np

from policies.arrays import UInt32Array

CONSTANT_INDEX = 11650396
FNV_PRIME = np.uint32(16777619)
DEFAULT_NAMESPACE = " "
_MASK = 0xFFFFFFFF
_BLANKS = "".join(map(chr, range(0x21)))


def murmur3(data: bytes, *, seed: int = 0) -> int:
    """32-bit MurmurHash3 of `data`."""
    h = seed & _MASK
    blocks = len(data) // 4
    for i in range(blocks):
        h ^= _scramble(int.from_bytes(data[4 * i : 4 * i + 4], "little"))
        h = (h << 13 | h >> 19) & _MASK
        h = (h * 5 + 0xE6546B64) & _MASK
    if tail := data[4 * blocks :]:
        h ^= _scramble(int.from_bytes(tail, "little"))
    h ^= len(data)
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & _MASK
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & _MASK
    return h ^ h >> 16


def hash_string(text: str, *, seed: int = 0) -> int:
    """VW's default `--hash strings`: a name of digits only is its own number, anything else is hashed.

    Control characters and blanks at both ends do not count; what is then empty is the number 0.
    """
    trimmed = text.strip(_BLANKS).encode()
    if not trimmed or trimmed.isdigit():
        return (int(trimmed or b"0") + seed) & _MASK
    return murmur3(trimmed, seed=seed)


def hash_namespace(namespace: str) -> int:
    """Hash of a namespace; the default namespace hashes to 0."""
    return 0 if namespace == DEFAULT_NAMESPACE else hash_string(namespace)


def hash_feature(namespace: str, name: str) -> int:
    """Unmasked 32-bit index of a feature."""
    return hash_string(name, seed=hash_namespace(namespace))


def hash_chained(namespace: str, key: str, value: str) -> int:
    """Index of a string-valued feature under `--chain_hash`: the value hashed with the key's hash as seed."""
    return hash_string(value, seed=hash_feature(namespace, key))


def interact(first: UInt32Array, second: UInt32Array) -> UInt32Array:
    """Indices of quadratic features, elementwise with broadcasting; wraps at 32 bits as VW's masked index does."""
    return (first * FNV_PRIME) ^ second


def _scramble(k: int) -> int:
    k = (k * 0xCC9E2D51) & _MASK
    k = (k << 15 | k >> 17) & _MASK
    return (k * 0x1B873593) & _MASK
