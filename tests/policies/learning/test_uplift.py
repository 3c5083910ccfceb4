"""Effects are found where there are any, and where there is only noise the best of many is not believed."""

from __future__ import annotations

import numpy as np
import pytest

from policies.actions import ActionFeature, ActionSet, PairFeature
from policies.errors import FeatureError
from policies.learning.uplift import UpliftModel

CHANNELS, INTENTS, SUBJECTS = ("email", "site"), ("inspire", "offer"), tuple(f"s{i}" for i in range(10))
LABELS = [(c, i, s) for c in CHANNELS for i in INTENTS for s in SUBJECTS]
COLUMNS = tuple(f"buy.{s}" for s in SUBJECTS)
A = len(LABELS) + 1


def catalogue(*, pairs: bool = True) -> ActionSet:
    """Hold and 40 contacts."""
    features = [
        tuple(ActionFeature("A", f"{k}={v}", 1.0) for k, v in zip(("channel", "intent", "subject"), label, strict=True))
        for label in LABELS
    ]
    looked_up = [(PairFeature("P", "affinity", f"buy.{subject}"),) if pairs else () for _, _, subject in LABELS]
    ids = ["hold", *(".".join(label) for label in LABELS)]
    return ActionSet(tuple(ids), ((ActionFeature("A", "action=hold", 1.0),), *features), ((), *looked_up))


ACTIONS = catalogue()
FRESH = np.zeros((A, len(COLUMNS)), dtype=np.float32)  # one customer per action, of whom nothing is known
EVERY = np.arange(A)


