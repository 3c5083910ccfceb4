"""Counter-based draws: known answers, uniformity, independence, and drawing from a distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from policies.exploration.draws import draw, philox4x32, uniforms

ONES = 0xFFFFFFFF


# Source: known-answer tests of Random123, philox4x32-10.
@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ONES] * 4, (ONES, ONES), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_its_known_answers(counter: list[int], key: tuple[int, int], expected: list[int]) -> None:
    words = philox4x32(np.array([counter, [1, 2, 3, 4]], dtype=np.uint32), key)
    np.testing.assert_array_equal(words[0], np.array(expected, dtype=np.uint32))


def sequential_ids(n: int) -> np.ndarray[Any, Any]:
    """The least random ids there are."""
    return np.stack([np.zeros(n, dtype=np.uint64), np.arange(n, dtype=np.uint64)], axis=1)


def test_draws_of_sequential_ids_are_uniform() -> None:
    u = uniforms(sequential_ids(100_000), stream="action")
    assert ((u >= 0) & (u < 1)).all()
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    pairs = np.histogram2d(u[:-1], u[1:], bins=16)[0]
    assert stats.chisquare(pairs.ravel()).pvalue > 1e-4


@pytest.mark.parametrize(
    "other", [{"stream": "group"}, {"stream": "action", "seed": 1}, {"stream": "action", "seed": 2**32}]
)
def test_streams_and_seeds_are_independent(other: dict[str, Any]) -> None:
    ids = sequential_ids(50_000)
    one, two = uniforms(ids, stream="action"), uniforms(ids, **other)
    assert (one != two).all()
    assert stats.chisquare(np.histogram2d(one, two, bins=16)[0].ravel()).pvalue > 1e-4


def test_every_bit_of_an_id_matters() -> None:
    base = np.array([[0x0123456789ABCDEF, 0xFEDCBA9876543210]], dtype=np.uint64)
    flipped = [base.copy() for _ in range(128)]
    for bit, ids in enumerate(flipped):
        ids[0, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    values = uniforms(np.concatenate([base, *flipped]), stream="action")
    assert len(np.unique(values)) == 129


def test_a_draw_does_not_depend_on_its_batch() -> None:
    ids = sequential_ids(1000)
    whole = uniforms(ids, stream="action")
    np.testing.assert_array_equal(
        np.concatenate([uniforms(ids[i : i + 1], stream="action") for i in range(1000)]), whole
    )
    assert uniforms(ids[:0], stream="action").shape == (0,)


def test_draws_follow_the_distribution() -> None:
    p = np.array([0.0, 0.5, 0.0, 0.3, 0.15, 0.05, 0.0])
    n = 100_000
    chosen = draw(np.tile(p, (n, 1)), uniforms(sequential_ids(n), stream="action"))
    counts = np.bincount(chosen, minlength=7)
    assert (counts[p == 0] == 0).all()
    assert stats.chisquare(counts[p > 0], n * p[p > 0]).pvalue > 1e-4


@settings(deadline=None)
@given(
    weights=st.lists(st.one_of(st.just(0.0), st.floats(1e-300, 1.0)), min_size=1, max_size=30).filter(
        lambda w: sum(w) > 0
    ),
    u=st.one_of(st.sampled_from([0.0, 1 - 2.0**-53, 0.5]), st.floats(0, 1, exclude_max=True)),
)
def test_probability_zero_is_never_drawn(weights: list[float], u: float) -> None:
    p = np.array([weights]) / sum(weights)
    chosen = int(draw(p, np.array([u]))[0])
    assert p[0, chosen] > 0


def test_the_end_of_the_line_belongs_to_the_last_possible_action() -> None:
    p = np.array([[0.1] * 10 + [0.0]])
    assert draw(p, np.array([1 - 2.0**-53]))[0] == 9
    assert draw(np.array([[0.0, 1.0]]), np.array([0.0]))[0] == 1
