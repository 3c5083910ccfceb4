"""Exploration: distributions over the eligible actions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from policies.errors import PolicyError
from policies.exploration.explorers import (
    Explorer,
    Kind,
    epsilon_greedy,
    greedy,
    softmax,
    squarecb,
    uniform,
    with_floor,
)


@st.composite
def decisions(draw: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    n, actions = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    # Quarters meet each other and the gaps that divide by zero far more often than random floats do.
    cells = st.one_of(st.integers(-8, 8).map(lambda i: i / 4), st.floats(-1e3, 1e3, width=32))
    scores = draw(arrays(np.float32, (n, actions), elements=cells))
    eligible = draw(arrays(np.bool_, (n, actions)))
    eligible[np.arange(n), draw(arrays(np.int64, n, elements=st.integers(0, actions - 1)))] = True
    return scores, eligible


explorers = st.builds(
    Explorer,
    kind=st.sampled_from(get_args(Kind)),
    gamma_scale=st.sampled_from([0.0, 0.5, 4.0, 1000.0]),
    gamma_exponent=st.sampled_from([0.0, 0.5, 1.0]),
    epsilon=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    temperature=st.sampled_from([1e-3, 1.0, 100.0]),
)


@settings(deadline=None)
@given(decision=decisions(), explorer=explorers, learned=st.sampled_from([0, 1, 16, 10**6]))
def test_every_explorer_gives_a_distribution_over_the_eligible(decision: Any, explorer: Explorer, learned: int) -> None:
    scores, eligible = decision
    p = explorer.distribution(scores, eligible, learned=learned)
    assert (p[~eligible] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    floor = explorer.epsilon / eligible.sum(axis=1, keepdims=True)
    assert (p >= np.where(eligible, floor - 1e-12, 0)).all()
    best = np.where(eligible, scores, -np.inf).max(axis=1)
    chosen_best = np.where(eligible & (scores == best[:, None]), p, 0).max(axis=1)
    assert (chosen_best >= p.max(axis=1) - 1e-12).all()


@settings(deadline=None)
@given(decision=decisions(), explorer=explorers)
def test_better_scores_never_get_less_probability(decision: Any, explorer: Explorer) -> None:
    scores, eligible = decision
    p = explorer.distribution(scores, eligible, learned=9)
    for row in range(len(scores)):
        listed = np.flatnonzero(eligible[row])
        order = listed[np.argsort(scores[row, listed], kind="stable")]
        higher, lower = order[1:], order[:-1]
        strict = scores[row, higher] > scores[row, lower]
        assert (p[row, higher] - p[row, lower] >= -1e-12)[strict].all()


@settings(deadline=None)
@given(decision=decisions(), explorer=explorers, ineligible_score=st.sampled_from([-1e30, 0.0, 0.25, 1e30]))
def test_scores_of_ineligible_actions_do_not_matter(decision: Any, explorer: Explorer, ineligible_score: float) -> None:
    scores, eligible = decision
    changed = np.where(eligible, scores, np.float32(ineligible_score))
    np.testing.assert_array_equal(
        explorer.distribution(changed, eligible, learned=4), explorer.distribution(scores, eligible, learned=4)
    )


def test_squarecb_is_inverse_gap_weighting() -> None:
    p = squarecb(np.array([[1.0, 0.5, 0.8, 9.0]]), np.array([[True, True, True, False]]), gamma=10)
    np.testing.assert_allclose(p, [[1 - 1 / 8 - 1 / 5, 1 / 8, 1 / 5, 0]])


def test_squarecb_survives_an_ineligible_action_whose_gap_cancels_the_count() -> None:
    p = squarecb(np.array([[0.0, 0.0, 0.2]]), np.array([[True, True, False]]), gamma=10)
    np.testing.assert_allclose(p, [[0.5, 0.5, 0]])


def test_nothing_learned_is_uniform_under_squarecb() -> None:
    p = Explorer(gamma_exponent=0).distribution(np.array([[3.0, 1.0]]), np.ones((1, 2), dtype=bool), learned=0)
    np.testing.assert_allclose(p, 0.5)


def test_greedy_takes_the_first_of_equals_and_epsilon_greedy_shares() -> None:
    scores, eligible = np.array([[1.0, 2.0, 2.0, 3.0]]), np.array([[True, True, True, False]])
    np.testing.assert_array_equal(greedy(scores, eligible), [[0, 1, 0, 0]])
    np.testing.assert_array_equal(epsilon_greedy(scores, eligible, epsilon=0.0), [[0, 0.5, 0.5, 0]])


@settings(deadline=None)
@given(decision=decisions(), epsilon=st.floats(0, 1))
def test_epsilon_greedy_is_the_floor_under_what_the_best_actions_share(decision: Any, epsilon: float) -> None:
    scores, eligible = decision
    best = np.where(eligible, scores, -np.inf).max(axis=1, keepdims=True)
    shared = uniform(eligible & (scores == best))
    np.testing.assert_allclose(
        epsilon_greedy(scores, eligible, epsilon=epsilon), with_floor(shared, eligible, epsilon=epsilon), atol=1e-12
    )


def test_softmax_is_boltzmann_and_does_not_overflow() -> None:
    eligible = np.ones((1, 2), dtype=bool)
    p = softmax(np.array([[1.0, 0.0]]), eligible, temperature=0.5)
    np.testing.assert_allclose(p[0, 0] / p[0, 1], np.exp(2))
    np.testing.assert_array_equal(softmax(np.array([[1e30, -1e30]]), eligible, temperature=1e-3), [[1, 0]])


@settings(deadline=None)
@given(decision=decisions(), epsilon=st.floats(0, 1))
def test_the_floor_is_the_nearest_distribution_above_it(decision: Any, epsilon: float) -> None:
    """Optimality: every action above its floor was lowered by one and the same amount, those at it by less."""
    scores, eligible = decision
    p = softmax(scores, eligible, temperature=0.5)
    floored = with_floor(p, eligible, epsilon=epsilon)
    for row in range(len(p)):
        floor = epsilon / eligible[row].sum()
        lowered = (p - floored)[row, eligible[row]]
        above = floored[row, eligible[row]] > floor + 1e-9
        assert np.ptp(lowered[above]) < 1e-9 if above.any() else epsilon > 1 - 1e-6
        if above.any():
            assert (lowered <= lowered[above].max() + 1e-9).all()


def test_of_equal_actions_at_their_floor_nobody_is_lowered() -> None:
    eligible = np.array([[True] * 4 + [False], [True] * 5])
    np.testing.assert_allclose(with_floor(uniform(eligible), eligible, epsilon=1.0), uniform(eligible), atol=1e-15)
    np.testing.assert_array_equal(with_floor(uniform(eligible), eligible, epsilon=0.3), uniform(eligible))


@settings(deadline=None)
@given(decision=decisions(), explorer=explorers, share=st.sampled_from([0.1, 0.5, 1.0]))
def test_the_first_action_gets_a_share_of_exploration(decision: Any, explorer: Explorer, share: float) -> None:
    scores, eligible = decision
    before = explorer.distribution(scores, eligible, learned=16)
    after = replace(explorer, hold=share).distribution(scores, eligible, learned=16)
    assert (after >= 0).all()
    assert (after[~eligible] == 0).all()
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-12)
    for row, (p, held) in enumerate(zip(before, after, strict=True)):
        if not eligible[row, 0]:
            np.testing.assert_array_equal(held, p)
            continue
        best = int(np.argmax(p))
        others = [a for a in range(len(p)) if a not in (0, best)]
        np.testing.assert_array_equal(held[others], p[others] * (1 - share))
        if best:
            assert held[best] == p[best]
        assert held[0] == pytest.approx(p[0] + share * p[others].sum(), abs=1e-12)


def test_many_customers_get_what_each_gets_alone() -> None:
    """More of them than are worked on at a time, some above their floor and some below."""
    random = np.random.default_rng(0)
    scores = random.normal(0, 1, (5000, 9)).astype(np.float32) * random.integers(0, 3, (5000, 1)).astype(np.float32)
    eligible = random.random((5000, 9)) < 0.7
    eligible[:, 4] = True
    for kind in get_args(Kind):
        explorer = Explorer(kind=kind, epsilon=0.2, hold=0.5)
        together = explorer.distribution(scores, eligible, learned=100)
        for i in (*range(40), 2047, 2048, 4999):
            alone = explorer.distribution(scores[[i]], eligible[[i]], learned=100)
            assert alone[0].tobytes() == together[i].tobytes(), (kind, i)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kind", "thompson", "unknown exploration 'thompson'; choose one of squarecb"),
        ("gamma_scale", -1.0, "gamma_scale must be at least 0, got -1.0"),
        ("gamma_exponent", 1.5, "gamma_exponent must be between 0 and 1, got 1.5"),
        ("epsilon", float("nan"), "epsilon must be between 0 and 1, got nan"),
        ("temperature", 0.0, "temperature must be above 0, got 0.0"),
        ("hold", 1.5, "hold must be between 0 and 1, got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Explorer(**{field: value})


def test_settings_survive_json() -> None:
    explorer = Explorer(kind="softmax", epsilon=0.1, temperature=3.0, hold=0.25)
    assert Explorer(**explorer.to_json()) == explorer
