"""dsjson: lines without loss, features as VW reads them, logs stock VW trains on with the same result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from vowpal_wabbit_next import DSJsonFormatParser, Workspace, run_cli_driver

from policies.actions import ActionFeature, ActionSet, PairFeature
from policies.errors import FeedbackError
from policies.feedback import LoggedFeedback
from policies.hashing import hash_chained, hash_feature
from policies.vw.dsjson import read_dsjson_log, write_dsjson_log
from policies.vw.dsjson_features import JsonFeature, flatten
from policies.vw.dsjson_lines import DecisionLine, SkippedLine, read_lines, write_text_lines
from policies.vw.feature_space import FeatureSpace
from policies.vw.policy import VWPolicy, VWSettings

BITS = 18
CONFORMANCE = [
    "b1848_dsjson_parser_regression.txt",
    "cb_features_w_zero_vals.dsjson",
    "cb_l_namespace.txt",
    "cb_simple.json",
    "cb_simple_pdrop1.json",
    "decisionservice.json",
    "dsjson_cb.json",
    "dsjson_cb_default_ns.json",
    "no_shared_features.json",
]


def event(context: str = '{"x":1,"_multi":[{"b":1},{"b":2}]}', **fields: object) -> str:
    members = {"_label_cost": -1, "_label_probability": 0.5, "_label_Action": 2, "_labelIndex": 1, "a": [2, 1]} | fields
    plain = ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in members.items() if v is not None)
    return f'{{{plain},"c":{context},"p":[0.5,0.5]}}'


def write(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "log.dsjson"
    file.write_text("\n".join(lines))
    return file


# ------------------------------------------------------------------------------------------ lines


@pytest.mark.data
@pytest.mark.parametrize("name", CONFORMANCE)
def test_every_reference_line_survives_reading_and_writing(name: str, data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "vw_conformance" / "train-sets" / name
    copy = tmp_path / name
    write_text_lines((line.text for line in read_lines(source)), copy)
    assert copy.read_bytes().rstrip(b"\n") == source.read_bytes().rstrip(b"\n")


@pytest.mark.data
def test_what_vw_skips_is_told_from_decisions(data_dir: Path) -> None:
    source = data_dir / "vw_conformance" / "train-sets" / "b1848_dsjson_parser_regression.txt"
    first, *others = read_lines(source)
    assert isinstance(first, DecisionLine)
    assert first.skip_learn
    assert first.label_index == 1
    assert first.event_id == "35cd1185d30a48c68fb50e0aef936afd-2NEhC"
    assert all(isinstance(line, SkippedLine) for line in others)
    assert others[-1].text == "[CHECKPOINT INFO LINE]"


def test_blank_lines_and_lines_of_windows_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "log.dsjson"
    content = (event() + "\r\n\r\n" + event(EventId="é") + "\r\n").encode()
    file.write_bytes(content)
    lines = list(read_lines(file))
    assert [type(line) for line in lines] == [DecisionLine, SkippedLine, DecisionLine]
    write_text_lines((line.text for line in lines), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (event()[:60], "line 2: not valid JSON"),
        (event().replace("-1", "NaN", 1), "line 2: NaN is not a number"),
        (event(_label_cost="NaN"), "line 2: '_label_cost' must be a finite number, got 'NaN'"),
        (event(_label_cost=True), "'_label_cost' must be a finite number"),
        (event().replace("-1", "1e999", 1), "'_label_cost' must be a finite number, got inf"),
        (event(_label_probability=0), r"'_label_probability' must be in \(0, 1\], got 0.0"),
        (event(_label_probability=1.5), "'_label_probability' must be in"),
        (event(_labelIndex=0), "must name one action"),
        (event(_labelIndex=None, _label_Action=None), "must name one action"),
        (event(_labelIndex=2, _label_Action=3), "the label names action 3 of 2"),
        (event(_labelIndex=1.0), "'_labelIndex' must be a whole number"),
        (event(_skipLearn="no"), "'_skipLearn' must be true or false"),
        (event(pdrop=2), "'pdrop' must be in"),
        (event("[1]"), "'c' must be an object"),
        (event('{"x":1}'), "'c' needs '_multi'"),
        (event('{"_multi":[]}'), "'c' needs '_multi'"),
        ('{"c":' + "[" * 100_000, "line 2: nested too deeply"),
    ],
)
def test_damaged_lines_are_refused_with_their_number(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path, event(), line, event())
    with pytest.raises(FeedbackError, match=message):
        list(read_lines(file))


def test_a_line_that_is_not_text_is_refused_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "log.dsjson"
    file.write_bytes(event().encode() + b'\n{"c": "\xff"}\n')
    with pytest.raises(FeedbackError, match=r"log.dsjson, line 2: not UTF-8"):
        list(read_lines(file))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match=r"cannot read .*nothing.dsjson: No such file"):
        list(read_lines(tmp_path / "nothing.dsjson"))


def test_failed_writing_leaves_the_old_file(tmp_path: Path) -> None:
    source = write(tmp_path, event(), "{")
    target = tmp_path / "target"
    target.write_text("old")
    with pytest.raises(FeedbackError):
        write_text_lines((line.text for line in read_lines(source)), target)
    assert target.read_text() == "old"
    assert sorted(f.name for f in tmp_path.iterdir()) == ["log.dsjson", "target"]


# --------------------------------------------------------------------------------------- features


def vw_features(context: str, *, chain_hash: bool) -> list[list[tuple[int, float]]]:
    """Per example (shared first), (masked index, value) as VW's own parser gives them."""
    workspace = Workspace(["--cb_adf", "--quiet", "-b", str(BITS), *["--chain_hash"] * chain_hash])
    examples = DSJsonFormatParser(workspace).parse_json(event(context, _labelIndex=0, _label_Action=1))
    return [
        sorted((i & (1 << BITS) - 1, v) for group in e for i, v in zip(group.indices, group.values, strict=True))
        for e in examples
    ]


