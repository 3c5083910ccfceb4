"""Conditions as people write them: what they mean, and how a wrong one is told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.eligibility import Expression, Names
from orchestrator.errors import ExpressionError

NUMBERS = ("buy.pantry", "value", "store_distance", "email.consent")
AGES = ("19-24", "25-34", "65+")
NAMES = Names(numbers=frozenset(NUMBERS), choices={"age": AGES})
TABLE = {
    "buy.pantry": np.array([0.2, 0.6, 1.0, 0.0], dtype=np.float32),
    "value": np.array([2.0, 0.0, 1.0, 0.5], dtype=np.float32),
    "store_distance": np.array([3.0, np.nan, 12.5, 0.0]),
    "email.consent": np.array([1, 0, 1, 0], dtype=np.float32),
    "age=19-24": np.array([0, 1, 0, 0], dtype=np.float32),
    "age=25-34": np.array([1, 0, 0, 0], dtype=np.float32),
    "age=65+": np.array([0, 0, 1, 0], dtype=np.float32),  # the last one never said
}


def holds(text: str) -> list[bool]:
    found = Expression.parse(text, names=NAMES)(TABLE.__getitem__, n=4)
    assert found.dtype == bool
    return found.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("buy.pantry > 0.5", [False, True, True, False]),
        ('buy.pantry > 0.5 and age == "65+"', [False, False, True, False]),
        ('age == "19-24" or value >= 2', [True, True, False, False]),
        ('"65+" == age', [False, False, True, False]),
        ('age != "65+"', [True, True, False, True]),
        ('age in ("19-24", "65+")', [False, True, True, False]),
        ('age not in ["19-24", "65+"]', [True, False, False, True]),
        ("email.consent", [True, False, True, False]),
        ("not email.consent", [False, True, False, True]),
        ("email.consent and not value > 1", [False, False, True, False]),
        ("0 < value <= 1", [False, False, True, True]),
        ("store_distance < 5", [True, False, False, True]),  # what is not known is not near
        ("not store_distance < 5", [False, True, True, False]),
        ("store_distance != 3", [False, True, True, True]),
        ("store_distance", [True, False, True, False]),
        ("value * 2 + 1 > 3 - buy.pantry", [True, False, True, False]),
        ("-value < -0.9", [True, False, True, False]),
        ("value / buy.pantry > 5", [True, False, False, True]),  # half by nothing is infinitely much
        ("min(value, buy.pantry) >= 0.2 and max(value, 1) == 1", [False, False, True, False]),
        ("abs(value - 1) == 1", [True, True, False, False]),
        (" value  # what there is to lose\n > 1 ", [True, False, False, False]),
        ("value > 1 or 1 > 0", [True] * 4),
    ],
)
def test_a_condition_means_what_it_says(text: str, expected: list[bool]) -> None:
    assert holds(text) == expected


def test_it_knows_which_columns_it_reads() -> None:
    read = Expression.parse('age in ("19-24", "65+") and buy.pantry > value', names=NAMES).columns
    assert read == {"age=19-24", "age=65+", "buy.pantry", "value"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("buy.pantri > 0.5", "no column 'buy.pantri'; did you mean 'buy.pantry'?"),
        ("zzz > 0.5", "no column 'zzz'; known: age, buy.pantry"),
        ('agee == "65+"', "no column 'agee'; did you mean 'age'?"),
        ('age == "65"', "'age' has no value '65'; did you mean '65+'?"),
        ('age in ("19-24", "24-35")', "'age' has no value '24-35'; did you mean '25-34'?"),
        ("age > 30", "'age' is one of several values; write age == \"19-24\""),
        ("age", "'age' is one of several values"),
        ("age in ()", "'age' is one of several values"),
        ('age + 1 > "65+"', "'age + 1' is a number"),
        ('value == "high"', "'value' is a number; compare it with a number"),
        ("value in (1, 2)", "'value' is a number"),
        ("value is 1", "compared with 'is'; use =="),
        ("value = 1", "cannot be read"),
        ("value >", "cannot be read"),
        ("", "is empty"),
        ("value > 1,", "has no place here"),
        ("value > 1 value", "cannot be read"),
        ('age == "\\d"', "has no value"),
        ("value > 0\x00", "cannot be read"),
        ("(value > 1) + 1 > 0", "'value > 1' is true or false where a number is needed"),
        ("value > True", "True is no number"),
        ("1 < 2", "names nothing of a customer"),
        ("value > 1e999", "a number that is too large"),
        ("value > 1" + "0" * 400, "a number that is too large"),
        ("value > 1j", "'1j' has no place here"),
        ("value ** 99", "'value ** 99' has no place here"),
        ("value % 2 == 1", "'value % 2' has no place here"),
        ("exp(value) > 1", "'exp' cannot be called; known: abs, min, max"),
        ("abss(value) > 1", "did you mean 'abs'?"),
        ("abs(value, 1) > 1", "abs takes 1 values, got 2"),
        ("min(*value) > 1", "min takes 2 values, got 1"),
        ("max(value, key=value) > 1", "'max' cannot be called"),
        ("__import__('os').system('true')", "cannot be called"),
        ("value.__class__", "no column 'value.__class__'"),
        ("().__class__ > 1", "'().__class__' has no place here"),
        ("value[0] > 1", "'value[0]' has no place here"),
        ("[x for x in value]", "has no place here"),
        ("(lambda: value)() > 1", "cannot be called"),
        ("value if value else value", "has no place here"),
        ("(value := 1) > 1", "has no place here"),
        ("f'{value}' > 1", "has no place here"),
        ("not " * 60 + "value", "nested deeper than 50 levels"),
        ("-" * 60 + "value > 1", "nested deeper than 50 levels"),
        ("(" * 300 + "value" + ")" * 300, "cannot be read"),
        (" or ".join(["value"] * 300), "longer than 2000 characters"),
    ],
)
def test_anything_else_is_refused_with_the_part_and_the_fix(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text, names=NAMES)
    assert message in str(caught.value)


def joined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def both(join: str, a: Any, b: Any) -> tuple[str, Callable[[int], bool]]:
        (text_a, a_of), (text_b, b_of) = a, b
        if join == "and":
            return f"({text_a} and {text_b})", lambda i: a_of(i) and b_of(i)
        return f"({text_a} or {text_b})", lambda i: a_of(i) or b_of(i)

    negated = parts.map(lambda part: (f"not {part[0]}", lambda i: not part[1](i)))
    return negated | st.builds(both, st.sampled_from(["and", "or"]), parts, parts)


def compared(name: str, op: str, limit: float) -> tuple[str, Callable[[int], bool]]:
    compare: dict[str, Callable[[float, float], bool]] = {
        "<": lambda a, b: a < b,
        ">=": lambda a, b: a >= b,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
    }
    return f"{name} {op} {limit}", lambda i: compare[op](float(TABLE[name][i]), limit)


COMPARED = st.builds(
    compared, st.sampled_from(NUMBERS), st.sampled_from(["<", ">=", "==", "!="]), st.sampled_from([0.0, 0.5, 1.0, 3.0])
)
CHOSEN = st.sampled_from(AGES).map(lambda age: (f'age == "{age}"', lambda i: bool(TABLE[f"age={age}"][i])))


@given(st.recursive(COMPARED | CHOSEN, joined, max_leaves=8))
def test_columns_are_judged_as_each_customer_would_be(drawn: tuple[str, Callable[[int], bool]]) -> None:
    text, of_customer = drawn
    assert holds(text) == [of_customer(i) for i in range(4)]


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert len(holds(text)) == 4
