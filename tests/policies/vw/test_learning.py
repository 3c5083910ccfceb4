"""What VWPolicy learns and predicts is what Vowpal Wabbit itself learns and predicts from whole action lists."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from vowpal_wabbit_next import CBLabel, Example, Workspace

from policies.actions import ActionFeature, ActionSet, PairFeature
from policies.errors import FeatureError, PolicyFormatError
from policies.exploration.draws import draw, uniforms
from policies.exploration.explorers import Explorer
from policies.feedback import LoggedFeedback
from policies.vw.examples import ExamplePool
from policies.vw.feature_space import FeatureSpace
from policies.vw.files import load_policy, save_policy
from policies.vw.policy import VWPolicy, VWSettings

COLUMNS = ("age", "buy.shoes", "buy.hats", "recency")
LEARNING_RATE = 0.3


def catalogue(size: int = 5) -> ActionSet:
    """Actions with features of their own, shared ones, and look-ups for some."""
    return ActionSet(
        ids=tuple(f"action {i}" for i in range(size)),
        features=tuple(
            (
                ActionFeature("A", f"action={i}", 1.0),
                ActionFeature("A", f"kind={i % 2}", 1.5),
                ActionFeature("B", "b", i),
            )
            for i in range(size)
        ),
        pairs=tuple((PairFeature("P", "affinity", COLUMNS[1 + i % 2]),) if i % 3 else () for i in range(size)),
    )


def make_log(rows: int, *, size: int = 5, seed: int = 0, masked: bool = True, clicks: bool = False) -> LoggedFeedback:
    random = np.random.default_rng(seed)
    features = random.standard_normal((rows, len(COLUMNS))) * (random.random((rows, len(COLUMNS))) < 0.7)
    action = random.integers(size, size=rows)
    eligible = random.random((rows, size)) < (0.6 if masked else 1.0)
    eligible[np.arange(rows), action] = True
    return LoggedFeedback(
        columns=COLUMNS,
        features=features.astype(np.float32),
        actions=catalogue(size),
        eligible=eligible,
        action=action,
        propensity=np.full(rows, 0.25) if clicks else random.uniform(0.05, 1.0, rows),
        reward=(random.random(rows) < 0.3).astype(float) if clicks else random.standard_normal(rows),
        customer=np.arange(rows).astype(str).astype(object),
    )


def make_settings(**changes: Any) -> VWSettings:
    space = FeatureSpace.of_customer(COLUMNS, interactions=("UA",), ignore_linear="")
    return replace(VWSettings(space=space, learning_rate=LEARNING_RATE), **changes)


def spaces() -> list[FeatureSpace]:
    return [
        FeatureSpace.of_customer(COLUMNS),
        FeatureSpace.of_customer(COLUMNS, interactions=("UA", "AP"), ignore_linear=""),
        FeatureSpace.of_customer(COLUMNS, interactions=("AU", "UB", "BP"), constant=False, bits=12),
        FeatureSpace.of_customer(COLUMNS, interactions=(), bits=10),
    ]


def weights(model: bytes) -> np.ndarray[Any, Any]:
    return cast("np.ndarray[Any, Any]", Workspace(["--quiet"], model_data=model).weights()[:, 0, 0])


def vw_list(pool: ExamplePool, log: LoggedFeedback, row: int, *, labelled: bool) -> list[Example]:
    """The whole list of eligible actions of one decision, labelled as VW wants it."""
    listed = np.flatnonzero(log.eligible[row])
    examples = pool.fill_all(log.features[row], listed)
    for a, example in zip(listed, examples, strict=True):
        chosen = labelled and a == log.action[row]
        example.set_label(CBLabel(label=(-log.reward[row], log.propensity[row])) if chosen else CBLabel())
    return examples


@pytest.mark.parametrize("space", spaces(), ids=range(4))
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("clicks", [False, True])
def test_learning_chosen_actions_alone_gives_the_weights_of_whole_lists(
    space: FeatureSpace, masked: bool, clicks: bool
) -> None:
    log = make_log(400, masked=masked, clicks=clicks)
    policy = VWPolicy(make_settings(space=space), log.actions)
    predicted = policy.learn(log)
    args = ["--cb_adf", "--cb_type", "mtr", "-l", str(LEARNING_RATE), "--quiet", *space.vw_args()]
    whole, pool = Workspace(args), ExamplePool(space, log.actions)
    expected = []
    for row in range(len(log)):
        scores = cast("list[tuple[int, float]]", whole.predict_one(vw_list(pool, log, row, labelled=False)))
        position = np.flatnonzero(log.eligible[row]).tolist().index(log.action[row])
        expected.append(-dict(scores)[position])
        whole.learn_one(vw_list(pool, log, row, labelled=True))
    reference = np.asarray(whole.weights()[:, 0, 0])
    assert np.abs(reference).max() > 0.02
    np.testing.assert_allclose(weights(policy.model), reference, atol=1e-4)
    np.testing.assert_allclose(predicted, expected, atol=1e-4)


@pytest.mark.parametrize("importance", ["propensity", "none"])
def test_training_in_halves_through_files_equals_training_in_one(importance: Any, tmp_path: Path) -> None:
    log = make_log(500)
    once = VWPolicy(make_settings(importance=importance), log.actions)
    whole = once.learn(log)
    half = VWPolicy(make_settings(importance=importance), log.actions)
    first = half.learn(log.take(np.arange(250)))
    save_policy(half, tmp_path / "half")
    loaded = load_policy(tmp_path / "half")
    second = loaded.learn(log.take(np.arange(250, 500)))
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-6)
    np.testing.assert_allclose(weights(loaded.model), weights(once.model), atol=1e-6)
    assert loaded.progress == once.progress


def test_learning_from_nothing_changes_nothing() -> None:
    policy = VWPolicy(make_settings(), catalogue())
    policy.learn(make_log(50))
    before = weights(policy.model)
    assert policy.learn(make_log(0)).shape == (0,)
    np.testing.assert_array_equal(weights(policy.model), before)
    assert policy.progress.decisions == 50


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 8),
    rows=st.integers(1, 60),
    explorer=st.one_of(
        st.builds(
            Explorer,
            kind=st.just("squarecb"),
            gamma_scale=st.sampled_from([0.0, 1.0, 10.0, 300.0]),
            gamma_exponent=st.sampled_from([0.0, 0.5, 1.0]),
            epsilon=st.sampled_from([0.0, 0.05, 0.4]),
        ),
        st.builds(Explorer, kind=st.just("epsilon_greedy"), epsilon=st.sampled_from([0.0, 0.1, 1.0])),
        st.builds(
            Explorer,
            kind=st.just("softmax"),
            temperature=st.sampled_from([0.05, 1.0, 20.0]),
            epsilon=st.sampled_from([0.0, 0.3]),
        ),
    ),
    space=st.sampled_from(spaces()),
)
def test_compiled_decisions_are_those_of_vws_explorer(
    seed: int, size: int, rows: int, explorer: Explorer, space: FeatureSpace
) -> None:
    log = make_log(rows, size=size, seed=seed)
    probe = make_log(20, size=size, seed=seed + 1)
    args = {
        "squarecb": shlex.split(
            f"--squarecb --gamma_scale {explorer.gamma_scale} --gamma_exponent {explorer.gamma_exponent}"
        ),
        "epsilon_greedy": [],
        "softmax": ["--softmax", "--lambda", str(1 / explorer.temperature)],
    }[explorer.kind]
    command = ["--cb_explore_adf", *args, "--epsilon", str(explorer.epsilon), "-l", str(LEARNING_RATE)]
    theirs = Workspace([*command, "--quiet", *space.vw_args()])
    pool = ExamplePool(space, log.actions)
    for row in range(rows):
        theirs.learn_one(vw_list(pool, log, row, labelled=True))
    ours = VWPolicy(make_settings(space=space, explorer=explorer), log.actions)
    ours.learn(log)
    # VW's SquareCB learns without importance weights; give both the same weights, ours is the exploration here.
    matrix = ours._plan.matrix(np.asarray(theirs.weights()[:, 0, 0])) if ours._plan else None
    assert matrix is not None
    scores = -(probe.features @ matrix[0] + matrix[1])
    found = explorer.distribution(scores, probe.eligible, learned=rows)
    for row in range(len(probe)):
        examples = vw_list(pool, probe, row, labelled=False)
        prediction = dict(cast("list[tuple[int, float]]", theirs.predict_one(examples)))
        expected = np.zeros(size)
        expected[probe.eligible[row]] = [prediction[i] for i in range(len(examples))]
        np.testing.assert_allclose(found[row], expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["squarecb", "epsilon_greedy", "softmax", "greedy"])
def test_a_customers_decision_does_not_depend_on_the_batch(kind: Any) -> None:
    log = make_log(1000, size=7)
    policy = VWPolicy(make_settings(explorer=Explorer(kind=kind, epsilon=0.1)), log.actions)
    policy.learn(log)
    ids = np.random.default_rng(1).integers(2**63, size=(len(log), 2), dtype=np.uint64)

    def decide(rows: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        scores = policy.scores(log.features[rows])
        distribution = policy.distribution(scores, log.eligible[rows])
        return scores, distribution, draw(distribution, uniforms(ids[rows], stream="action"))

    whole = decide(np.arange(len(log)))
    for size in (1, 3, 128, 129, 500):
        for start in (0, 127, 400):
            rows = np.arange(start, min(start + size, len(log)))
            for part, all_rows in zip(decide(rows), whole, strict=True):
                assert part.tobytes() == all_rows[rows].tobytes()
    order = np.random.default_rng(2).permutation(len(log))
    for part, all_rows in zip(decide(order), whole, strict=True):
        assert part.tobytes() == all_rows[order].tobytes()


@pytest.mark.parametrize(
    ("interactions", "extra_args"),
    [
        (("::",), ()),
        (("UAB",), ()),
        (("UU",), ()),
        (("UP",), ()),
        (("UA",), ("--cubic", "UAB")),
        (("UA",), ("--power_t", "0.3")),
    ],
)
def test_what_cannot_be_compiled_is_scored_by_vw_with_the_same_interface(
    interactions: tuple[str, ...], extra_args: tuple[str, ...], tmp_path: Path
) -> None:
    log = make_log(200)
    space = FeatureSpace.of_customer(COLUMNS, interactions=interactions)
    policy = VWPolicy(make_settings(space=space, extra_args=extra_args), log.actions)
    policy.learn(log)
    assert not policy.compiled
    scores = policy.scores(log.features)
    assert scores.shape == (200, 5)
    assert np.ptp(scores, axis=1).min() > 0
    np.testing.assert_allclose(policy.distribution(scores, log.eligible).sum(axis=1), 1.0)
    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert not loaded.compiled
    np.testing.assert_array_equal(loaded.scores(log.features), scores)


def test_compiled_and_vws_scores_agree_after_learning() -> None:
    log = make_log(300)
    for space in spaces():
        policy = VWPolicy(make_settings(space=space, reward_scale=50.0), log.actions)
        policy.learn(log)
        assert policy.compiled
        np.testing.assert_allclose(policy.scores(log.features), policy.vw_scores(log.features), atol=50 * 1e-5)


def test_reward_scale_changes_units_only() -> None:
    log = make_log(200)
    one = VWPolicy(make_settings(), log.actions)
    hundred = VWPolicy(make_settings(reward_scale=100.0), log.actions)
    one.learn(log)
    hundred.learn(replace(log, reward=log.reward * 100))
    np.testing.assert_allclose(hundred.scores(log.features), 100 * one.scores(log.features), rtol=1e-4, atol=1e-3)
    for policy in (one, hundred):
        policy.scores(log.features)
    np.testing.assert_allclose(
        hundred.distribution(hundred.scores(log.features), log.eligible),
        one.distribution(one.scores(log.features), log.eligible),
        atol=1e-5,
    )


def test_a_new_action_borrows_from_its_relatives() -> None:
    log = make_log(3000, masked=False)
    good = np.isin(log.action, [1, 3])  # the actions of kind=1 pay
    log = replace(log, reward=good + 0.1 * log.reward, propensity=np.full(len(log), 0.2))
    policy = VWPolicy(make_settings(), log.actions)
    policy.learn(log)
    old = log.actions
    grown = ActionSet(
        ids=(*old.ids, "new good", "new poor"),
        features=(
            *old.features,
            (ActionFeature("A", "action=new good", 1.0), ActionFeature("A", "kind=1", 1.5)),
            (ActionFeature("A", "action=new poor", 1.0), ActionFeature("A", "kind=0", 1.5)),
        ),
        pairs=(*old.pairs, (), ()),
    )
    bound = policy.with_actions(grown)
    scores = bound.scores(log.features)
    np.testing.assert_array_equal(scores[:, :5], policy.scores(log.features))
    assert (scores[:, 5] > scores[:, 6]).mean() > 0.95
    assert bound.check_parity() < 1e-4


def test_a_policy_with_other_columns_or_actions_is_refused() -> None:
    policy = VWPolicy(make_settings(), catalogue())
    with pytest.raises(FeatureError, match=r"missing age; unknown years"):
        policy.learn(replace(make_log(5), columns=("years", *COLUMNS[1:])))
    with pytest.raises(FeatureError, match="in another order"):
        policy.learn(replace(make_log(5), columns=COLUMNS[::-1]))
    with pytest.raises(FeatureError, match="rebind the policy"):
        policy.learn(make_log(5, size=4))
    with pytest.raises(FeatureError, match=r"shape \(2, 3\), expected \(n, 4\)"):
        policy.scores(np.zeros((2, 3), dtype=np.float32))
    with pytest.raises(FeatureError, match=r"'buy.hats' of row 1 is nan"):
        policy.scores(np.array([[0, 0, 0, 0], [0, 0, np.nan, 0]], dtype=np.float32))


def test_a_look_up_of_an_unknown_column_is_refused() -> None:
    actions = ActionSet(ids=("a",), features=((),), pairs=((PairFeature("P", "x", "buy.ties"),),))
    with pytest.raises(FeatureError, match=r"'a': pair feature 'x' looks up column 'buy.ties'"):
        VWPolicy(make_settings(), actions)


@pytest.mark.parametrize("namespace", ["", "\x80", "é", "日", "\n"])
def test_namespaces_vw_cannot_take_are_refused(namespace: str) -> None:
    actions = ActionSet(ids=("a",), features=((ActionFeature(namespace, "x", 1.0),),), pairs=((),))
    with pytest.raises(FeatureError, match="must start with an ASCII"):
        VWPolicy(make_settings(), actions)


def test_options_vw_refuses_are_reported() -> None:
    with pytest.raises(PolicyFormatError, match="Vowpal Wabbit refuses this policy"):
        VWPolicy(make_settings(extra_args=("--no_such_option",)), catalogue())


@pytest.mark.parametrize("interactions", [("UA", "UA"), ("UA", "AU"), ("UA", "UAB", "BAU")])
def test_an_interaction_named_twice_is_refused(interactions: tuple[str, ...]) -> None:
    """VW uses one of them, so compiled scores that count both would be wrong."""
    with pytest.raises(FeatureError, match=f"{interactions[-2]}, {interactions[-1]} are the same"):
        FeatureSpace.of_customer(COLUMNS, interactions=interactions)


@pytest.mark.parametrize(
    "args", [("--epsilon=0.3",), ("--cb_explore_adf",), ("--power_t", "0.3", "--squarecb"), ("--cb_type", "ips")]
)
def test_options_that_change_what_is_predicted_are_refused(args: tuple[str, ...]) -> None:
    refused = "--cb_type" if "ips" in args else args[-1]
    with pytest.raises(FeatureError, match=f"extra_args {refused} would change what VW predicts"):
        make_settings(extra_args=args)