def our_features(context: str, *, chain_hash: bool) -> list[list[tuple[int, float]]]:
    members = json.loads(context, object_pairs_hook=tuple)
    objects = [tuple(m for m in members if m[0] != "_multi"), *dict(members)["_multi"]]
    return [sorted((index(f, chain_hash=chain_hash), f.value) for f in flatten(o)) for o in objects]


def index(feature: JsonFeature, *, chain_hash: bool) -> int:
    if chain_hash and feature.text is not None:
        return hash_chained(feature.namespace, feature.key, feature.text) & (1 << BITS) - 1
    return hash_feature(feature.namespace, feature.name) & (1 << BITS) - 1


@pytest.mark.parametrize("chain_hash", [False, True])
@pytest.mark.parametrize(
    "context",
    [
        '{"x":1,"_multi":[{"b":1}]}',
        '{"s":"r s|t:u\\tv","t":"tail ","e":"","d":"12","7":"8","_multi":[{}]}',
        '{"n":-1,"f":-2.5,"zero":0,"tiny":1e-50,"big":4294967296,"yes":true,"no":false,"null":null,"_multi":[{}]}',
        '{"a":{"b":{"c":1,"d":"e"},"f":2},"12":{"g":1,"1":"2"},"_multi":[{"l":{"f":"0"}}]}',
        '{"a":[1,2,0,3],"b":[{"q":1},5,{"r":"s"},null,6],"c":{"d":[7,null,8]},"e":[],"_multi":[{"z":[{"y":{"x":1}}]}]}',
        '{"_hidden":1,"_o":{"x":[1]},"o":{"_text":"a b:c  d|e\\tf","_x":"y"},"_multi":[{"_tag":"t","_text":"u v"}]}',
        '{"s_":"1","s_":"2","s_":"1","_multi":[{"a_":"1"}]}',
        '{"é":"à","n é":{"ü":1},"\\u3000x":1,"":1,"q\\"":"\\\\","_multi":[{"":""}]}',
    ],
)
def test_features_have_vws_indices_and_values(context: str, chain_hash: bool) -> None:
    ours = our_features(context, chain_hash=chain_hash)
    for mine, theirs in zip(ours, vw_features(context, chain_hash=chain_hash), strict=True):
        assert [i for i, _ in mine] == [i for i, _ in theirs]
        np.testing.assert_allclose([v for _, v in mine], [v for _, v in theirs], rtol=1e-6)


