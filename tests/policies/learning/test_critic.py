"""The critic finds what contacts do later, where that is known."""

from __future__ import annotations

import numpy as np
import pytest

from policies.actions import ActionFeature, ActionSet
from policies.errors import FeatureError
from policies.learning.critic import Critic, inverse_variance

CHANNELS = ("email", "store")
COLUMNS = ("frequency", "value", *(f"{c}.{name}" for c in CHANNELS for name in ("pressure", "burden")))
INTENTS = {"email": ("inspire", "offer"), "store": ("thank",)}
LABELS = [(channel, intent) for channel in CHANNELS for intent in INTENTS[channel]]
ACTIONS = ActionSet(
    ids=("hold", *(f"{channel}.{intent}" for channel, intent in LABELS)),
    features=(
        (ActionFeature("A", "action=hold", 1.0),),
        *(
            (ActionFeature("A", f"channel={channel}", 1.0), ActionFeature("A", f"intent={intent}", 1.0))
            for channel, intent in LABELS
        ),
    ),
    pairs=tuple(() for _ in range(1 + len(LABELS))),
)
BASE = np.array([0.0, 0.5, 1.5, -1.0])
SLOPES = np.array([[0.0, 0.0, 0.0], [-1.0, -2.0, 0.5], [-1.0, -2.0, 0.5], [0.25, -0.75, 1.0]])


