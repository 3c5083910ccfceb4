"""Hashing and feature indices are VW's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from vowpal_wabbit_next import TextFormatParser, Workspace

from policies.errors import FeatureError
from policies.hashing import CONSTANT_INDEX, hash_chained, hash_feature, interact, murmur3
from policies.vw.feature_space import Column, FeatureSpace, namespace_letter

MASK = (1 << 18) - 1


# Source: published test vectors of MurmurHash3_x86_32.
@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        (b"", 0, 0),
        (b"", 1, 0x514E28B7),
        (b"", 0xFFFFFFFF, 0x81F16F39),
        (b"\xff\xff\xff\xff", 0, 0x76293B50),
        (b"\x21\x43\x65\x87", 0, 0xF55B516B),
        (b"\x21\x43\x65", 0, 0x7E4A8634),
        (b"\x21\x43", 0, 0xA0F7B07A),
        (b"\x21", 0, 0x72661CF4),
        (b"Hello, world!", 0x9747B28C, 0x24884CBA),
        (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
    ],
)
def test_murmur3_gives_its_known_answers(data: bytes, seed: int, expected: int) -> None:
    assert murmur3(data, seed=seed) == expected


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="|: "), min_size=1)


@settings(deadline=None)
@given(namespace=st.from_regex(r"[!-9;-{}~]{1,6}", fullmatch=True), name=names | st.integers(0, 10**25).map(str))
def test_indices_are_those_of_vws_parser(namespace: str, name: str) -> None:
    workspace = Workspace(["--quiet"])
    example = TextFormatParser(workspace).parse_line(f"|{namespace} {name}")
    (group,) = example  # a view into the example, which must stay alive
    assert [i & MASK for i in group.indices] == [hash_feature(namespace, name) & MASK]


@pytest.mark.parametrize("name", ["x", "12", "", "é", "\u3000x", "a b"])
def test_scalar_and_chained_features_have_vws_index(name: str) -> None:
    plain, chained = Workspace(["--quiet"]), Workspace(["--quiet", "--chain_hash"])
    assert plain.get_index_for_scalar_feature(name, namespace_name="ns") & MASK == hash_feature("ns", name) & MASK
    found = chained.get_index_for_scalar_feature("key", feature_value=name, namespace_name="ns")
    assert found & MASK == hash_chained("ns", "key", name) & MASK


def test_the_constant_and_interactions_sit_where_vw_puts_them() -> None:
    workspace = Workspace(["--quiet", "-q", "ab", "--power_t", "0", "-l", "1"])
    example = TextFormatParser(workspace).parse_line("1 |a x:2 |b y:3")
    workspace.learn_one(example)
    used = set(np.flatnonzero(workspace.weights()[:, 0, 0]).tolist())
    x, y = hash_feature("a", "x"), hash_feature("b", "y")
    crossed = int(interact(np.array([x], np.uint32), np.array([y], np.uint32))[0])
    assert used == {index & MASK for index in (x, y, crossed, CONSTANT_INDEX)}


def test_a_space_survives_json() -> None:
    space = FeatureSpace(
        columns=(Column("U", "age"), Column("G", "city")), interactions=("UA", "GA"), ignore_linear="G", constant=False
    )
    assert FeatureSpace.from_json(space.to_json()) == space


def test_a_namespace_needs_an_ascii_letter() -> None:
    assert namespace_letter("User") == "U"
    assert namespace_letter(" ") == " "
    for bad in ("", "é", "\x80", "\t"):
        with pytest.raises(FeatureError, match="must start with an ASCII"):
            namespace_letter(bad)