# VW's own parser crashes on a namespace that does not start with an ASCII character.
names = st.from_regex(r"[ -^`-~][^\x00-\x1f\x7f-\x9f]{0,4}", fullmatch=True)
scalars = st.one_of(names, st.booleans(), st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6, allow_nan=False, width=32))
numbers = st.lists(st.integers(-9, 9), max_size=3)
objects = st.recursive(
    st.dictionaries(names, scalars | numbers, max_size=4),
    lambda inner: st.dictionaries(names, inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(shared=objects, action=objects, chain_hash=st.booleans())
def test_any_object_is_flattened_as_vw_does(shared: object, action: object, chain_hash: bool) -> None:
    assert isinstance(shared, dict)
    context = json.dumps(shared | {"_multi": [action]})
    ours = our_features(context, chain_hash=chain_hash)
    for mine, theirs in zip(ours, vw_features(context, chain_hash=chain_hash), strict=True):
        assert [i for i, _ in mine] == [i for i, _ in theirs]
        np.testing.assert_allclose([v for _, v in mine], [v for _, v in theirs], rtol=1e-6)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ('{"x":["a"],"_multi":[{}]}', "array 'x' holds 'a'"),
        ('{"x":[[1]],"_multi":[{}]}', r"array 'x' holds \[1\]"),
        ('{"x":[true],"_multi":[{}]}', "array 'x' holds True"),
        ('{"x":1e39,"_multi":[{}]}', "feature 'x' is 1e\\+39, too large"),
        ('{"":{"a":1},"_multi":[{}]}', "needs a key"),
        ('{"_text":1,"_multi":[{}]}', "'_text' must be a string"),
        ('{"_slots":[],"_multi":[{}]}', "several slots"),
        ('{"_multi":[{"__aid":1}]}', "deduplicated actions"),
        ('{"_multi":[{"_tag":1}]}', "'_tag' must be a string"),
    ],
)
def test_features_vw_has_no_rule_for_are_refused_with_the_line(tmp_path: Path, context: str, message: str) -> None:
    file = write(tmp_path, event(), "", event(context, _labelIndex=0, _label_Action=1))
    with pytest.raises(FeedbackError, match="line 3: .*" + message):
        read_dsjson_log(file)


# -------------------------------------------------------------------------------------------- logs


def test_a_log_is_read_with_its_actions_features_and_rewards(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        event('{"U":{"age":2,"city":"New York"},"w":3,"_multi":[{"_tag":"tea","k":{"hot":1,"p":5}},{"_tag":"ale"}]}'),
        event(_skipLearn=True),
        '{"RewardValue":1.0,"EventId":"x"}',
        event(_label_cost=None),
        event(pdrop=1),
        event(
            '{"U":{"age":7},"_multi":[{"_tag":"tea","k":{"hot":1,"p":6}}]}',
            _labelIndex=0, _label_Action=1, _label_cost=0.25, a=[1], EventId="e2", pdrop=0.5,
        ),
    )  # fmt: skip
    log = read_dsjson_log(file)
    assert log.columns == ("U|age", "U|cityNew_York", "w")
    np.testing.assert_array_equal(log.features, [[2, 1, 3], [7, 0, 0]])
    assert log.actions.ids == ("tea", "ale")
    assert log.actions.features == (
        (ActionFeature("A", "action=tea", 1.0), ActionFeature("A", "k|hot", 1.0)),  # k|p differs between events
        (ActionFeature("A", "action=ale", 1.0),),
    )
    np.testing.assert_array_equal(log.eligible, [[True, True], [True, False]])
    np.testing.assert_array_equal(log.action, [1, 0])
    np.testing.assert_array_equal(log.reward, [1.0, -0.25])
    np.testing.assert_array_equal(log.propensity, [0.5, 0.25])
    assert log.customer.tolist() == ["line 1", "e2"]


