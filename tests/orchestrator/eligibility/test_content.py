"""Which texts may be printed."""

from __future__ import annotations

import pytest

from orchestrator.eligibility import clean_content
from orchestrator.errors import ContextError


@pytest.mark.parametrize("text", ["Anna", " José ", "O'Neil", "Nan Li", "李", "Unknown Pleasures", "50% off"])
def test_a_real_text_is_printed(text: str) -> None:
    assert clean_content({"first_name": [text]}, names=["first_name"], n=1).tolist() == [[True]]


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "  ", "\t\n", "\u00a0"),
        *("{first_name}", "Anna }", "{{ name }}", "*|FNAME|*", "<%= name %>", "%%name%%", "[[name]]", "$(name)"),
        *("null", "NULL", " None ", "n/a", "Unknown", "first_name", "First Name", "test", "undefined"),
    ],
)
def test_nobody_is_called_by_a_template_or_a_placeholder(text: str | None) -> None:
    found = clean_content({"first_name": [text, "Anna"]}, names=["first_name"], n=2)
    assert found.tolist() == [[False], [True]]


def test_fields_stand_in_the_retailers_order_and_those_not_given_are_nobodys() -> None:
    found = clean_content({"b": ["x", None]}, names=["a", "b"], n=2)
    assert found.tolist() == [[False, True], [False, False]]
    assert clean_content({}, names=["a"], n=0).shape == (0, 1)


def test_unknown_fields_and_wrong_lengths_are_refused_by_name() -> None:
    with pytest.raises(ContextError, match=r"frist_name is not a field; did you mean 'first_name'"):
        clean_content({"frist_name": ["Anna"]}, names=["first_name"], n=1)
    with pytest.raises(ContextError, match="first_name has 2 texts for 1 customers"):
        clean_content({"first_name": ["Anna", "Bea"]}, names=["first_name"], n=1)