def rows(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, F), contacts (n,) and what they truly add later (n,)."""
    random = np.random.default_rng(seed)
    features = random.uniform(0, 2, (n, len(COLUMNS))).astype(np.float32)
    action = random.integers(1, len(ACTIONS), n)
    names = [[f"{c}.pressure", f"{c}.burden", "value"] for c in ("email", *(c for c, _ in LABELS))]
    state = np.stack([features[i, [COLUMNS.index(c) for c in names[a]]] for i, a in enumerate(action)])
    return features, action, BASE[action] + (SLOPES[action] * state).sum(axis=1)


def fit(features: np.ndarray, action: np.ndarray, later: np.ndarray, weight: np.ndarray | None = None) -> Critic:
    weight = np.ones(len(action)) if weight is None else weight
    return Critic.fit(ACTIONS, COLUMNS, features=features, action=action, later=later, weight=weight)


def test_planted_coefficients_of_each_channel_are_recovered() -> None:
    features, action, later = rows(60_000)
    critic = fit(features, action, later + np.random.default_rng(1).normal(size=len(later)))
    # The prior still draws a little: intents count as 2,000 rows, slopes as 100.
    np.testing.assert_allclose(critic.slopes, SLOPES, atol=0.1)
    np.testing.assert_allclose(critic.base, BASE, atol=0.15)
    fresh, contact, truth = rows(200, seed=2)
    np.testing.assert_allclose(critic.later(fresh, contact), truth, atol=0.25)
    assert critic.later(fresh, np.zeros(200, dtype=np.int64)).tolist() == [0.0] * 200


def test_channels_do_not_mix() -> None:
    features, action, later = rows(3_000)
    by_email = action <= 2
    alone = fit(features[by_email], action[by_email], later[by_email])
    both = fit(features, action, later)
    np.testing.assert_array_equal(alone.slopes[1:3], both.slopes[1:3])
    assert not alone.slopes[3].any()
    assert alone.base[3] == 0


def test_rows_of_no_weight_are_ignored_and_weights_are_counts() -> None:
    features, action, later = rows(4_000)
    noisy = np.arange(len(later)) % 2 == 1
    spoilt = np.where(noisy, 1000.0, later)
    clean = fit(features[~noisy], action[~noisy], later[~noisy])
    ignored = fit(features, action, spoilt, np.where(noisy, 0.0, 1.0))
    np.testing.assert_allclose(ignored.slopes, clean.slopes, atol=1e-9)
    np.testing.assert_allclose(ignored.base, clean.base, atol=1e-9)
    twice = fit(*(np.concatenate([part, part]) for part in (features, action, spoilt)))
    np.testing.assert_allclose(fit(features, action, spoilt, np.full(4_000, 2.0)).base, twice.base)


def test_inverse_variances_beat_equal_weights_where_noise_grows_with_spend() -> None:
    errors = np.zeros((5, 2))
    for seed in range(5):
        features, action, later = rows(6_000, seed=seed)
        value = features[:, COLUMNS.index("value")].astype(np.float64)
        noise = np.random.default_rng(100 + seed).normal(size=len(later)) * np.exp(2 * value)
        calm = value < 0.5  # these are known best
        for i, weight in enumerate((np.ones(len(later)), inverse_variance(COLUMNS, features, noise))):
            found = fit(features, action, later + noise, weight).later(features[calm], action[calm])
            errors[seed, i] = np.mean((found - later[calm]) ** 2)
    plain, weighted = errors.mean(axis=0)
    assert weighted < 0.75 * plain


def test_a_critic_fitted_to_nothing_and_none_see_no_future() -> None:
    features, action, _ = rows(50)
    nothing = fit(features[:0], action[:0], np.empty(0))
    for critic in (Critic.none(ACTIONS, COLUMNS), nothing):
        assert critic.later(features, action).tolist() == [0.0] * 50


def test_deviations_tell_how_far_off_the_critic_is_whatever_the_noise() -> None:
    fresh, contact, truth = rows(30, seed=99)
    off = []
    for seed in range(60):
        features, action, later = rows(3_000, seed=seed)
        value = features[:, COLUMNS.index("value")].astype(np.float64)
        noise = np.random.default_rng(500 + seed).normal(size=len(later)) * (0.1 + value)
        critic = fit(features, action, later + noise, np.full(len(later), 1.0))
        off.append((critic.later(fresh, contact) - truth) / critic.deviation(fresh, contact))
        assert critic.deviation(fresh, np.zeros(30, dtype=np.int64)).tolist() == [0.0] * 30
    spread = np.array(off).std(axis=0)  # of noise alone; deviations count the prior as well
    assert 0.7 < spread.mean() < 1.1


def test_of_what_was_never_seen_nothing_is_known() -> None:
    features, action, later = rows(3_000)
    inspired = action == 1
    noise = np.random.default_rng(8).normal(size=inspired.sum())
    critic = fit(features[inspired], action[inspired], later[inspired] + noise)
    contacts = np.arange(len(ACTIONS))
    seen, offer, store = critic.deviation(np.ones((4, len(COLUMNS)), dtype=np.float32), contacts)[1:]
    assert seen < offer < store
    assert store > 1  # nobody was ever called: as unsure as money is noisy


def test_a_critic_that_sees_no_future_is_sure_of_it() -> None:
    features, action, _ = rows(50)
    assert Critic.none(ACTIONS, COLUMNS).deviation(features, action).tolist() == [0.0] * 50


def test_missing_columns_are_named() -> None:
    features, action, later = rows(50)
    kept = [i for i, name in enumerate(COLUMNS) if name != "email.burden"]
    columns = tuple(COLUMNS[i] for i in kept)
    with pytest.raises(FeatureError, match=r"missing: email\.burden$"):
        Critic.fit(ACTIONS, columns, features=features[:, kept], action=action, later=later, weight=np.ones(50))


def test_columns_that_tell_noise_are_named_where_missing() -> None:
    with pytest.raises(FeatureError, match="value and frequency; missing: frequency"):
        inverse_variance(("value",), np.ones((3, 1), dtype=np.float32), np.ones(3))


def test_inverse_variances_have_mean_one_and_fall_with_noise() -> None:
    features, _, _ = rows(5_000)
    value = features[:, COLUMNS.index("value")].astype(np.float64)
    weight = inverse_variance(COLUMNS, features, np.random.default_rng(4).normal(size=5_000) * (0.2 + 3 * value))
    assert weight.mean() == pytest.approx(1)
    assert (weight > 0).all()
    thirds = [weight[(low <= value) & (value < low + 0.6)].mean() for low in (0.0, 0.7, 1.4)]
    assert thirds[0] > thirds[1] > thirds[2]