def test_actions_without_a_tag_are_known_by_their_features(tmp_path: Path) -> None:
    one, two = '{"i":{"id":"x"}}', '{"i":{"id":"y","n":2}}'
    file = write(tmp_path, event(f'{{"_multi":[{one},{two}]}}'), event(f'{{"_multi":[{two},{one}]}}'), event())
    log = read_dsjson_log(file)
    assert log.actions.ids == ("i|idx", "i|idy,i|n:2", "b", "b:2")
    np.testing.assert_array_equal(log.action, [1, 0, 3])


def test_actions_that_look_alike_in_one_event_stay_apart(tmp_path: Path) -> None:
    log = read_dsjson_log(write(tmp_path, event('{"_multi":[{},{}]}'), event('{"_multi":[{},{}]}')))
    assert log.actions.ids == ("action", "action#2")
    np.testing.assert_array_equal(log.action, [1, 1])


def test_too_many_columns_are_refused_with_advice(tmp_path: Path) -> None:
    file = write(tmp_path, *(event(f'{{"id":"{i}","_multi":[{{}},{{}}]}}') for i in range(12)))
    with pytest.raises(FeedbackError, match=r"line 11: more than 10 distinct shared features.* 'id10'; put"):
        read_dsjson_log(file, max_columns=10)


def test_too_many_actions_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, *(event(f'{{"_multi":[{{"_tag":"a{i}"}},{{"_tag":"b"}}]}}') for i in range(12)))
    with pytest.raises(FeedbackError, match="more than 10 distinct actions"):
        read_dsjson_log(file, max_columns=10)


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="no decision with a label"):
        read_dsjson_log(write(tmp_path, "", "[CHECKPOINT]", event(_label_cost=None)))


@pytest.mark.data
@pytest.mark.parametrize(("name", "rows"), [("dsjson_cb.json", 23), ("decisionservice.json", 3)])
def test_real_logs_can_be_learned_from(name: str, rows: int, data_dir: Path) -> None:
    log = read_dsjson_log(data_dir / "vw_conformance" / "train-sets" / name)
    assert len(log) == rows
    policy = VWPolicy(VWSettings(space=FeatureSpace.of_customer(log.columns)), log.actions)
    assert np.isfinite(policy.learn(log)).all()
    assert policy.check_parity() < 1e-4


def test_numbers_of_the_sample_log_are_read(data_dir: Path) -> None:
    log = read_dsjson_log(data_dir / "vw_conformance" / "train-sets" / "dsjson_cb.json")
    assert log.actions.ids == ("Cappucino", "Cold brew", "Iced mocha", "Latte")
    assert "FromUrl|weatherSunny" in log.columns
    assert log.action[0] == 3
    assert log.propensity[0] == pytest.approx(0.05)
    assert ActionFeature("A", "j|typehot", 1.0) in log.actions.features[0]


def catalogue(size: int, columns: Sequence[str]) -> ActionSet:
    return ActionSet(
        ids=tuple(f"a {i}" for i in range(size)),
        features=tuple(
            (ActionFeature("A", f"action=a {i}", 1.0), ActionFeature("A", f"kind={i % 2}", 0.5 + i))
            for i in range(size)
        ),
        pairs=tuple((PairFeature("P", "affinity", columns[i % len(columns)]),) * (i % 3 > 0) for i in range(size)),
    )