def rows(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, F), contacts (n,), noise (n,)."""
    random = np.random.default_rng(seed)
    features = random.uniform(0, 1, (n, len(COLUMNS))).astype(np.float32)
    return features, random.integers(1, A, n), random.normal(size=n)


def test_planted_effects_are_recovered_from_much_data() -> None:
    features, action, noise = rows(60_000)
    of_action = np.concatenate([[0.0], [0.3 * (c == "email") + 0.1 * (i == "offer") for c, i, _ in LABELS]])
    own = features[np.arange(len(action)), (action - 1) % len(SUBJECTS)]
    model = UpliftModel(ACTIONS, COLUMNS)
    model.add(features, action, of_action[action] + 0.2 * own + 0.5 * noise, np.ones(len(action)))
    np.testing.assert_allclose(model.effect(FRESH, EVERY), of_action, atol=0.06)
    full = np.ones_like(FRESH)
    added = model.effect(full, EVERY) - model.effect(FRESH, EVERY)
    np.testing.assert_allclose(added[1:], 0.2, atol=0.06)
    assert model.effect(full, np.zeros(A, dtype=np.int64)).tolist() == [0.0] * A


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_many_noisy_estimates_is_not_believed(seed: int) -> None:
    features, action, noise = rows(1_200, seed=seed)
    noise *= 3
    model = UpliftModel(ACTIONS, COLUMNS)
    model.add(features, action, noise, np.ones(len(action)))
    plain = np.array([noise[action == a].mean() for a in range(1, A)])
    shrunk = model.effect(FRESH, EVERY)[1:]
    assert plain.max() > 0.8
    assert shrunk.max() < plain.max() / 4


def test_two_batches_equal_one_and_the_weights_scale_is_free() -> None:
    features, action, noise = rows(900)
    weight = np.random.default_rng(9).uniform(0.2, 2, 900)
    whole, parts, scaled = (UpliftModel(ACTIONS, COLUMNS) for _ in range(3))
    whole.add(features, action, noise, weight)
    for part in (slice(0, 250), slice(250, 900)):
        parts.add(features[part], action[part], noise[part], weight[part])
    scaled.add(features, action, noise, 7 * weight)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-10)
    np.testing.assert_allclose(scaled.weights, whole.weights, atol=1e-10)


def test_rows_of_little_weight_hardly_count() -> None:
    features, action, noise = rows(4_000)
    wrong = np.arange(4_000) % 2 == 1
    model = UpliftModel(ACTIONS, COLUMNS)
    model.add(features, action, np.where(wrong, 5.0, -0.5 + 0.1 * noise), np.where(wrong, 1e-6, 1.0))
    assert model.effect(features, action).mean() == pytest.approx(-0.5, abs=0.05)


def test_an_action_never_seen_borrows_from_its_channel_and_intent() -> None:
    features, action, noise = rows(20_000)
    unseen = ACTIONS.index("email.offer.s3")
    of_action = np.array([0.0, *(0.4 if (c, i) == ("email", "offer") else 0.0 for c, i, _ in LABELS)])
    seen = action != unseen
    model = UpliftModel(ACTIONS, COLUMNS)
    model.add(features[seen], action[seen], (of_action[action] + 0.3 * noise)[seen], np.ones(seen.sum()))
    found = model.effect(FRESH, EVERY)
    assert found[unseen] == pytest.approx(0.4, abs=0.1)
    assert abs(found[ACTIONS.index("site.offer.s3")]) < 0.1
    assert abs(found[ACTIONS.index("email.inspire.s3")]) < 0.1


def test_nothing_seen_is_no_effect() -> None:
    assert UpliftModel(ACTIONS, COLUMNS).effect(FRESH, EVERY).tolist() == [0.0] * A
    assert UpliftModel(ACTIONS, COLUMNS).effect(FRESH[:0], EVERY[:0]).shape == (0,)


def test_no_rows_change_nothing() -> None:
    features, action, noise = rows(300)
    model, same = UpliftModel(ACTIONS, COLUMNS), UpliftModel(ACTIONS, COLUMNS)
    for each in (model, same):
        each.add(features, action, noise, np.ones(300))
    same.add(features[:0], action[:0], noise[:0], np.empty(0))
    np.testing.assert_array_equal(same.weights, model.weights)
    untaught = UpliftModel(ACTIONS, COLUMNS)
    untaught.add(features[:0], action[:0], noise[:0], np.empty(0))
    assert not untaught.weights.any()


def test_actions_without_a_channel_have_no_effect() -> None:
    bare = ActionSet(("hold", "a"), ((), (ActionFeature("A", "action=a", 1.0),)), ((), ()))
    model = UpliftModel(bare, ())
    model.add(np.empty((5, 0), dtype=np.float32), np.ones(5, dtype=np.int64), np.ones(5), np.ones(5))
    assert model.effect(np.empty((2, 0), dtype=np.float32), np.arange(2)).tolist() == [0.0, 0.0]


def test_deviations_tell_how_far_off_effects_are() -> None:
    off = []
    for seed in range(40):
        features, action, noise = rows(400, seed=seed)
        random = np.random.default_rng(1_000 + seed)
        # Effects as the model believes them to be: one of the channel, the others of its parts.
        channel, action_own = 0.3 * random.normal(size=2), 0.03 * random.normal(size=A)
        truth = np.array([0.0, *(channel[CHANNELS.index(c)] for c, _, _ in LABELS)]) + action_own
        model = UpliftModel(ACTIONS, COLUMNS)
        model.add(features, action, truth[action] + noise, np.ones(len(action)))
        off.append(((model.effect(FRESH, EVERY) - truth) / np.maximum(model.deviation(FRESH, EVERY), 1e-9))[1:])
    within = np.abs(np.concatenate(off)) < 2
    assert 0.9 < within.mean() <= 1
    assert np.concatenate(off).std() > 0.4  # nor are they boundless


def test_deviations_hold_where_noise_grows_with_what_customers_do() -> None:
    """Noise of big spenders is larger; equal weights all the same."""
    big = np.zeros((1, len(COLUMNS)), dtype=np.float32)
    big[0, 0] = 3.0
    contact = np.array([1])
    found, claimed = [], []
    for seed in range(150):
        random = np.random.default_rng(seed)
        features = random.uniform(0, 3, (400, len(COLUMNS))).astype(np.float32)
        action = np.ones(400, dtype=np.int64)
        model = UpliftModel(ACTIONS, COLUMNS, scale=10.0)
        model.add(features, action, random.normal(size=400) * (0.1 + features[:, 0] ** 2), np.ones(400))
        found.append(model.effect(big, contact)[0])
        claimed.append(model.deviation(big, contact)[0])
    assert np.mean(claimed) == pytest.approx(np.std(found), rel=0.25)


def test_deviations_fall_with_what_is_seen_and_hold_has_none() -> None:
    features, action, noise = rows(20_000)
    model = UpliftModel(ACTIONS, COLUMNS)
    before = model.deviation(FRESH, EVERY)
    model.add(features, action, noise, np.ones(len(action)))
    after = model.deviation(FRESH, EVERY)
    assert before[0] == after[0] == 0
    assert (after[1:] < before[1:] / 3).all()
    assert (model.deviation(np.ones_like(FRESH), EVERY)[1:] > 0).all()
    assert model.deviation(FRESH[:0], EVERY[:0]).shape == (0,)


def test_without_look_ups_customers_are_alike() -> None:
    features, action, noise = rows(2_000)
    model = UpliftModel(catalogue(pairs=False), COLUMNS)
    model.add(features, action, 0.5 + 0.1 * noise, np.ones(2_000))
    np.testing.assert_array_equal(model.effect(FRESH, EVERY), model.effect(np.ones_like(FRESH), EVERY))
    assert model.effect(FRESH, EVERY)[1:].min() > 0.3


def test_a_column_looked_up_but_missing_is_named() -> None:
    with pytest.raises(FeatureError, match=r"'email\.inspire\.s9' looks up column 'buy\.s9', which is missing"):
        UpliftModel(ACTIONS, COLUMNS[:-1])
