"""Several results per decision: the ranking model of successive choices."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from policies.exploration.draws import draw, uniforms
from policies.exploration.slots import NOTHING, draw_slots


def ids_of(n):
    return np.stack([np.zeros(n, dtype=np.uint64), np.arange(n, dtype=np.uint64)], axis=1)


def slots(distribution, *, count, excludes=None, which=None):
    n, size = distribution.shape
    kinds = np.eye(size, dtype=bool)[None] if excludes is None else excludes
    return draw_slots(
        distribution,
        ids_of(n),
        count=np.broadcast_to(count, (n,)),
        excludes=kinds,
        which=np.zeros(n, dtype=np.int64) if which is None else which,
        stream="action",
    )


def test_orders_are_as_frequent_as_their_joint_propensity_says() -> None:
    p = np.array([0.0, 0.5, 0.3, 0.2])
    drawn = slots(np.tile(p, (200_000, 1)), count=2)
    pairs = list(permutations([1, 2, 3], 2))
    expected = np.array([p[a] * p[b] / (1 - p[a]) for a, b in pairs])
    seen = np.array([(drawn.action == pair).all(axis=1) for pair in pairs])
    assert expected.sum() == 1
    assert stats.chisquare(seen.sum(axis=1), expected * 200_000).pvalue > 1e-4
    for of_pair, joint in zip(seen, expected, strict=True):
        np.testing.assert_allclose(drawn.joint[of_pair], joint)


@given(
    arrays(np.float64, (20, 6), elements=st.sampled_from([0.0, 0.1, 1.0])),
    st.lists(st.integers(1, 5), min_size=20, max_size=20),
)
def test_a_selection_has_no_action_twice_and_ends_where_it_must(weights, count) -> None:
    weights[:, 1] += weights.sum(axis=1) == 0
    p = weights / weights.sum(axis=1, keepdims=True)
    drawn = slots(p, count=np.array(count))
    first = draw(p, uniforms(ids_of(20), stream="action"))
    np.testing.assert_array_equal(drawn.action[:, 0], first)
    for row, wanted, actions, propensity in zip(p, count, drawn.action, drawn.propensity, strict=True):
        taken = actions[actions != NOTHING].tolist()
        assert len(set(taken)) == len(taken) <= wanted
        assert (actions[len(taken) :] == NOTHING).all()
        assert 0 not in taken[1:]
        left = row.copy()
        for slot, action in enumerate(taken):
            assert np.isclose(propensity[slot], row[action] / left.sum())
            left[action] = 0
        if len(taken) < wanted and taken != [0]:
            # Nothing was left, or silence was drawn, with the probability it had.
            assert left.sum() == 0 or np.isclose(propensity[len(taken)], row[0] / left.sum())


def test_what_excludes_another_is_never_followed_by_it_but_where_it_may() -> None:
    p = np.tile([0.0, 0.25, 0.25, 0.25, 0.25], (4000, 1))
    apart = np.eye(5, dtype=bool)
    apart[1, 2] = apart[2, 1] = True
    which = np.arange(4000) % 2
    drawn = slots(p, count=4, excludes=np.stack([apart, np.eye(5, dtype=bool)]), which=which)
    both = (drawn.action == 1).any(axis=1) & (drawn.action == 2).any(axis=1)
    assert not both[which == 0].any()
    assert both[which == 1].all()
    assert ((drawn.action != NOTHING).sum(axis=1) == np.where(which == 0, 3, 4)).all()
    np.testing.assert_allclose(drawn.joint[which == 1], 1 / 24)