def sample_log(rows: int, *, actions: int = 5, columns: int = 4, seed: int = 0) -> LoggedFeedback:
    random = np.random.default_rng(seed)
    names = tuple(f"buy.{c}" for c in range(columns))
    features = (random.standard_normal((rows, columns)) * (random.random((rows, columns)) < 0.7)).astype(np.float32)
    eligible = random.random((rows, actions)) < 0.6
    action = random.integers(actions, size=rows)
    eligible[np.arange(rows), action] = True
    return LoggedFeedback(
        columns=names,
        features=features,
        actions=catalogue(actions, names),
        eligible=eligible,
        action=action,
        propensity=random.uniform(0.05, 1.0, rows),
        reward=random.standard_normal(rows),
        customer=np.array([f"customer {i % 7}" for i in range(rows)], dtype=object),
    )


@pytest.mark.parametrize("interactions", [("UA",), ("UA", "UP", "AP"), ()])
@pytest.mark.parametrize("ignore_linear", ["", "U"])
def test_stock_vw_learns_the_same_weights_from_a_written_log(
    interactions: tuple[str, ...], ignore_linear: str, tmp_path: Path
) -> None:
    if "UP" in interactions:  # two customer features: scored by VW itself, but learned all the same
        interactions = ("UA", "AP")
    log = sample_log(300)
    space = FeatureSpace.of_customer(log.columns, interactions=interactions, ignore_linear=ignore_linear)
    policy = VWPolicy(VWSettings(space=space, learning_rate=0.3), log.actions)
    policy.learn(log)
    write_dsjson_log(log, tmp_path / "log.dsjson")
    args = ["--dsjson", "--cb_adf", "--cb_type", "mtr", "-l", "0.3", "-d", "log.dsjson", "-f", "model.vw", "--quiet"]
    run_cli_driver([*args, *space.vw_args()], onethread=True, cwd=tmp_path)
    stock = Workspace(["--quiet"], model_data=(tmp_path / "model.vw").read_bytes()).weights()[:, 0, 0]
    ours = Workspace(["--quiet"], model_data=policy.model).weights()[:, 0, 0]
    assert np.abs(ours).max() > 0.05
    np.testing.assert_allclose(ours, stock, atol=1e-4)


def test_a_written_log_is_read_back(tmp_path: Path) -> None:
    log = sample_log(50)
    write_dsjson_log(log, tmp_path / "log.dsjson")
    back = read_dsjson_log(tmp_path / "log.dsjson")
    order = [back.columns.index(f"U|{c}") for c in log.columns]
    np.testing.assert_array_equal(back.features[:, order], log.features)
    np.testing.assert_array_equal(back.reward, log.reward)
    np.testing.assert_array_equal(back.propensity, log.propensity)
    assert back.customer.tolist() == log.customer.tolist()
    assert [back.actions.ids[a] for a in back.action] == [log.actions.ids[a] for a in log.action]
    columns = [back.actions.index(a) for a in log.actions.ids]
    np.testing.assert_array_equal(back.eligible[:, columns], log.eligible)


def test_probabilities_of_a_written_event_sum_to_one(tmp_path: Path) -> None:
    write_dsjson_log(sample_log(50), tmp_path / "log.dsjson")
    for line in (tmp_path / "log.dsjson").read_text().splitlines():
        fields = json.loads(line)
        assert len(fields["a"]) == len(fields["p"]) == len(fields["c"]["_multi"])
        assert sorted(fields["a"]) == list(range(1, len(fields["a"]) + 1))
        assert fields["a"][0] == fields["_label_Action"]
        assert fields["p"][0] == fields["_label_probability"]
        if len(fields["p"]) > 1:
            assert sum(fields["p"]) == pytest.approx(1)


def test_names_vw_would_ignore_are_not_written(tmp_path: Path) -> None:
    log = sample_log(5)
    hidden = LoggedFeedback(**{**vars(log), "columns": ("_secret", *log.columns[1:])})
    with pytest.raises(FeedbackError, match="rename '_secret'"):
        write_dsjson_log(hidden, tmp_path / "log.dsjson")
    assert not list(tmp_path.iterdir())
