"""Which texts about customers are fit to print: nobody is to read "Dear {first_name}"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from orchestrator.errors import ContextError, suggestion
from policies.arrays import BoolArray, StrArray

# Marks of template languages: Jinja, Mustache and Python; Mailchimp; ERB and ASP; Salesforce; shells.
MARKS = ("{", "}", "*|", "|*", "<%", "%>", "%%", "[[", "]]", "$(")
# What programs, forms and testers leave where a text should be.
PLACEHOLDERS = (
    "null", "none", "nil", "nan", "n/a", "undefined", "unknown", "tbd", "todo", "test", "xxx", "placeholder",
    "your name", "first name", "last name", "firstname", "lastname", "name", "lorem ipsum",
)  # fmt: skip
_TEXT = np.dtypes.StringDType()


def clean_content(fields: Mapping[str, Sequence[str | None]], *, names: Sequence[str], n: int) -> BoolArray:
    """Which content fields of n customers can be printed.

    A text can if something is left after leading and trailing space is removed, it has no mark of a template language,
    and is neither a placeholder word nor the field's own name.

    Args:
        fields: n texts per name, none where there is none; a name that is not given is nobody's.
        names: the retailer's `content_fields`.
        n: customers.

    Returns:
        bool (n, fields), in the order of `names`.

    Raises:
        ContextError: a field that is not the retailer's, or not of n texts.
    """
    clean = np.zeros((n, len(names)), dtype=bool)
    for name, texts in fields.items():
        if name not in names:
            raise ContextError(f"content: {name} is not a field; {suggestion(name, names)}")
        if len(texts) != n:
            raise ContextError(f"content: {name} has {len(texts)} texts for {n} customers; give one each")
        clean[:, list(names).index(name)] = _clean(np.asarray(texts, dtype=object), name)
    return clean


def _clean(texts: StrArray, name: str) -> BoolArray:
    present: BoolArray = (texts != np.array(None)).astype(bool)
    words = np.strings.lower(np.strings.strip(texts[present].astype(_TEXT)))
    good = np.strings.str_len(words) > 0
    for mark in MARKS:
        good &= np.strings.find(words, mark) < 0
    good &= ~np.isin(words, np.array([*PLACEHOLDERS, name, name.replace("_", " ")], dtype=_TEXT))
    clean = np.zeros(len(texts), dtype=bool)
    clean[present] = good
    return clean
